"""A lockfile's content."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioner.errors import LockError
from provisioner.resolve.model import PlatformResolution


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedPlatform(PlatformResolution):
    """What one platform installs, validation assets included.

    ``fingerprint`` is a sha256 over the profile's fields that decide this platform's packages.
    """

    fingerprint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LockHead:
    """What a lockfile says before its packages: enough to tell fresh from stale, and quick to read.

    Attributes:
        profile: The profile's name.
        source: Path of the profile, relative to the lockfile's folder, with ``/``.
        channels: Canonical conda channels.
        indexes: Index name to canonical address, without the default index.
        inputs: Fingerprint field (``linux-64 pip``) to its canonical JSON: what the profile said when locked.
        notes: Sentences from resolving (yanked files allowed, overrides and their reasons).
        fingerprint_version: The list of fields that ``inputs`` was made with.
    """

    profile: str
    source: str
    channels: tuple[str, ...] = ()
    indexes: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fingerprint_version: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock(LockHead):
    """One profile's lock: the head, and the packages of each platform, sorted by the platforms' names."""

    platforms: tuple[LockedPlatform, ...]

    def find_platform(self, name: str) -> LockedPlatform:
        """Return what one platform installs.

        Raises:
            LockError: The lock has no such platform.
        """
        for platform in self.platforms:
            if platform.platform == name:
                return platform
        known = ", ".join(f"`{platform.platform}`" for platform in self.platforms)
        raise LockError(
            "lock.platform",
            f"the lock of `{self.profile}` is for {known}, not for `{name}`",
            hints=[f"add `{name}` to the profile's platforms and run `provision lock {self.profile}`"],
            context={"profile": self.profile, "platform": name},
        )
