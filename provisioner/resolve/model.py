"""The exact files that answer a profile."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaPackage:
    """One conda package file.

    ``url`` is canonical (never a mirror's). ``dependencies`` maps name to constraint. Digests are lower-case
    hex. ``size`` counts bytes, None where it is unknown.
    """

    name: str
    version: str
    build: str
    subdir: str
    url: str
    sha256: str
    md5: str
    dependencies: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None

    @property
    def filename(self) -> str:
        """Return the last part of the address."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class PipPackage:
    """One wheel.

    Attributes:
        name: Normalised (PEP 503).
        version: Full version with its local part.
        url: ``pypi:<filename>`` for a file of the default index, else the canonical address.
        index: Name of the index in the profile; ``pypi`` for the default one.
        sha256: Lower-case hex digest of the file.
        size: Bytes of the file; None where it is unknown.
        dependencies: Name to specifier, as its metadata says for this platform.
        validation: True for a validation asset: fetched, never installed.
        publisher: Who published it, as its index attests (PEP 740); None where it does not say.
    """

    name: str
    version: str
    filename: str
    url: str
    index: str
    sha256: str
    dependencies: Mapping[str, str] = field(default_factory=dict)
    validation: bool = False
    size: int | None = None
    publisher: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PlatformResolution:
    """The files for one platform, sorted by name."""

    platform: str
    conda: tuple[CondaPackage, ...] = ()
    pip: tuple[PipPackage, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """The files for every platform of a profile, in the profile's order.

    ``notes`` are sentences that the user reads once: yanked files that were allowed, overrides that won.
    """

    profile: str
    platforms: tuple[PlatformResolution, ...]
    notes: tuple[str, ...] = ()
