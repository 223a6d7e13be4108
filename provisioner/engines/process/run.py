"""Run programs: the only module that starts one.

Every program gets a process group of its own (on Windows a job object too), exactly the environment that it
is given, and is gone, with its children, when the call returns, however it returns. Output is captured as
head and tail, so that a program which prints without end costs no memory here. The end of the program is
its own exit: a grandchild that keeps the output pipes open is killed, not waited for.
"""

import errno
import os
import queue
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from provisioner.engines.process.group import ProcessGroup
from provisioner.errors import InternalError

# How long a program may clean up between the polite and the final signal, and how long its death may take.
# Whoever presses Ctrl-C waits for both.
_TERMINATION_GRACE_S = 0.8

_CAPTURE_HALF_BYTES = 512 * 1024
_LONGEST_LINE_BYTES = 64 * 1024 * 1024
_SLICE_S = 0.2  # Windows delivers Ctrl-C only between waits


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """How a program ended.

    ``exit_code`` is negative for a signal, as in ``subprocess``. The texts are decoded leniently and capped:
    of long output the first and last 512 KiB remain.
    """

    exit_code: int
    stdout: str
    stderr: str


class ProgramTimeoutError(TimeoutError):
    """A program did not end in time and was killed, with what it had printed."""

    def __init__(self, program: str, *, timeout_s: float, stdout: str, stderr: str) -> None:
        """Keep the output: it often tells where the program hung."""
        super().__init__(f"`{program}` did not end within {timeout_s:g} s and was killed")
        self.timeout_s = timeout_s
        self.stdout = stdout
        self.stderr = stderr


def run_program(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path,
    timeout_s: float,
    stdin: bytes = b"",
    stop: threading.Event | None = None,
) -> Completed:
    """Run a program to its end and return what it printed.

    Args:
        argv: Program and arguments; the program is a path, never looked up.
        env: The whole environment of the child; nothing is inherited.
        cwd: Working directory.
        timeout_s: Wall-clock limit; afterwards the whole group is killed.
        stdin: Bytes for its standard input, which is then closed.
        stop: Ends the program when another thread sets it.

    Raises:
        ProgramTimeoutError: It did not end in time.
        InternalError: It was stopped; whoever set ``stop`` has a better reason to give.
        OSError: It could not be started.
    """
    deadline = time.monotonic() + timeout_s
    with start_program(argv, env=env, cwd=cwd, stdin=stdin) as child:
        while child.exit_code is None and time.monotonic() < deadline:
            if stop is not None and stop.is_set():
                raise InternalError("internal.stopped", f"`{Path(argv[0]).name}` was stopped")
            for _ in child.lines(min(deadline, time.monotonic() + _SLICE_S)):
                pass
        if child.exit_code is None:
            child.stop()
            raise ProgramTimeoutError(
                str(argv[0]), timeout_s=timeout_s, stdout=child.stdout, stderr=child.stderr
            )
        return Completed(exit_code=child.exit_code, stdout=child.stdout, stderr=child.stderr)


@contextmanager
def start_program(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path,
    stdin: bytes = b"",
    with_channel: bool = False,
    grace_s: float = _TERMINATION_GRACE_S,
) -> Iterator["ChildProcess"]:
    """Start a program for the length of a ``with`` block; its group is killed at the end of the block.

    One that has children in other groups gets more time, ``grace_s``, to end them when it is asked to stop.
    """
    child = ChildProcess(argv, env=env, cwd=cwd, stdin=stdin, with_channel=with_channel, grace_s=grace_s)
    try:
        yield child
    finally:
        child.stop()


class ChildProcess:
    """A running program, its output and its private pipe.

    Attributes:
        exit_code: None while it runs; negative for a signal.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdin: bytes,
        with_channel: bool,
        grace_s: float,
    ) -> None:
        """Start the program; see `run_program` and `start_program` for the arguments."""
        self.exit_code: int | None = None
        self._grace_s = grace_s
        self._events: queue.Queue[tuple[str, bytes | None]] = queue.Queue(maxsize=4096)
        self._output = {"stdout": _HeadAndTail(), "stderr": _HeadAndTail()}
        self._process, self._group, channel = _spawn(argv, env, cwd, with_channel=with_channel)
        self._readers = [
            threading.Thread(target=self._read, args=(name, pipe), daemon=True)
            for name, pipe in (
                ("stdout", self._process.stdout),
                ("stderr", self._process.stderr),
                ("channel", channel),
            )
            if pipe is not None
        ]
        for thread in (
            *self._readers,
            threading.Thread(target=self._feed, args=(stdin,), daemon=True),
            threading.Thread(target=self._wait, daemon=True),
        ):
            thread.start()

    @property
    def pid(self) -> int:
        """Return the operating system's number of the program."""
        return self._process.pid

    @property
    def stdout(self) -> str:
        """Return the captured head and tail of standard output."""
        return self._output["stdout"].text()

    @property
    def stderr(self) -> str:
        """Return the captured head and tail of standard error."""
        return self._output["stderr"].text()

    def lines(self, deadline: float) -> Iterator[tuple[str, bytes]]:
        """Yield ``(source, line)`` until the program ends or ``time.monotonic`` reaches ``deadline``.

        ``source`` is ``stdout``, ``stderr`` or ``channel``. When it returns, ``exit_code`` tells which of
        the two happened; it can be called again with a later deadline.
        """
        while self.exit_code is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return
            with suppress(queue.Empty):
                source, line = self._events.get(timeout=min(left_s, _SLICE_S))
                if line is None:
                    self._finish()
                else:
                    yield source, line
        while True:  # what had been written before the exit
            try:
                source, line = self._events.get_nowait()
            except queue.Empty:
                return
            if line is not None:
                yield source, line

    def stop(self) -> None:
        """End the program and its group: politely, soon after for good. An ended one stays ended."""
        if self.exit_code is None:
            self._group.terminate()
            deadline = time.monotonic() + self._grace_s
            for _ in self.lines(deadline):
                pass  # a full queue would keep the readers, and so the program, from ending
        if self.exit_code is None:
            self._group.kill()
            for _ in self.lines(time.monotonic() + _TERMINATION_GRACE_S):
                pass
        self._group.close()

    def _finish(self) -> None:
        """Reap the ended program, kill what it left behind and let the readers see the end of their pipes."""
        self._group.kill()
        self.exit_code = self._process.wait()
        self._group.wait_until_gone(timeout_s=_TERMINATION_GRACE_S)
        self._group.close()
        deadline = time.monotonic() + 1.0
        for reader in self._readers:
            while reader.is_alive() and time.monotonic() < deadline and not self._events.full():
                reader.join(timeout=0.05)

    def _read(self, name: str, pipe: IO[bytes]) -> None:
        kept = self._output.get(name)
        with suppress(OSError, ValueError), pipe:
            while line := pipe.readline(_LONGEST_LINE_BYTES if kept is None else 65536):
                if kept is not None:
                    kept.add(line)
                self._events.put((name, line))

    def _feed(self, data: bytes) -> None:
        pipe = self._process.stdin
        if pipe is not None:
            with suppress(OSError, ValueError), pipe:  # a program may end without reading
                pipe.write(data)

    def _wait(self) -> None:
        self._group.wait_without_reaping(self._process)
        self._events.put(("exit", None))


class _HeadAndTail:
    """The first and the last bytes of a stream."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def add(self, data: bytes) -> None:
        """Append ``data``, forgetting the middle."""
        room = _CAPTURE_HALF_BYTES - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room < len(data) else b""
        excess = len(self._tail) - _CAPTURE_HALF_BYTES
        if excess > _CAPTURE_HALF_BYTES:  # in large steps: each one moves the whole tail
            del self._tail[:excess]
            self._dropped += excess

    def text(self) -> str:
        """Return head and tail, with a line between that counts what is missing."""
        cut = max(0, len(self._tail) - _CAPTURE_HALF_BYTES)
        dropped = self._dropped + cut
        middle = f"\n… {dropped} bytes left out …\n".encode() if dropped else b""
        return (bytes(self._head) + middle + bytes(self._tail[cut:])).decode("utf-8", "replace")


def _spawn(
    argv: Sequence[str | Path], env: Mapping[str, str], cwd: Path, *, with_channel: bool
) -> tuple[subprocess.Popen[bytes], ProcessGroup, IO[bytes] | None]:
    """Start the program in a new group, with the writing end of a private pipe if asked."""
    if not os.access(argv[0], os.X_OK):  # behind the launcher its failure would look like the program's own
        raise FileNotFoundError(errno.ENOENT, "no such program", str(argv[0]))
    group = ProcessGroup()
    read_end, write_end = os.pipe() if with_channel else (None, None)
    try:
        process = group.start([str(part) for part in argv], env=env, cwd=cwd, channel=write_end)
    except OSError:
        group.close()
        if read_end is not None:
            os.close(read_end)
        raise
    finally:
        if write_end is not None:
            os.close(write_end)
    return process, group, None if read_end is None else os.fdopen(read_end, "rb")
