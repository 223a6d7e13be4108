"""The jobs of `provision remove` and `provision clean`: delete what nobody needs."""

import math
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from provisioner.engines.bytecode.cache import remove_compiled
from provisioner.engines.machine.environment import find_base_python_folder
from provisioner.engines.store.store import remove_dead_parts, remove_stored
from provisioner.errors import BusyError, InstallError
from provisioner.ground.deletion import measure_tree, remove_among_others, remove_tree
from provisioner.ground.files import make_private_folder, remove_dead_temporaries
from provisioner.ground.scratch import find_dead_scratch
from provisioner.install.environment_lock import hold_environment
from provisioner.install.generations import (
    EnvironmentHome,
    find_current_name,
    find_environment,
    find_generation_folders,
    list_environments,
    list_generations,
    remove_temporaries,
)
from provisioner.install.in_use import hold_unused, hold_unused_downloads
from provisioner.install.launchers import write_stable
from provisioner.install.receipt import RECEIPT_NAME
from provisioner.install.removal import (
    list_unbuilt,
    list_unpacked,
    remove_environment,
    remove_generation,
    remove_leftovers,
)
from provisioner.install.stable_path import is_stable
from provisioner.lock.file import read_lock
from provisioner.pipeline.integrate import find_settings, remove_kernel
from provisioner.pipeline.settings import Settings

_Delete = Callable[[Path], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Removed:
    """An environment that was removed.

    Attributes:
        freed_bytes: What that freed.
        kernel: The folder of its Jupyter kernel, which was removed too.
        settings: Files of VS Code's settings that name its interpreter still.
    """

    freed_bytes: int
    kernel: Path | None
    settings: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cleaned:
    """What was deleted, or would be.

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


def remove(settings: Settings, name: str, *, lock_timeout_s: float) -> Removed:
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
        written = find_settings(settings, name)
        remove_environment(home, name)
    return Removed(freed_bytes=freed, kernel=remove_kernel(settings, name), settings=written)


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanChoices:
    """What a user may choose about cleaning; without any, old generations go, and downloads stay.

    Attributes:
        everything: Also all downloads and caches.
        keep: Also all downloads and caches, but those of these profiles.
        older_than_s: Only what is older; also downloads that no environment is built of.
        dry_run: Only tell what would go.
    """

    everything: bool = False
    keep: tuple[str, ...] = ()
    older_than_s: float | None = None
    dry_run: bool = False


def clean(settings: Settings, choices: CleanChoices, *, lock_timeout_s: float) -> Cleaned:
    """Remove old generations and what dead processes left; what else, the choices say.

    A generation that a program is using is kept.

    Raises:
        InstallError: ``install.folder``: the data folder is another user's or open to all.
        LockError: A profile to keep has no lockfile.
        UsageError: There is no such profile.
    """
    kept = _find_locked(settings, choices.keep) if choices.keep else frozenset()
    limit = math.inf if choices.older_than_s is None else time.time() - choices.older_than_s
    home = EnvironmentHome(data=settings.data)
    if home.data.is_dir():
        make_private_folder(home.data)
    removed: list[Path] = []
    in_use: list[str] = []
    leftovers = 0
    # In a dry run the same walk under the same locks puts into it what would go.
    found: list[Path] = []
    delete: _Delete = found.append if choices.dry_run else remove_tree
    delete_scratch: _Delete = found.append if choices.dry_run else remove_among_others
    names = {*(name for name, _ in list_environments(home)), *list_unbuilt(home), *list_unpacked(home)}
    environments = [home.environment(name) for name in sorted(names)]
    scratch = find_dead_scratch()
    caches = [
        folder
        for parent in (home.pythons, *(home.cache / name for name in ("weights", "bytecode", "bisect")))
        for folder in find_dead_scratch(parent)
    ]
    with _measure_freed(*environments, *scratch, home.store, home.cache, home.pythons) as freed:
        for name in sorted(names):
            with hold_environment(home, name, timeout_s=lock_timeout_s, command="provision clean"):
                leftovers += remove_leftovers(home, name, remove=delete)
                if not choices.dry_run:
                    _mend_stable(home, name)
                removed += _clean_environment(home, name, limit=limit, in_use=in_use, delete=delete)
        removed += remove_dead_parts(home.store, remove=delete)
        for folder in (home.store, home.cache, home.locks):
            removed += remove_dead_temporaries(
                (Path(place, name) for place, _, names in os.walk(folder) for name in names), remove=delete
            )
        removed += _remove_folders(scratch, delete_scratch)
        removed += _remove_folders(caches, delete)
        if choices.everything or choices.keep or choices.older_than_s is not None:
            with hold_unused_downloads(home) as unused:
                if unused:
                    removed += _remove_downloads(
                        home, choices, kept=kept, limit=limit, delete=delete, gone=found
                    )
                else:
                    in_use.append("another process uses downloads: it builds or validates an environment")
    freed_bytes = measure_tree(*found) if choices.dry_run else sum(freed)
    return Cleaned(removed=tuple(removed), leftovers=leftovers, freed_bytes=freed_bytes, in_use=tuple(in_use))


@contextmanager
def _measure_freed(*folders: Path) -> Iterator[list[int]]:
    """Yield a list that has, after the block, by how much each folder has shrunk; others may fill them."""
    before = {folder: measure_tree(folder) for folder in folders}
    freed: list[int] = []
    yield freed
    freed += [max(0, size - measure_tree(folder)) for folder, size in before.items()]


def _clean_environment(
    home: EnvironmentHome, name: str, *, limit: float, in_use: list[str], delete: _Delete
) -> list[Path]:
    """Delete old generations that nobody uses, and say in ``in_use`` who does; the caller holds the lock."""
    removed = []
    if name in list_unbuilt(home):  # asked again: a build may have ended while we waited
        delete(home.environment(name))
        removed.append(home.environment(name))
    for folder in find_generation_folders(home, name):
        if not (folder / RECEIPT_NAME).is_file():
            continue  # a leftover of a dead builder, in a dry run still there
        try:
            with hold_unused(home, [folder]):
                if folder.name == find_current_name(home, name):
                    remove_temporaries(folder, remove=delete)
                elif _is_older(folder, limit):
                    remove_generation(folder, remove=delete)
                    removed.append(folder)
        except BusyError as busy:
            in_use.append(busy.message)
    return removed


def _find_locked(settings: Settings, names: Sequence[str]) -> frozenset[str]:
    """Return the digests of the files that profiles need: by their lockfiles, and in their environments."""
    profiles = [settings.load_profile(name) for name in names]
    locks = [read_lock(settings.find_lockfile(profile)) for profile in profiles]
    parts = [part for lock in locks for part in lock.platforms]
    locked = {package.sha256 for part in parts for package in part.conda}
    locked |= {package.sha256 for part in parts for package in part.pip}
    built = _find_built(EnvironmentHome(data=settings.data), frozenset(each.name for each in profiles))
    return built | locked


def _find_built(
    home: EnvironmentHome, profiles: frozenset[str] | None, *, gone: Collection[Path] = ()
) -> frozenset[str]:
    """Return the digests of the files that environments were built of; None: those of all profiles."""
    return frozenset(
        package.sha256
        for name, _ in list_environments(home)
        for generation in list_generations(home, name)
        if profiles is None or generation.receipt.profile in profiles
        if generation.prefix not in gone
        for package in generation.receipt.packages
    )


def _remove_downloads(
    home: EnvironmentHome,
    choices: CleanChoices,
    *,
    kept: frozenset[str],
    limit: float,
    delete: _Delete,
    gone: Collection[Path],
) -> list[Path]:
    """Delete downloads and what was made of them: those that no environment has, or all but the kept."""
    everything = choices.everything or bool(choices.keep)
    pythons = [folder for folder in _find_unused_pythons(home, gone) if _is_older(folder, limit)]
    if everything and not choices.keep and choices.older_than_s is None:
        return _remove_folders([home.store, home.cache, *pythons], delete)
    if not everything:
        kept = kept | _find_built(home, None, gone=gone)
    weights = [folder for folder in (home.cache / "weights").glob("*") if folder.name[:64] not in kept]
    caches = [folder for folder in home.cache.glob("*") if folder.name not in {"bytecode", "weights"}]
    return [
        *remove_stored(home.store, kept=kept, before=limit, remove=delete),
        *remove_compiled(home.cache / "bytecode", kept=kept, before=limit, remove=delete),
        *_remove_folders([folder for folder in weights if _is_older(folder, limit)], delete),
        *_remove_folders(pythons, delete),
        *_remove_folders(caches if everything and choices.older_than_s is None else [], delete),
    ]


def _find_unused_pythons(home: EnvironmentHome, gone: Collection[Path]) -> list[Path]:
    """Return the managed Pythons that no virtual environment was made of, also none that is being built."""
    generations = set((home.data / "environments").glob("*/generations/*")) - set(gone)
    bases = [folder.resolve() for folder in map(find_base_python_folder, generations) if folder]
    return [
        folder
        for folder in home.pythons.glob("*")
        if not any(base.is_relative_to(folder.resolve()) for base in bases)
    ]


def _remove_folders(folders: Iterable[Path], delete: _Delete) -> list[Path]:
    removed = [folder for folder in folders if folder.is_dir()]
    for folder in removed:
        delete(folder)
    return removed


def _is_older(folder: Path, limit: float) -> bool:
    return folder.stat().st_mtime < limit


def _mend_stable(home: EnvironmentHome, name: str) -> None:
    """Let no link lead to a generation that is about to be deleted; the caller holds the lock."""
    with suppress(InstallError, OSError):
        current = find_environment(home, name)
        if current is not None and not is_stable(current):
            write_stable(home, current)
