"""A lockfile's content."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioner.resolve.model import CondaPackage, PipPackage


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedPlatform:
    """What one platform installs.

    Attributes:
        platform: ``linux-64`` or ``win-64``.
        fingerprint: sha256 over the profile's fields that decide this platform's packages.
        conda: Sorted by name.
        pip: Sorted by name; validation assets included (``PipPackage.validation``).
    """

    platform: str
    fingerprint: str
    conda: tuple[CondaPackage, ...] = ()
    pip: tuple[PipPackage, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """One profile's lock.

    Attributes:
        profile: The profile's name.
        source: Path of the profile, relative to the lockfile's folder, with ``/``.
        channels: Canonical conda channels.
        indexes: Index name to canonical address, without the default index.
        inputs: Fingerprint field (``linux-64 pip``) to its canonical JSON: what the profile said when it was locked.
        notes: Sentences from resolving (yanked files allowed, overrides and their reasons).
    """

    profile: str
    source: str
    platforms: tuple[LockedPlatform, ...]
    channels: tuple[str, ...] = ()
    indexes: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
