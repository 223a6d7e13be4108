"""A generation that a program is using is deleted by nobody; the system ends the use when the program ends.

locks/<name>.<generation>.use    locked by all processes that use a generation, or by the one that deletes it
locks/<name>.<generation>.users  a line for each of its users
locks/downloads.use              locked by all processes that use the store, or by one that deletes there
"""

import json
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from provisioner.errors import BusyError, InstallError
from provisioner.ground.file_lock import hold_file
from provisioner.ground.files import make_private_folder, write_atomically
from provisioner.install.environment_lock import describe_process
from provisioner.install.generations import EnvironmentHome, Generation
from provisioner.install.receipt import RECEIPT_NAME

_MOST_USERS = 100
_DOWNLOADS = "downloads.use"


@contextmanager
def hold_generation(home: EnvironmentHome, generation: Generation, *, command: str) -> Iterator[None]:
    """Use a generation for the length of a ``with`` block, and in what this process turns into.

    Args:
        home: The data folder.
        generation: What is used.
        command: What we are doing, for the messages of other processes.

    Raises:
        BusyError: Another process is deleting it.
        InstallError: It was deleted.
    """
    path = _lock_of(home, generation.prefix)
    with ExitStack() as stack:
        try:
            make_private_folder(home.locks)
            held = stack.enter_context(hold_file(path, timeout_s=0.0, shared=True, inherited=True))
        except InstallError:
            held = True  # a data folder that we may only read: nobody deletes from it in our name
        if not held:
            raise _busy(generation.prefix, "another process is deleting it")
        if not (generation.prefix / RECEIPT_NAME).is_file():
            raise InstallError(
                "install.receipt",
                f"the environment in `{generation.prefix}` was deleted",
                hints=["run the same command again"],
                context={"path": str(generation.prefix)},
            )
        with suppress(OSError):  # then others cannot name us
            _add_user(path, command)
        yield


@contextmanager
def hold_unused(home: EnvironmentHome, generations: Sequence[Path]) -> Iterator[None]:
    """Keep others from using generations, which the block deletes.

    Raises:
        BusyError: A process is using one of them.
    """
    make_private_folder(home.locks)
    with ExitStack() as stack:
        for prefix in generations:
            path = _lock_of(home, prefix)
            if not stack.enter_context(hold_file(path, timeout_s=0.0)):
                raise _busy(prefix, f"{_describe_user(path)} is using it")
            if sys.platform == "win32":
                _check_movable(prefix)
        yield
        for path in (_lock_of(home, prefix) for prefix in generations if not prefix.exists()):
            with suppress(PermissionError):  # Windows keeps a file that is open
                path.with_suffix(".users").unlink(missing_ok=True)
                path.unlink()


@contextmanager
def hold_downloads(home: EnvironmentHome) -> Iterator[None]:
    """Keep others from deleting downloads for the length of a ``with`` block."""
    with ExitStack() as stack:
        with suppress(
            InstallError
        ):  # a data folder that we may only read: nobody deletes from it in our name
            make_private_folder(home.locks)
            stack.enter_context(hold_file(home.locks / _DOWNLOADS, timeout_s=math.inf, shared=True))
        yield


@contextmanager
def hold_unused_downloads(home: EnvironmentHome) -> Iterator[bool]:
    """Yield whether nobody uses downloads, and keep others from it meanwhile."""
    make_private_folder(home.locks)
    with hold_file(home.locks / _DOWNLOADS, timeout_s=0.0) as unused:
        yield unused


def _check_movable(prefix: Path) -> None:
    """Ask Windows whether any program runs from a folder or has a file of it open, ours or not."""
    moved = prefix.with_name(f"{prefix.name}.moved")
    try:
        prefix.rename(moved)
    except PermissionError as error:
        raise _busy(prefix, "a program runs from it or has one of its files open") from error
    moved.rename(prefix)


def _lock_of(home: EnvironmentHome, prefix: Path) -> Path:
    return home.locks / f"{prefix.parents[1].name}.{prefix.name}.use"


def _add_user(path: Path, command: str) -> None:
    """Put our line behind those of other users; of two that do so at once, one may be left out."""
    line = json.dumps({"pid": os.getpid(), "command": command, "since": time.time()})
    lines = [*_find_users(path)[-_MOST_USERS:], line]
    write_atomically(path.with_suffix(".users"), "\n".join(lines) + "\n", sync=False)


def _describe_user(path: Path) -> str:
    """Return the words for the last process that began to use a generation and still runs."""
    return describe_process(next(reversed(_find_users(path)), ""))


def _find_users(path: Path) -> list[str]:
    try:
        lines = path.with_suffix(".users").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [line for line in lines if _is_alive(line)]


def _is_alive(line: str) -> bool:
    if sys.platform == "win32":  # asking by a signal would end it there
        return True
    try:
        os.kill(int(json.loads(line)["pid"]), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return True


def _busy(prefix: Path, why: str) -> BusyError:
    name = prefix.parents[1].name
    return BusyError(
        "busy.environment",
        f"the environment `{name}` is in use: {why}",
        hints=["end that process, or wait for it, and run the same command again"],
        retryable=True,
        context={"environment": name, "path": str(prefix)},
    )
