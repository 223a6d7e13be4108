"""Run a solver's program so that another thread can end it."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event

from provisioner.engines.process.run import Completed, ProgramTimeoutError, start_program
from provisioner.errors import InternalError

_SLICE_S = 0.1


def run_solver(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path,
    timeout_s: float,
    stop: Event,
    stdin: bytes = b"",
) -> Completed:
    """Run a program to its end, or until ``stop`` is set; its children are gone when this returns.

    Raises:
        ProgramTimeoutError: It did not end in time.
        InternalError: It was stopped; whoever set ``stop`` has a better reason to give.
        OSError: It could not be started.
    """
    deadline = time.monotonic() + timeout_s
    with start_program(argv, env=env, cwd=cwd, stdin=stdin) as child:
        while child.exit_code is None and time.monotonic() < deadline:
            if stop.is_set():
                raise InternalError("internal.stopped", f"`{Path(argv[0]).name}` was stopped")
            for _ in child.lines(min(deadline, time.monotonic() + _SLICE_S)):
                pass
        if child.exit_code is None:
            child.stop()
            raise ProgramTimeoutError(
                str(argv[0]), timeout_s=timeout_s, stdout=child.stdout, stderr=child.stderr
            )
        return Completed(exit_code=child.exit_code, stdout=child.stdout, stderr=child.stderr)
