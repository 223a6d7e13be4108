"""Write Python packages as a ``pylock.toml`` (https://packaging.python.org/en/latest/specifications/pylock-toml/)."""

from collections.abc import Sequence
from typing import Any

import tomli_w
from packaging.markers import Marker
from packaging.pylock import Package, PackageSdist, PackageWheel, Pylock
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from provisioner.lock.rules import is_sdist
from provisioner.resolve.model import PipPackage


def describe_package(
    package: PipPackage, *, url: str | None = None, path: str | None = None, index: str | None = None
) -> Package:
    """Return the entry of a package whose file is at ``url`` or ``path``; ``index`` is an address."""
    digest = {"sha256": package.sha256}
    file: dict[str, Any] = {
        "name": package.filename,
        "url": url,
        "path": path,
        "size": package.size,
        "hashes": digest,
    }
    built = is_sdist(package)
    return Package(
        name=canonicalize_name(package.name),
        version=Version(package.version),
        index=index,
        sdist=PackageSdist(**file) if built else None,
        wheels=None if built else [PackageWheel(**file)],
    )


def format_pylock(
    packages: Sequence[Package], *, environment: str | None = None, python: str | None = None
) -> str:
    """Return the file's text, for the environments of a marker and a ``major.minor`` version of Python."""
    pylock = Pylock(
        lock_version=Version("1.0"),
        environments=[Marker(environment)] if environment else None,
        requires_python=SpecifierSet(f"=={python}.*") if python else None,
        created_by="provision",
        packages=packages,
    )
    return tomli_w.dumps(pylock.to_dict())
