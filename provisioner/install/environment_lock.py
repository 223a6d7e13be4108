"""One process at a time builds or removes an environment; the system ends the lock when its holder dies."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner.errors import BusyError
from provisioner.events import Listener, Notice, ignore_events
from provisioner.install.folders import make_private_folder, write_atomically
from provisioner.install.home import EnvironmentHome

_QUIET_S = 1.0


@contextmanager
def hold_environment(
    home: EnvironmentHome,
    name: str,
    *,
    timeout_s: float = 300.0,
    command: str = "provision",
    on_event: Listener = ignore_events,
) -> Iterator[None]:
    """Hold an environment's lock for the length of a ``with`` block.

    Args:
        home: The data folder.
        name: The environment.
        timeout_s: How long to wait for another process.
        command: What others are told that we are doing.
        on_event: Told after a second of waiting who holds it.

    Raises:
        BusyError: Another process held it all the time.
    """
    # imported here: an environment that is up to date needs no lock, and this costs as much as all the rest
    from filelock import FileLock, Timeout  # noqa: PLC0415 - see above

    home.environment(name)
    make_private_folder(home.data)
    make_private_folder(home.locks)
    side = home.locks / f"{name}.json"
    lock = FileLock(home.locks / f"{name}.lock")
    try:
        lock.acquire(timeout=min(_QUIET_S, timeout_s))
    except Timeout:
        on_event(Notice(message=f"waiting for {_describe_holder(side)}, which is working on `{name}`"))
        try:
            lock.acquire(timeout=max(0.0, timeout_s - _QUIET_S))
        except Timeout as error:
            raise _busy(name, side, timeout_s) from error
    try:
        holder = {"pid": os.getpid(), "command": command, "since": time.time()}
        write_atomically(side, json.dumps(holder) + "\n")
        yield
    finally:
        side.unlink(missing_ok=True)
        lock.release()


def _busy(name: str, side: Path, timeout_s: float) -> BusyError:
    return BusyError(
        "busy.environment",
        f"the environment `{name}` is held by {_describe_holder(side)}; waited {timeout_s:g} s",
        hints=["wait for it to end, or end that process", "wait longer with `--lock-timeout`"],
        retryable=True,
        context={"environment": name, "path": str(side.with_suffix(".lock"))},
    )


def _describe_holder(side: Path) -> str:
    try:
        holder = json.loads(side.read_text(encoding="utf-8"))
        age_s = max(0.0, time.time() - float(holder["since"]))
        return f"process {int(holder['pid'])} (`{holder['command']}`, for {age_s:.0f} s)"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
