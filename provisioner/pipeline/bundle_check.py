"""The jobs of `provision bundle --list` and `--check`.

A bundle is another's until it is checked. `BundleReader` refuses one whose structure is not ours; here every
file is compared with the manifest, what the lockfiles name with the lock, and every package goes through the
scan of archives, as it does when it comes over the network.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from provisioner.engines.archive.bundle import BundleReader
from provisioner.engines.archive.bundle_manifest import (
    ENVS,
    PYTHON,
    TOOL,
    TOOL_REQUIREMENTS,
    Manifest,
    lockfile_place,
    refuse_bundle,
)
from provisioner.engines.archive.scan import scan_package
from provisioner.engines.index.publish import Published, read_published, render_published
from provisioner.engines.store.store import Package
from provisioner.engines.uv.managed import managed_digests
from provisioner.errors import ErrorList, ProvisionError
from provisioner.events import Listener, Progress, tell_step
from provisioner.ground.scratch import hold_scratch
from provisioner.ground.text import count_of
from provisioner.lock.file import read_lock, read_lock_head
from provisioner.lock.freshness import check_freshness
from provisioner.lock.mirror_tree import REQUIREMENTS, SIMPLE, WEB, place_of, render_requirements
from provisioner.lock.model import Lock
from provisioner.lock.requirements import parse_requirements
from provisioner.pipeline.bundle_use import unpack_texts
from provisioner.pipeline.locked_files import list_locked
from provisioner.profile.load import load_profile

_LONGEST_REQUIREMENTS = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A bundle that is what it says."""

    manifest: Manifest
    packages: int


def list_bundle(path: Path) -> Manifest:
    """Return what a bundle says that it holds; errors as from `BundleReader`."""
    with BundleReader(path) as reader:
        return reader.manifest


def check_bundle(path: Path, *, on_event: Listener) -> Checked:
    """Compare every byte of a bundle with its manifest and its lockfiles, and scan every package.

    Raises:
        InstallError: ``install.bundle`` or ``install.archive``; `ErrorList` for several.
        LockError: A lockfile in it is damaged, or does not answer its profile.
        UsageError: There is no such file.
    """
    with BundleReader(path) as reader, hold_scratch("bundle") as folder:
        unpack_texts(reader, folder)
        locks = _read_locks(reader.manifest, folder)
        locked = list_locked(locks, reader.manifest.platforms)
        problems = [*_find_unlisted(reader, locked)]
        with tell_step("check", count_of(len(reader.manifest.files), "file"), on_event):
            published = _check_files(reader, locked, folder, problems, on_event=on_event)
        if not problems:
            pages = render_published(locked, published)
            for lock, platform in product(locks, reader.manifest.platforms):
                texts = render_requirements(lock, platform)
                pages |= {place: text.encode() for place, text in texts.items()}
            problems += _find_other_pages(reader, pages, known={place_of(each) for _, each in locked})
        problems += _find_other_tools(reader)
        problems += _find_other_pythons(reader)
        if problems:
            raise problems[0] if len(problems) == 1 else ErrorList(problems)
        return Checked(manifest=reader.manifest, packages=len({place_of(each) for _, each in locked}))


def _read_locks(manifest: Manifest, folder: Path) -> list[Lock]:
    locks = []
    for name in manifest.profiles:
        profile = load_profile(name, folders=(folder / ENVS,))
        path = folder / lockfile_place(name)
        stale = check_freshness(read_lock_head(path), profile, lockfile=lockfile_place(name))
        if stale is not None:
            raise stale
        locks.append(read_lock(path))
    return locks


def _find_unlisted(reader: BundleReader, locked: Sequence[tuple[Lock, Package]]) -> Iterator[ProvisionError]:
    """Yield what the lockfiles name and the bundle has not, or has as another file."""
    for place, package in {place_of(package): package for _, package in locked}.items():
        file = reader.find_path(place)
        if file is None:
            yield refuse_bundle(reader.path.name, f"it lacks `{place}`, which a lockfile in it names")
        elif file.sha256 != package.sha256:
            yield refuse_bundle(
                reader.path.name,
                f"`{place}` is not the locked file: expected sha256 `{package.sha256}`, got `{file.sha256}`",
            )


def _check_files(
    reader: BundleReader,
    locked: Sequence[tuple[Lock, Package]],
    folder: Path,
    problems: list[ProvisionError],
    *,
    on_event: Listener,
) -> dict[str, Published]:
    """Read every file, scan the locked ones, and return by sha256 what pages tell of them."""
    packages = {place_of(package): package for _, package in locked}
    published: dict[str, Published] = {}
    total = sum(file.size for file in reader.manifest.files)
    on_event(Progress(stage="check", item="all", done=0, total=total))
    for file in reader.manifest.files:
        target = folder / "file"
        try:
            with target.open("wb") as out:
                for chunk in reader.stream(file):
                    out.write(chunk)
                    on_event(Progress(stage="check", item=file.path, done=out.tell(), total=file.size))
            if file.path in packages:
                package = packages[file.path]
                published[file.sha256] = read_published(package, scan_package(target, package))
        except ProvisionError as error:
            problems.append(error)
    return published


def _find_other_pages(
    reader: BundleReader, pages: Mapping[str, bytes], *, known: Collection[str]
) -> Iterator[ProvisionError]:
    """Yield what a web server would offer from the bundle and no lockfile names: files, links and lists.

    Args:
        reader: The bundle.
        pages: Path to content of every page, as we would write it.
        known: The paths of the locked files.
    """
    for file in reader.manifest.files:
        if not file.path.startswith((f"{SIMPLE}/", f"{WEB}/", f"{REQUIREMENTS}/")) or file.path in known:
            continue
        page = pages.get(file.path)
        if page is None or len(page) != file.size or page != b"".join(reader.stream(file)):
            yield refuse_bundle(reader.path.name, f"member `{file.path}` is not what its lockfiles say")


def _find_other_tools(reader: BundleReader) -> Iterator[ProvisionError]:
    """Yield wheels of the tool that its requirements, which pip is given, do not name."""
    tools = [
        file
        for file in reader.manifest.files
        if file.path.startswith(f"{TOOL}/") and file.path != TOOL_REQUIREMENTS
    ]
    if not tools:
        return
    text = reader.read(TOOL_REQUIREMENTS, max_bytes=_LONGEST_REQUIREMENTS).decode("utf-8", "replace")
    hashes = {digest for pin in parse_requirements(text) for digest in pin.hashes}
    for file in tools:
        if file.sha256 not in hashes:
            yield refuse_bundle(reader.path.name, f"`{file.path}` is not in `{TOOL_REQUIREMENTS}`")


def _find_other_pythons(reader: BundleReader) -> Iterator[ProvisionError]:
    """Yield Pythons that are not locked in this version of provision."""
    for file in reader.manifest.files:
        if file.path.startswith(f"{PYTHON}/") and file.sha256 not in managed_digests():
            why = f"`{file.path}` is none of the Pythons that this version of provision knows"
            yield refuse_bundle(reader.path.name, why)
