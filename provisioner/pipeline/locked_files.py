"""The files that a profile's lock names, for the jobs that hand them on: `provision bundle` and `mirror`."""

from collections.abc import Collection, Iterable

from provisioner.engines.store.store import Package
from provisioner.lock.file import read_lock, read_lock_head
from provisioner.lock.freshness import check_freshness
from provisioner.lock.model import Lock
from provisioner.pipeline.settings import Settings
from provisioner.profile.model import Profile


def read_fresh_lock(settings: Settings, profile: Profile) -> Lock:
    """Return a profile's lock.

    Raises:
        LockError: It is missing, damaged, or does not answer the profile any more.
    """
    path = settings.find_lockfile(profile)
    stale = check_freshness(read_lock_head(path), profile, lockfile=path.as_posix())
    if stale is not None:
        raise stale
    return read_lock(path)


def list_locked(locks: Iterable[Lock], platforms: Collection[str]) -> list[tuple[Lock, Package]]:
    """Return every locked file of the platforms, each with a lock that names it.

    Raises:
        LockError: A lock lacks one of the platforms.
    """
    locked: list[tuple[Lock, Package]] = []
    for lock in locks:
        for platform in sorted(platforms):
            part = lock.find_platform(platform)
            locked += [(lock, package) for package in part.conda]
            locked += [(lock, package) for package in part.pip]
    return locked
