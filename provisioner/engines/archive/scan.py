"""Look into every archive before an engine does, and refuse what could leave its place.

Engines drop such members silently, install them, or stop half-way. Here the whole file is refused, by the
member's name, before anything is unpacked. The answer depends on the file alone and is kept beside it.
"""

import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provisioner.errors import InstallError
from provisioner.resolve.model import CondaPackage, PipPackage

SCANNER = 1
"""Rises with every change of what is refused: files that an older scanner let pass are scanned again."""

UNREADABLE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
)
"""What the readers of archives and of JSON raise for damaged input."""

MOST_MEMBERS = 300_000
_FREE_BYTES = 64 * 1024 * 1024
_MOST_RATIO = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the scan found in a file that may be installed.

    ``notices`` are sentences for the user; ``index`` is a conda package's ``index.json``, empty for a wheel.
    """

    notices: tuple[str, ...] = ()
    index: Mapping[str, Any] = field(default_factory=dict)


def scan_package(path: Path, package: CondaPackage | PipPackage) -> Verdict:
    """Scan a file whose digest is the locked one.

    Raises:
        InstallError: ``install.archive``: no honest package looks like this, or it is another package.
    """
    # imported here: a file that was scanned before needs none
    from provisioner.engines.archive.conda import scan_conda  # noqa: PLC0415 - see above
    from provisioner.engines.archive.sdist import scan_sdist  # noqa: PLC0415 - see above
    from provisioner.engines.archive.wheel import scan_wheel  # noqa: PLC0415 - see above

    if isinstance(package, PipPackage):
        scan = scan_wheel if package.filename.endswith(".whl") else scan_sdist
        return scan(path, package)
    return scan_conda(path, package)


def unpack_budget(size_bytes: int) -> int:
    """Return how many bytes an archive of that size may unpack to."""
    return max(_FREE_BYTES, _MOST_RATIO * size_bytes)


def refuse(archive: str, why: str, *, member: str | None = None) -> InstallError:
    """Build the error for an archive; ``why`` goes on from the member's name, or from the archive's."""
    shown = f": member {ascii(member)[:200]} {why}" if member is not None else f": it {why}"
    return InstallError(
        "install.archive",
        f"`{archive}` is refused{shown}",
        hints=[
            "do not install it: its author made a mistake, or means harm",
            "choose another version or build of the package and lock again",
        ],
        context={"filename": archive} | ({"member": ascii(member)[:200]} if member is not None else {}),
    )
