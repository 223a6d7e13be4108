"""Write the pages of a mirror's folder from the files in the store: of indexes, of channels, and metadata."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256

import zstandard

from provisioner.engines.index.metadata import (
    find_requires_python,
    read_sdist_metadata,
    read_wheel_metadata,
)
from provisioner.engines.store.file import StoredFile
from provisioner.lock.mirror_tree import CHANNEL_LIST, FileFacts, place_of, render_pages
from provisioner.lock.model import Lock
from provisioner.lock.rules import is_sdist
from provisioner.resolve.model import CondaPackage, PipPackage

# As conda's own channels are compressed; a list of some hundred packages takes no time at any level.
_LEVEL = 19


def publish_pages(
    locked: Iterable[tuple[Lock, CondaPackage | PipPackage]], stored: Mapping[str, StoredFile]
) -> dict[str, bytes]:
    """Return path to content of everything in the folder that no lock names.

    Args:
        locked: What is there, each with a lock that it is of.
        stored: sha256 to the file of each.

    Raises:
        UnavailableError: A file has no readable metadata.
    """
    # Locks of old do not say all sizes, and clients want them.
    locked = tuple(
        (lock, replace(package, size=stored[package.sha256].path.stat().st_size)) for lock, package in locked
    )
    indexes = {package.sha256: stored[package.sha256].index for _, package in locked}
    facts: dict[str, FileFacts] = {}
    pages: dict[str, bytes] = {}
    for package in {package.sha256: package for _, package in locked}.values():
        if isinstance(package, PipPackage):
            metadata = _read_metadata(package, stored[package.sha256])
            requires_python = find_requires_python(metadata)
            if is_sdist(package):  # what a source archive says is binding in a few only (PEP 643)
                facts[package.sha256] = FileFacts(requires_python=requires_python)
                continue
            digest = sha256(metadata).hexdigest()
            facts[package.sha256] = FileFacts(requires_python=requires_python, metadata_sha256=digest)
            pages[f"{place_of(package)}.metadata"] = metadata
    for place, text in render_pages(locked, indexes, facts).items():
        pages[place] = text.encode()
        if place.endswith(f"/{CHANNEL_LIST}"):
            pages[f"{place}.zst"] = zstandard.ZstdCompressor(level=_LEVEL).compress(pages[place])
    return pages


def _read_metadata(package: PipPackage, file: StoredFile) -> bytes:
    if is_sdist(package):
        return read_sdist_metadata(file.path)
    return read_wheel_metadata(file.path, name=package.filename)
