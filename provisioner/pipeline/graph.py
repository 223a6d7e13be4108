"""The job of `provision show --html`: what one platform of a lock holds, and what is known of it."""

from provisioner.diagnose.machine.known import Known, find_known
from provisioner.lock.file import read_lock
from provisioner.lock.model import Lock, LockedPlatform
from provisioner.pipeline.ledger import describe_stack, load_ledger
from provisioner.pipeline.settings import Settings, host_platform
from provisioner.profile.model import Profile


def read_graph(
    settings: Settings, profile: Profile, platform: str | None
) -> tuple[Lock, LockedPlatform, tuple[Known, ...]]:
    """Return the lock, one platform of it, and the rows of the ledger that its packages alone decide.

    Without ``platform`` it is this machine's where the lock has it, else the first.

    Raises:
        LockError: The lockfile is missing or damaged, or has not the platform.
    """
    lock = read_lock(settings.find_lockfile(profile))
    names = [each.platform for each in lock.platforms]
    if platform is None:
        here = host_platform()
        platform = here if here in names else names[0]
    part = lock.find_platform(platform)
    return lock, part, find_known(load_ledger(), describe_stack(platform, part.pip), None)
