"""One process at a time builds or removes an environment; the system ends the lock when its holder dies."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from provisioner.errors import BusyError
from provisioner.events import Listener, Notice, ignore_events
from provisioner.ground.file_lock import hold_file
from provisioner.ground.files import make_private_folder, write_atomically
from provisioner.install.generations import EnvironmentHome

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
        command: What we are doing, for the messages of other processes.
        on_event: Gets a notice with the holder after a second of waiting.

    Raises:
        BusyError: Another process held it all the time.
    """
    home.environment(name)
    make_private_folder(home.data)
    make_private_folder(home.locks)
    path, side = home.locks / f"{name}.lock", home.locks / f"{name}.json"
    with ExitStack() as stack:
        held = stack.enter_context(hold_file(path, timeout_s=min(_QUIET_S, timeout_s)))
        if not held:
            on_event(Notice(message=f"waiting for {_describe_holder(side)}, which is working on `{name}`"))
            held = stack.enter_context(hold_file(path, timeout_s=timeout_s - _QUIET_S))
        if not held:
            raise _busy(name, side, timeout_s)
        holder = {"pid": os.getpid(), "command": command, "since": time.time()}
        write_atomically(side, json.dumps(holder), sync=False)
        try:
            yield
        finally:
            side.unlink(missing_ok=True)


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
        return describe_process(side.read_text(encoding="utf-8"))
    except OSError:
        return describe_process("")


def describe_process(record: str) -> str:
    """Return the words for a process that left a record of itself: its number, its command and since when."""
    try:
        holder = json.loads(record)
        age_s = max(0.0, time.time() - float(holder["since"]))
        return f"process {int(holder['pid'])} (`{holder['command']}`, for {age_s:.0f} s)"
    except (ValueError, LookupError, TypeError):
        return "another process"
