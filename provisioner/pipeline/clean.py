"""The jobs of `provision remove` and `provision clean`: delete what nobody needs."""

from dataclasses import dataclass
from pathlib import Path

from provisioner.ground.files import measure_tree, remove_tree
from provisioner.install.environment_lock import hold_environment
from provisioner.install.home import (
    EnvironmentHome,
    list_environments,
    list_unbuilt,
    remove_environment,
    remove_leftovers,
    remove_old_generations,
)
from provisioner.pipeline.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Cleaned:
    """What was deleted: folders, how many generations that dead builders left, and the freed bytes."""

    removed: tuple[Path, ...]
    leftovers: int = 0
    freed_bytes: int = 0


def remove(settings: Settings, name: str, *, lock_timeout_s: float) -> Cleaned:
    """Remove an environment with all its generations; downloads stay.

    Raises:
        BusyError: Another process works on it.
        InstallError: The folder was not made by provision.
        UsageError: There is no such environment.
    """
    home = EnvironmentHome(data=settings.data)
    if not home.environment(name).exists():
        remove_environment(home, name)  # says that there is none, and makes no folder for a lock
    with hold_environment(home, name, timeout_s=lock_timeout_s, command=f"provision remove {name}"):
        freed = measure_tree(home.environment(name))
        remove_environment(home, name)
    return Cleaned(removed=(home.environment(name),), freed_bytes=freed)


def clean(settings: Settings, *, everything: bool, lock_timeout_s: float) -> Cleaned:
    """Remove old generations and what dead builders left; with ``everything`` downloads and caches, too."""
    home = EnvironmentHome(data=settings.data)
    removed: list[Path] = []
    leftovers = freed = 0
    for name, _ in list_environments(home):
        with hold_environment(home, name, timeout_s=lock_timeout_s, command="provision clean"):
            before = measure_tree(home.environment(name))
            leftovers += remove_leftovers(home, name)
            removed += remove_old_generations(home, name, keep=0)
            freed += before - measure_tree(home.environment(name))
    for name in list_unbuilt(home):
        with hold_environment(home, name, timeout_s=lock_timeout_s, command="provision clean"):
            # Asked again: a build may have ended while we waited.
            if name in list_unbuilt(home):
                freed += measure_tree(home.environment(name))
                remove_environment(home, name)
                removed.append(home.environment(name))
    for folder in (home.store, home.cache) if everything else ():
        if folder.is_dir():
            freed += measure_tree(folder)
            remove_tree(folder)
            removed.append(folder)
    return Cleaned(removed=tuple(removed), leftovers=leftovers, freed_bytes=freed)
