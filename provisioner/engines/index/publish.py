"""Write the pages of a mirror's folder from the files in the store: of indexes, of channels, and metadata."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """What pages tell of one file.

    Attributes:
        size: Bytes.
        index: A conda package's ``index.json``.
        facts: What a wheel or a source archive says of itself.
        metadata: The METADATA that lies beside a wheel.
    """

    size: int
    index: Mapping[str, Any] = field(default_factory=dict)
    facts: FileFacts = field(default_factory=FileFacts)
    metadata: bytes | None = None


def publish_pages(
    locked: Iterable[tuple[Lock, CondaPackage | PipPackage]], stored: Mapping[str, StoredFile]
) -> dict[str, bytes]:
    """Return path to content of everything in the folder that no lock names, channels' lists compressed, too.

    Args:
        locked: What is there, each with a lock that it is of.
        stored: sha256 to the file of each.

    Raises:
        UnavailableError: A file has no readable metadata.
    """
    locked = tuple(locked)
    pages = render_published(
        locked, {package.sha256: read_published(package, stored[package.sha256]) for _, package in locked}
    )
    for place in [place for place in pages if place.endswith(f"/{CHANNEL_LIST}")]:
        pages[f"{place}.zst"] = zstandard.ZstdCompressor(level=_LEVEL).compress(pages[place])
    return pages


def read_published(package: CondaPackage | PipPackage, file: StoredFile) -> Published:
    """Return what pages tell of a file.

    Raises:
        UnavailableError: It has no readable metadata.
    """
    size = file.path.stat().st_size
    if isinstance(package, CondaPackage):
        return Published(size=size, index=file.index)
    if is_sdist(package):  # what a source archive says is binding in a few only (PEP 643)
        requires_python = find_requires_python(read_sdist_metadata(file.path))
        return Published(size=size, facts=FileFacts(requires_python=requires_python))
    metadata = read_wheel_metadata(file.path, name=package.filename)
    facts = FileFacts(
        requires_python=find_requires_python(metadata), metadata_sha256=sha256(metadata).hexdigest()
    )
    return Published(size=size, facts=facts, metadata=metadata)


def render_published(
    locked: Iterable[tuple[Lock, CondaPackage | PipPackage]], published: Mapping[str, Published]
) -> dict[str, bytes]:
    """Return path to content of pages and metadata; the same files give the same bytes.

    Args:
        locked: What is there, each with a lock that it is of.
        published: sha256 to what is told of each.
    """
    # Locks of old do not say all sizes, and clients want them.
    sized = [(lock, replace(package, size=published[package.sha256].size)) for lock, package in locked]
    texts = render_pages(
        sized,
        {digest: each.index for digest, each in published.items()},
        {digest: each.facts for digest, each in published.items()},
    )
    pages = {place: text.encode() for place, text in texts.items()}
    for _, package in sized:
        metadata = published[package.sha256].metadata
        if metadata is not None:
            pages[f"{place_of(package)}.metadata"] = metadata
    return pages
