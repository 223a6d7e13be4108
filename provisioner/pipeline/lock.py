"""The job of `provision lock`: resolve profiles into lockfiles, or check that lockfiles are fresh."""

import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from packaging.utils import canonicalize_name

from provisioner.diagnose.machine.known import find_known, list_notices
from provisioner.errors import LockError, ProvisionError, UsageError
from provisioner.events import Listener, StageFinished, StageStarted, ignore_events
from provisioner.ground.text import did_you_mean
from provisioner.lock.assemble import make_lock
from provisioner.lock.file import lockfile_path, read_lock, read_lock_head, write_lock
from provisioner.lock.freshness import check_freshness
from provisioner.lock.model import Lock
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.ledger import describe_stack, load_ledger
from provisioner.pipeline.settings import Settings
from provisioner.pipeline.wheelhouses import hint_wheelhouse
from provisioner.profile.load import list_profiles
from provisioner.profile.model import Device, Profile
from provisioner.resolve.model import PlatformResolution
from provisioner.resolve.parallel import run_parallel
from provisioner.resolve.solve import resolve_profile

# Each profile already solves its platforms side by side.
_PROFILES_AT_ONCE = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Locked:
    """The outcome of locking one profile; ``changed`` tells whether the file's bytes did."""

    path: Path
    lock: Lock
    changed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class LockCheck:
    """One profile's lockfile, compared with the profile; ``problem`` is None for a fresh one."""

    profile: str
    path: Path
    problem: ProvisionError | None


def lock_profiles(
    settings: Settings,
    profiles: Sequence[Profile],
    *,
    update: Collection[str] = (),
    upgrade: bool = False,
    on_event: Listener = ignore_events,
) -> list[Locked | ProvisionError]:
    """Resolve profiles and write their lockfiles; a failure of one does not keep the others from theirs.

    What an old lockfile holds and its profile still allows stays, but for the names in ``update``, and for
    everything with ``upgrade``.

    Raises:
        UsageError: A package to update is in no lockfile.
    """
    _check_update(settings, profiles, update)
    with Engines(settings, on_event=on_event) as engines:
        # Made here, by one thread, for all.
        _ = engines.conda_solver, engines.pip_solver

        def lock(profile: Profile) -> Locked | ProvisionError:
            try:
                return lock_profile(profile, engines, update=update, upgrade=upgrade, on_event=on_event)
            except ProvisionError as error:
                return error

        tasks = [partial(lock, profile) for profile in profiles]
        return run_parallel(tasks, workers=_PROFILES_AT_ONCE, stop=engines.close)


def lock_profile(
    profile: Profile,
    engines: Engines,
    *,
    update: Collection[str] = (),
    upgrade: bool = False,
    on_event: Listener = ignore_events,
) -> Locked:
    """Resolve one profile and write its lockfile; see `lock_profiles`."""
    folder = engines.settings.choose_lockfile_folder(profile)
    path = lockfile_path(folder, profile.name)
    started = time.monotonic()
    on_event(StageStarted(stage="resolve", detail=profile.name))
    try:
        resolution = resolve_profile(
            profile,
            conda=engines.conda_solver,
            pip=engines.pip_solver,
            previous={} if upgrade else _read_previous(path),
            update=update,
            on_event=on_event,
        )
    except ProvisionError as error:
        hint_wheelhouse(error, profile, engines)
        raise
    lock = make_lock(profile, resolution, source=_relative(profile.file, folder))
    changed = write_lock(path, lock)
    on_event(StageFinished(stage="resolve", seconds=time.monotonic() - started, detail=profile.name))
    if profile.device is Device.XPU:
        _tell_known(lock, on_event)
    return Locked(path=path, lock=lock, changed=changed)


def _tell_known(lock: Lock, on_event: Listener) -> None:
    """Tell what is known of the locked packages, whatever machine they meet."""
    rows = load_ledger()
    for part in lock.platforms:
        known = find_known(rows, describe_stack(part.platform, part.pip), None)
        sure = [each for each in known if each.sure]
        for notice in list_notices(sure, subject=f"`{lock.profile}`", where=f"on `{part.platform}`"):
            on_event(notice)


def lock_if_stale(settings: Settings, profile: Profile, *, on_event: Listener) -> None:
    """Lock a profile where no lockfile answers it."""
    if check_lockfile(settings, profile).problem is not None:
        with Engines(settings, on_event=on_event) as engines:
            lock_profile(profile, engines, on_event=on_event)


def check_lockfile(settings: Settings, profile: Profile) -> LockCheck:
    """Compare a profile with its lockfile; no network is used."""
    path = settings.find_lockfile(profile)
    try:
        problem = check_freshness(read_lock_head(path), profile, lockfile=str(path))
    except LockError as error:
        return LockCheck(profile=profile.name, path=path, problem=error)
    return LockCheck(profile=profile.name, path=path, problem=problem)


def load_all_profiles(settings: Settings) -> list[Profile]:
    """Return every profile of the first folder that has any, without the built-in ones beside it.

    Raises:
        UsageError: There is none; ``ErrorList`` where one is broken.
    """
    listed = list_profiles(settings.profile_folders)
    for folder in settings.profile_folders:
        entries = [entry for entry in listed if Path(entry.file).parent == folder]
        broken = [entry.error for entry in entries if entry.error is not None]
        if broken:
            raise broken[0]
        if entries:
            # What they extend may lie in another folder.
            return [settings.load_profile(entry.name) for entry in entries]
    raise UsageError("usage.no_profiles", "no folder holds a profile", hints=["name one with `--envs DIR`"])


def _read_previous(path: Path) -> Mapping[str, PlatformResolution]:
    """Return what a lockfile holds, by platform; nothing for a missing or damaged one: locking mends it."""
    try:
        return {part.platform: part for part in read_lock(path).platforms}
    except LockError:
        return {}


def _check_update(settings: Settings, profiles: Sequence[Profile], update: Collection[str]) -> None:
    """Refuse a package to update that is in no lockfile: a typing mistake would go unnoticed.

    Raises:
        UsageError: ``usage.lock_update``.
    """
    locked: set[str] = set()
    for profile in profiles if update else ():
        parts = _read_previous(settings.find_lockfile(profile))
        if not parts:
            return  # what the first lock will hold is not known
        for part in parts.values():
            locked |= {package.name for package in part.conda}
            locked |= {package.name for package in part.pip}
    for name in update:
        if canonicalize_name(name) not in locked and name not in locked:
            raise UsageError(
                "usage.lock_update",
                f"`--update {name}`: no lockfile has this package{did_you_mean(name, locked)}",
                hints=["name a package as the lockfile does"],
            )


def _relative(profile_file: str, folder: Path) -> str:
    """Return the profile's path as seen from the lockfile's folder, with ``/``; no path of this machine."""
    profile_path, base = Path(profile_file).absolute(), folder.absolute()
    if profile_path.parent.parent != base.parent:
        return f"../envs/{profile_path.name}"
    return Path(os.path.relpath(profile_path, base)).as_posix()
