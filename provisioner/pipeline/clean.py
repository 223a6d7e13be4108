"""The jobs of `provision remove` and `provision clean`: delete what nobody needs."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from provisioner.engines.store.store import remove_dead_parts
from provisioner.errors import BusyError, InstallError
from provisioner.ground.files import measure_tree, remove_tree
from provisioner.ground.scratch import find_dead_scratch
from provisioner.install.environment_lock import hold_environment
from provisioner.install.generations import (
    EnvironmentHome,
    find_current_name,
    find_environment,
    find_generation_folders,
    list_environments,
    remove_temporaries,
)
from provisioner.install.removal import (
    list_unbuilt,
    list_unpacked,
    remove_environment,
    remove_generation,
    remove_leftovers,
)
from provisioner.install.stable import is_stable, write_stable
from provisioner.install.use import hold_unused
from provisioner.pipeline.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Cleaned:
    """What was deleted.

    Attributes:
        removed: Folders and files.
        leftovers: How many generations that dead builders left.
        freed_bytes: What that freed.
        in_use: Why old generations were kept, a sentence each.
    """

    removed: tuple[Path, ...]
    leftovers: int = 0
    freed_bytes: int = 0
    in_use: tuple[str, ...] = ()


def remove(settings: Settings, name: str, *, lock_timeout_s: float) -> Cleaned:
    """Remove an environment with all its generations; downloads stay.

    Raises:
        BusyError: Another process works on it, or uses it.
        InstallError: The folder was not made by provision.
        UsageError: There is no such environment.
    """
    home = EnvironmentHome(data=settings.data)
    folder = home.environment(name)
    if not folder.exists():
        remove_environment(home, name)  # raises the error for it, and makes no folder for a lock
    with (
        hold_environment(home, name, timeout_s=lock_timeout_s, command=f"provision remove {name}"),
        hold_unused(home, find_generation_folders(home, name)),
    ):
        freed = measure_tree(folder)
        remove_environment(home, name)
    return Cleaned(removed=(folder,), freed_bytes=freed)


def clean(settings: Settings, *, everything: bool, lock_timeout_s: float) -> Cleaned:
    """Remove old generations and what dead processes left; with ``everything`` downloads and caches, too.

    A generation that a program is using is kept.
    """
    home = EnvironmentHome(data=settings.data)
    leftovers = freed = 0
    removed: list[Path] = []
    in_use: list[str] = []
    names = {*(name for name, _ in list_environments(home)), *list_unbuilt(home), *list_unpacked(home)}
    for name in sorted(names):
        with hold_environment(home, name, timeout_s=lock_timeout_s, command="provision clean"):
            places = (home.environment(name), home.unpacked(name))
            before = sum(measure_tree(place) for place in places)
            leftovers += remove_leftovers(home, name)
            if name in list_unbuilt(home):  # asked again: a build may have ended while we waited
                remove_environment(home, name)
                removed.append(home.environment(name))
            _mend_stable(home, name)
            for folder in find_generation_folders(home, name):
                try:
                    with hold_unused(home, [folder]):
                        removed += _clean_generation(folder, old=folder.name != find_current_name(home, name))
                except BusyError as busy:
                    in_use.append(busy.message)
            freed += before - sum(measure_tree(place) for place in places)
    before = measure_tree(home.store)
    removed += remove_dead_parts(home.store)
    freed += before - measure_tree(home.store)
    doomed = [
        *find_dead_scratch(),
        *find_dead_scratch(home.cache / "weights"),
        *find_dead_scratch(home.cache / "bytecode"),
    ]
    for folder in (*doomed, *((home.store, home.cache) if everything else ())):
        if folder.is_dir():
            freed += measure_tree(folder)
            remove_tree(folder)
            removed.append(folder)
    return Cleaned(removed=tuple(removed), leftovers=leftovers, freed_bytes=freed, in_use=tuple(in_use))


def _mend_stable(home: EnvironmentHome, name: str) -> None:
    """Let no link lead to a generation that is about to be deleted; the caller holds the lock."""
    with suppress(InstallError, OSError):
        current = find_environment(home, name)
        if current is not None and not is_stable(current):
            write_stable(home, current)


def _clean_generation(folder: Path, *, old: bool) -> list[Path]:
    if old:
        remove_generation(folder)
        return [folder]
    remove_temporaries(folder)
    return []
