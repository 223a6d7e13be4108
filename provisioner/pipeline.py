"""The stages, in order: what each verb does, with engines that the command line has built."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import LockError
from provisioner.events import Listener, StageFinished, StageStarted, ignore_events
from provisioner.lock.assemble import make_lock
from provisioner.lock.freshness import Staleness, check_freshness
from provisioner.lock.model import Lock
from provisioner.lock.store import lockfile_path, read_lock, read_lock_head, write_lock
from provisioner.profile.model import Profile
from provisioner.resolve.model import PlatformResolution
from provisioner.resolve.request import CondaSolver, PipSolver
from provisioner.resolve.solve import resolve_profile


@dataclass(frozen=True, kw_only=True, slots=True)
class Locked:
    """The outcome of locking one profile.

    ``previous`` is the lock that stood there; ``changed`` tells whether the file's bytes did.
    """

    path: Path
    lock: Lock
    previous: Lock | None
    changed: bool


def lock_profile(
    profile: Profile,
    *,
    folder: Path,
    conda: CondaSolver,
    pip: PipSolver,
    update: Collection[str] = (),
    upgrade: bool = False,
    on_event: Listener = ignore_events,
) -> Locked:
    """Resolve a profile and write its lockfile.

    What the old lockfile holds and the profile still allows stays, but for the names in ``update``, and for
    everything with ``upgrade``.
    """
    path = lockfile_path(folder, profile.name)
    previous = _read_previous(path)
    kept = (
        {
            platform.platform: PlatformResolution(
                platform=platform.platform, conda=platform.conda, pip=platform.pip
            )
            for platform in previous.platforms
        }
        if previous and not upgrade
        else {}
    )
    on_event(StageStarted(stage="resolve", detail=profile.name))
    resolution = resolve_profile(
        profile, conda=conda, pip=pip, previous=kept, update=update, on_event=on_event
    )
    lock = make_lock(profile, resolution, source=_relative(profile.file, folder))
    changed = write_lock(path, lock)
    on_event(StageFinished(stage="resolve", seconds=0.0, detail=str(path)))
    return Locked(path=path, lock=lock, previous=previous, changed=changed)


def check_lock(profile: Profile, *, folder: Path) -> Staleness | None:
    """Compare a profile with its lockfile; no network is used.

    Raises:
        LockError: The lockfile is missing or damaged.
    """
    return check_freshness(read_lock_head(lockfile_path(folder, profile.name)), profile)


def _read_previous(path: Path) -> Lock | None:
    try:
        return read_lock(path)
    except LockError:
        # A missing or damaged lockfile is what locking mends.
        return None


def _relative(profile_file: str, folder: Path) -> str:
    """Return the profile's path as seen from the lockfile's folder, with ``/``; no path of this machine."""
    profile_path, base = Path(profile_file).absolute(), folder.absolute()
    if profile_path.parent.parent != base.parent:
        return f"../envs/{profile_path.name}"
    return Path(os.path.relpath(profile_path, base)).as_posix()
