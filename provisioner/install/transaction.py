"""Build an environment so that it is there completely or not at all, and the old one until then.

A conda prefix and uv's scripts contain their own path, so nothing is built elsewhere and moved: every
generation is built in its final folder, gets its receipt last, and then one small file is switched. Whatever
happens until then, the old generation stays current.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import InstallError
from provisioner.events import Listener, Notice, StageFinished, StageStarted, ignore_events
from provisioner.ground.deletion import remove_tree
from provisioner.ground.refusals import disk_error
from provisioner.install.environment_lock import hold_environment
from provisioner.install.generations import (
    EnvironmentHome,
    Generation,
    find_current_name,
    find_environment,
    find_generation_folders,
    list_generations,
    matches_plan,
    next_number,
    prepare_environment,
    publish,
)
from provisioner.install.launchers import write_stable
from provisioner.install.plan import InstallPlan
from provisioner.install.receipt import Receipt
from provisioner.install.removal import remove_environment, remove_generation, remove_leftovers
from provisioner.install.stable_path import find_stable

_NOTICE_FROM = 5
_STOPPING_S = 0.5


def install_environment(
    plan: InstallPlan,
    *,
    home: EnvironmentHome,
    build: Callable[[Path], Receipt],
    on_event: Listener = ignore_events,
    lock_timeout_s: float = 300.0,
    command: str = "provision",
    rebuild: bool = False,
) -> Generation:
    """Return the environment's current generation, built or chosen so that it is what the plan says.

    Args:
        plan: What to build.
        home: The data folder.
        build: Builds what the plan says in a folder that is absent and final, and writes its receipt last;
            called only when something has to be built.
        on_event: Gets steps, progress and notices.
        lock_timeout_s: How long to wait for another process that works on the same environment.
        command: What we are doing, for the messages of other processes.
        rebuild: Build a new generation although the current one is what the plan says.

    Raises:
        BusyError: Another process held the environment all the time.
        InstallError: It could not be built; the environment that was current still is.
        UnavailableError: A file could not be had; the same.
    """
    current = _find_usable(home, plan.environment)
    if current is not None and not rebuild and matches_plan(current, plan):
        return current
    try:
        with hold_environment(
            home, plan.environment, timeout_s=lock_timeout_s, command=command, on_event=on_event
        ):
            found = _find_usable(home, plan.environment)
            # another process may have built it while we waited
            waited = found is not None and (current is None or found.prefix != current.prefix)
            if found is not None and matches_plan(found, plan) and (waited or not rebuild):
                return found
            kept = None if rebuild else _find_kept(home, plan)
            if kept is not None:
                switch_generation(home, kept, on_event)
                return kept
            return _build(plan, home=home, build=build, on_event=on_event)
    except OSError as error:
        raise disk_error(home.data, error) from error


def find_current(home: EnvironmentHome, plan: InstallPlan) -> Generation | None:
    """Return the current generation if it is what the plan says; None where it has to be built."""
    current = _find_usable(home, plan.environment)
    return current if current is not None and matches_plan(current, plan) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What an environment was before a change; ``current`` is empty where there was none."""

    current: str
    generations: frozenset[str]


def remember_environment(home: EnvironmentHome, name: str) -> Standing:
    """Return what `restore_environment` needs."""
    folders = find_generation_folders(home, name)
    return Standing(
        current=find_current_name(home, name), generations=frozenset(folder.name for folder in folders)
    )


def restore_environment(home: EnvironmentHome, name: str, before: Standing) -> None:
    """Bring an environment back to what it was: switch back, and delete what was built since."""
    if remember_environment(home, name) == before and (before.current or not home.environment(name).exists()):
        return
    with hold_environment(home, name, command="provision add"):
        if not before.current and not before.generations:
            remove_environment(home, name)
            return
        for kept in list_generations(home, name):
            if kept.prefix.name == before.current:
                switch_generation(home, kept, ignore_events)
        for folder in find_generation_folders(home, name):
            if folder.name not in before.generations:
                remove_generation(folder)
        remove_leftovers(home, name)


def _build(
    plan: InstallPlan, *, home: EnvironmentHome, build: Callable[[Path], Receipt], on_event: Listener
) -> Generation:
    name = plan.environment
    folder = prepare_environment(home, name)
    remove_leftovers(home, name)
    number = next_number(home, name)
    prefix = folder / f"{number}-{plan.fingerprint[:8]}"
    try:
        receipt = build(prefix)
        on_event(StageStarted(stage="install", detail="switch"))
        publish(home, name, prefix.name)
    except BaseException as error:
        if find_current_name(home, name) != prefix.name:
            _remove(prefix, stopping=not isinstance(error, Exception))
        raise
    generation = Generation(number=number, prefix=prefix, receipt=receipt, new=True)
    _write_stable(home, generation, on_event)
    on_event(StageFinished(stage="install", seconds=0.0, detail="switch"))
    for notice in receipt.notices:
        on_event(Notice(message=notice, level="warning"))
    old = len(list_generations(home, name)) - 1
    if old >= _NOTICE_FROM:  # not deleted here: that can take longer than the build
        on_event(Notice(message=f"`{name}` has {old} old generations; `provision clean` deletes them"))
    return generation


def switch_generation(home: EnvironmentHome, generation: Generation, on_event: Listener) -> None:
    """Make a complete generation the current one; the caller holds the environment's lock.

    Raises:
        OSError: It could not be written; the old one is current.
    """
    publish(home, generation.receipt.environment, generation.prefix.name)
    _write_stable(home, generation, on_event)


def _write_stable(home: EnvironmentHome, generation: Generation, on_event: Listener) -> None:
    """Let the stable path follow; a file system without links costs this path, and not the environment."""
    try:
        write_stable(home, generation)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        told = f"the link `{find_stable(generation).link}` could not be written: {why}"
        on_event(Notice(message=f"{told}; `provision run` needs none", level="warning"))


def _remove(prefix: Path, *, stopping: bool) -> None:
    """Remove what was built so far; whoever stops us waits a moment, and the next build does the rest."""

    def remove() -> None:
        with suppress(OSError):
            remove_tree(prefix)

    thread = threading.Thread(target=remove, daemon=True)
    thread.start()
    thread.join(timeout=_STOPPING_S if stopping else None)


def _find_kept(home: EnvironmentHome, plan: InstallPlan) -> Generation | None:
    """Return a complete generation of the plan: of an older lock, or its builder died before the switch."""
    kept = [built for built in list_generations(home, plan.environment) if matches_plan(built, plan)]
    return kept[-1] if kept else None


def _find_usable(home: EnvironmentHome, name: str) -> Generation | None:
    """Return the current generation; None for a damaged one, too, because building mends it."""
    try:
        return find_environment(home, name)
    except InstallError:
        return None
