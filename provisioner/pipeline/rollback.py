"""The jobs of `provision rollback` and `provision list --generations`."""

from dataclasses import dataclass, replace

from provisioner.errors import InstallError, LockError, UsageError
from provisioner.events import Listener, Notice, ignore_events
from provisioner.ground.refusals import disk_error
from provisioner.install.environment_lock import hold_environment
from provisioner.install.generations import (
    EnvironmentHome,
    Generation,
    find_current_name,
    list_environments,
    list_generations,
)
from provisioner.install.in_use import hold_generation
from provisioner.install.snapshot import find_changed
from provisioner.install.transaction import switch_generation
from provisioner.lock.diff import LockDiff, diff_locks
from provisioner.lock.file import SUFFIX, read_lock
from provisioner.lock.model import Lock
from provisioner.pipeline.reports import read_report
from provisioner.pipeline.settings import Settings
from provisioner.validate.model import Report


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptGeneration:
    """A generation that is there.

    Attributes:
        report: Of its last validation on its profile's device; None where it was never validated there.
        other: Of its last validation on another device.
        current: Whether it is the one that is used.
        changes: What its lock changed, compared with the generation before it; None for the first one, and
            where one of the two keeps no lock that can be read.
    """

    generation: Generation
    report: Report | None
    other: Report | None
    current: bool
    changes: LockDiff | None = None


def rollback(
    settings: Settings,
    name: str | None,
    *,
    to: int | None,
    lock_timeout_s: float,
    on_event: Listener = ignore_events,
) -> KeptGeneration:
    """Make another generation the current one: the one before it, or the one with number ``to``.

    Whoever uses the old one goes on using it; nothing is built, validated or deleted.

    Returns:
        The generation that is current now, with the verdict that it got when it was validated.

    Raises:
        BusyError: Another process works on the environment, or is deleting that generation.
        InstallError: The generation has lost its interpreter.
        UsageError: There is no such environment or generation.
    """
    home = EnvironmentHome(data=settings.data)
    name = _choose_environment(settings, home) if name is None else name
    if not home.environment(name).is_dir():
        settings.load_environment(name)  # raises the error for it, and makes no folder for a lock
    command = f"provision rollback {name}"
    with hold_environment(home, name, timeout_s=lock_timeout_s, command=command, on_event=on_event):
        generation = _choose_generation(home, name, to)
        with hold_generation(home, generation, command=command):
            if not generation.python.is_file():
                raise InstallError(
                    "install.no_python",
                    f"generation {generation.number} of `{name}` has lost its Python `{generation.python}`",
                    hints=["choose another one: see `provision list --generations`"],
                    context={"path": str(generation.python)},
                )
            try:
                switch_generation(home, generation, on_event)
            except OSError as error:
                raise disk_error(home.environment(name), error) from error
    changed = find_changed(generation.prefix)
    if changed:
        message = (
            f"`{name}` was changed since it was built: `{changed[0]}`; `provision verify {name}` names all"
        )
        on_event(Notice(message=message, level="warning"))
    return KeptGeneration(
        generation=generation,
        report=read_report(generation),
        other=read_report(generation, other=True),
        current=True,
    )


def list_kept(settings: Settings, name: str) -> tuple[KeptGeneration, ...]:
    """Return an environment's generations, oldest first, each with what its lock changed."""
    home = EnvironmentHome(data=settings.data)
    current = find_current_name(home, name)
    found: list[KeptGeneration] = []
    before: Lock | None = None
    for generation in list_generations(home, name):
        lock = read_kept_lock(generation)
        found.append(
            KeptGeneration(
                generation=generation,
                report=read_report(generation),
                other=read_report(generation, other=True),
                current=generation.prefix.name == current,
                changes=diff_locks(before, lock) if before and lock else None,
            )
        )
        before = lock
    return tuple(found)


def _choose_environment(settings: Settings, home: EnvironmentHome) -> str:
    names = [name for name, _ in list_environments(home)]
    if len(names) == 1:
        return names[0]
    known = ", ".join(f"`{name}`" for name in names)
    raise UsageError(
        "usage.no_environment",
        f"`rollback` was given no environment, and there are {known}"
        if known
        else f"there is no environment in `{settings.data}`",
        hints=["name one: `provision rollback ENVIRONMENT`" if known else "run `provision create PROFILE`"],
    )


def _choose_generation(home: EnvironmentHome, name: str, to: int | None) -> Generation:
    kept = list_generations(home, name)
    current = find_current_name(home, name)
    place = next((place for place, each in enumerate(kept) if each.prefix.name == current), len(kept))
    if to is None:
        if place > 0:
            return kept[place - 1]
        what = f"`{name}` has no generation before its current one"
    else:
        found = next((each for each in kept if each.number == to), None)
        if found is not None:
            return found
        what = f"`{name}` has no generation {to}"
    numbers = ", ".join(str(each.number) for each in kept)
    raise UsageError(
        "usage.no_generation",
        f"{what}; there {'is' if len(kept) == 1 else 'are'} {numbers}" if numbers else what,
        hints=["see `provision list --generations`; `provision clean` has deleted what is not there"],
        context={"environment": name, "generations": [each.number for each in kept]},
    )


def read_kept_lock(generation: Generation) -> Lock | None:
    """Return this machine's part of the lock that a generation was built from."""
    receipt = generation.receipt
    try:
        lock = read_lock(generation.record / "lockfiles" / f"{receipt.profile}{SUFFIX}")
        return replace(lock, platforms=(lock.find_platform(receipt.platform),))
    except LockError:
        return None
