"""The job of `provision mirror`: serve locked files to pip, uv, conda's clients and us, or export them.

find the files (fetch what is missing) -> pages -> export to a folder, or serve until stopped
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from provisioner.engines.archive.bundle import BundleReader
from provisioner.engines.archive.bundle_manifest import lockfile_place
from provisioner.engines.index.mirror_server import Document, open_server
from provisioner.engines.index.publish import publish_pages
from provisioner.engines.store.file import StoredFile
from provisioner.engines.store.store import Package
from provisioner.errors import UnavailableError, UsageError
from provisioner.events import Listener, Notice
from provisioner.ground.scratch import hold_scratch
from provisioner.ground.text import count_of
from provisioner.ground.yaml_writer import write_yaml
from provisioner.lock.file import read_lock
from provisioner.lock.mirror_tree import REQUIREMENTS, SIMPLE, WEB, map_mirrors, place_of, render_requirements
from provisioner.pipeline.bundle_use import unpack_texts
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.locked_files import list_locked, read_fresh_lock
from provisioner.pipeline.settings import Settings
from provisioner.profile.model import Profile

MAP_NAME = "mirrors.yaml"
"""The map of mirrors, at the top of a folder whose address is known."""
_ROOTS = (SIMPLE, WEB, REQUIREMENTS)
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True, kw_only=True, slots=True)
class MirrorTree:
    """A mirror's folder.

    Attributes:
        files: Path in it to the locked file in the store.
        digests: Path to the file's sha256.
        pages: Path to content of what no lock names.
        left_out: Locked files that the store does not have and that may not be fetched.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    pages: Mapping[str, bytes] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


@contextmanager
def hold_tree(
    settings: Settings, profiles: Sequence[Profile], *, platforms: Collection[str], on_event: Listener
) -> Iterator[MirrorTree]:
    """Yield the folder of the profiles' locked files; what the store lacks is fetched, unless offline.

    Nobody deletes from the store for the length of the block.

    Raises:
        InstallError: A file is not the locked one.
        LockError: A lockfile is missing, stale or damaged, or lacks one of the platforms.
        UnavailableError: A file could not be had.
    """
    locks = [read_fresh_lock(settings, profile) for profile in profiles]
    locked = list_locked(locks, platforms)
    with Engines(settings, on_event=on_event) as engines:
        stored = _fetch(engines, [package for _, package in locked])
        left_out = sorted({package.filename for _, package in locked if package.sha256 not in stored})
        if left_out:
            some = ", ".join(f"`{name}`" for name in left_out[:3])
            message = f"{len(left_out)} locked files are not in the store and are left out: {some} …"
            on_event(Notice(message=message, level="warning"))
        there = [(lock, package) for lock, package in locked if package.sha256 in stored]
        pages = publish_pages(there, stored)
        for lock in locks:
            for platform in platforms:
                lists = render_requirements(lock, platform)
                pages |= {place: text.encode() for place, text in lists.items()}
        yield MirrorTree(
            files={place_of(package): stored[package.sha256].path for _, package in there},
            digests={place_of(package): package.sha256 for _, package in there},
            pages=pages,
            left_out=tuple(left_out),
        )


def _fetch(engines: Engines, packages: Sequence[Package]) -> dict[str, StoredFile]:
    """Return sha256 to stored file; offline without those that would have to be fetched."""
    if not engines.settings.offline:
        return dict(engines.fetcher.fetch(packages))
    stored: dict[str, StoredFile] = {}
    for package in packages:
        with suppress(UnavailableError):
            stored |= engines.fetcher.fetch([package])
    return stored


def list_documents(tree: MirrorTree) -> dict[str, Document]:
    """Return what a server shows of a mirror's folder that lies in the store."""
    files = {
        place: Document.of_file(path, digest=tree.digests[place], forever=True)
        for place, path in tree.files.items()
    }
    # A wheel's METADATA is as unchanging as the wheel.
    pages = {place: Document.of_bytes(body) for place, body in tree.pages.items()}
    return files | pages


def list_bundle(path: Path) -> dict[str, Document]:
    """Return what a server shows of a bundle: its packages and their pages, as they lie in the file.

    Raises:
        InstallError: ``install.bundle``: it is damaged, or no bundle.
        UsageError: There is no such file.
    """
    with BundleReader(path) as reader, hold_scratch("bundle") as folder:
        documents = {
            file.path: Document.of_file(
                path,
                digest=file.sha256,
                forever=not is_page(file.path),
                start=reader.start_of(file),
                size=file.size,
            )
            for file in reader.manifest.files
            if file.path.startswith((f"{SIMPLE}/", f"{WEB}/"))
        }
        unpack_texts(reader, folder)
        for name in reader.manifest.profiles:
            lock = read_lock(folder / lockfile_place(name))
            for platform in reader.manifest.platforms:
                for place, text in render_requirements(lock, platform).items():
                    documents[place] = Document.of_bytes(text.encode())
    return documents


def list_folder(folder: Path) -> dict[str, Document]:
    """Return what a server shows of an exported folder, or of an unpacked bundle; links are left out.

    Raises:
        UsageError: ``usage.mirror_folder``: it is neither.
    """
    documents = {}
    for root in _ROOTS:
        for path in walk_files(folder / root):
            place = path.relative_to(folder).as_posix()
            documents[place] = Document.of_file(path, forever=not is_page(place))
    if not documents:
        raise UsageError(
            "usage.mirror_folder",
            f"`{folder}` has no folder `{SIMPLE}` and no folder `{WEB}` with files",
            hints=["name a folder that `provision mirror --export` wrote"],
            context={"path": str(folder)},
        )
    return documents


def serve(
    documents: dict[str, Document],
    *,
    host: str,
    port: int,
    url: str | None,
    on_event: Listener,
) -> None:
    """Serve until something is raised in this thread, as a signal does.

    Args:
        documents: What is served.
        host: Name or number to listen on.
        port: Port, 0 for any.
        url: The address that clients use, where it is another one: behind a proxy, say.
        on_event: Is told the address.

    Raises:
        UsageError: Nobody can listen there.
    """
    with open_server(documents, host, port) as server:
        shown = f"[{host}]" if ":" in host else host
        base = (url or f"http://{shown}:{server.port}").rstrip("/")
        documents[MAP_NAME] = Document.of_bytes(write_map(documents, base))
        if host not in _LOOPBACK:
            message = f"whoever reaches `{shown}:{server.port}` can read what is served"
            on_event(Notice(message=message, level="warning"))
        on_event(
            Notice(message=f"serving {count_of(len(documents), 'file')} at {base}/ until stopped (Ctrl-C)")
        )
        on_event(Notice(message=f"the map for `--mirrors` is {base}/{MAP_NAME}"))
        server.serve_forever(poll_interval=0.2)


def write_map(places: Collection[str], base: str) -> bytes:
    """Return the text of a map of mirrors."""
    return "\n".join([*write_yaml(dict(map_mirrors(places, base))), ""]).encode()


def is_page(place: str) -> bool:
    """Tell whether other bytes may come to a place: all but packages and their metadata."""
    return not place.endswith((".whl", ".tar.gz", ".conda", ".tar.bz2", ".metadata"))


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield the regular files below a folder; links and hidden files are not for others to read."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if not name.startswith(".") and not path.is_symlink() and path.is_file():
                yield path
