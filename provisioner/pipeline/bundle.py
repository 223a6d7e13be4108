"""The job of `provision bundle`: everything that profiles need, in one archive.

locks -> fetch -> the tool itself -> pages -> manifest -> write

Fetching goes on where it was stopped, because files end up in the store. The archive itself is written from
the store anew: to compare what lies there already would read as many bytes as writing it again.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from provisioner import __version__
from provisioner.engines.archive.bundle import Source, measure_bundle, write_bundle
from provisioner.engines.archive.bundle_manifest import (
    PYTHON,
    README,
    TOOL,
    TOOL_REQUIREMENTS,
    BundledFile,
    Manifest,
    lockfile_place,
    profile_place,
)
from provisioner.engines.index.publish import read_published, render_published
from provisioner.engines.store.store import Package
from provisioner.engines.uv.managed import load_managed
from provisioner.errors import UsageError
from provisioner.events import Listener, Progress, tell_step
from provisioner.ground.file_lock import hold_output
from provisioner.ground.files import replace, sync_folder
from provisioner.ground.refusals import disk_error
from provisioner.ground.text import count_of
from provisioner.lock.mirror_tree import place_of, render_requirements
from provisioner.lock.model import Lock
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.locked_files import list_locked, read_fresh_lock
from provisioner.pipeline.own_package import (
    choose_own_wheels,
    pack_own_wheel,
    render_tool_requirements,
)
from provisioner.pipeline.settings import Settings
from provisioner.pipeline.space import check_room
from provisioner.profile.model import Profile

_README = """\
A bundle of `provision`: everything that the environments below `lockfiles/` are built of, for a machine
without a network. It was written by `provision bundle`; `manifest.json` lists size and sha256 of each file.

Install provision itself, in this folder (on Windows, `venv\\Scripts\\` in place of `venv/bin/`):

    python3 -m venv venv
    venv/bin/pip install --no-index --find-links tool --require-hashes -r tool/requirements.txt

Build an environment from the bundle, which is the file and not this folder:

    venv/bin/provision create --bundle FILE

A web server for this folder serves a package index at `pypi/simple` and mirrors of other hosts at `web/HOST`.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleChoices:
    """What a user may choose about a bundle.

    Attributes:
        platforms: What it shall be installed on.
        tool: Whether the provisioner itself is in it.
        tool_pythons: For which Pythons (``3.12``) beside those of the profiles.
        managed_python: Whether the managed Python of each profile is in it.
    """

    platforms: tuple[str, ...]
    tool: bool = True
    tool_pythons: tuple[str, ...] = ()
    managed_python: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundled:
    """A bundle that was written."""

    path: Path
    size: int
    sha256: str
    manifest: Manifest


def bundle(
    settings: Settings,
    profiles: Sequence[Profile],
    output: Path,
    choices: BundleChoices,
    *,
    on_event: Listener,
) -> Bundled:
    """Write a bundle; the same locks give the same bytes.

    Raises:
        BusyError: Another process writes the same file.
        InstallError: A file is not the locked one, or the disk has no room.
        LockError: A lockfile is missing, stale or damaged, or lacks one of the platforms.
        UnavailableError: A file could not be had; what was fetched is in the store.
        UsageError: Two profiles extend different stacks of the same name.
    """
    locks = [read_fresh_lock(settings, profile) for profile in profiles]
    locked = list_locked(locks, choices.platforms)
    with Engines(settings, on_event=on_event) as engines:
        packages = {place_of(package): package for _, package in locked}
        packages |= _choose_own(engines, profiles, choices) if choices.tool else {}
        packages |= _choose_pythons(profiles, locks, choices)
        with tell_step("fetch", count_of(len(packages), "file"), on_event):
            stored = engines.fetcher.fetch(tuple(packages.values()))
        # Not the compressed lists of channels: other versions of the compressor give other bytes.
        contents = render_published(
            locked, {package.sha256: read_published(package, stored[package.sha256]) for _, package in locked}
        )
        contents |= _render_texts(settings, profiles, locks, choices)
        contents |= _pack_own() if choices.tool else {}
        paths = {place: stored[package.sha256].path for place, package in packages.items()}
        digests = {place: package.sha256 for place, package in packages.items()}
        manifest = Manifest(
            tool=__version__,
            profiles=tuple(sorted({profile.name for profile in profiles})),
            platforms=tuple(sorted(set(choices.platforms))),
            files=_list_files(paths, digests, contents),
        )
        with tell_step("bundle", count_of(len(manifest.files), "file"), on_event):
            digest = _write(output, manifest, {**paths, **contents}, on_event=on_event)
    return Bundled(path=output, size=measure_bundle(manifest), sha256=digest, manifest=manifest)


def _list_files(
    paths: Mapping[str, Path], digests: Mapping[str, str], contents: Mapping[str, bytes]
) -> tuple[BundledFile, ...]:
    """Return the manifest's list of stored files and of texts, sorted by their paths in the bundle."""
    files = [
        BundledFile(path=place, size=path.stat().st_size, sha256=digests[place])
        for place, path in paths.items()
    ]
    files += [
        BundledFile(path=place, size=len(data), sha256=sha256(data).hexdigest())
        for place, data in contents.items()
    ]
    return tuple(sorted(files, key=lambda file: file.path))


def _choose_own(engines: Engines, profiles: Sequence[Profile], choices: BundleChoices) -> dict[str, Package]:
    """Return the wheels that the provisioner needs, by their place."""
    pythons = {".".join(profile.python.split(".")[:2]) for profile in profiles} | set(choices.tool_pythons)
    chosen = choose_own_wheels(engines.index_source, platforms=choices.platforms, pythons=sorted(pythons))
    return {f"{TOOL}/{package.filename}": package for package in chosen}


def _choose_pythons(
    profiles: Sequence[Profile], locks: Sequence[Lock], choices: BundleChoices
) -> dict[str, Package]:
    """Return the managed Pythons by their place, for the environments whose base does not bring its own."""
    found: dict[str, Package] = {}
    if choices.managed_python:
        for profile, lock in zip(profiles, locks, strict=True):
            for platform in choices.platforms:
                if not lock.find_platform(platform).conda:
                    package = load_managed(profile.python, platform)
                    found[f"{PYTHON}/{package.filename}"] = package
    return found


def _pack_own() -> dict[str, bytes]:
    """Return our own wheel, and what pip is given to install it with what it needs."""
    name, wheel = pack_own_wheel()
    requirements = render_tool_requirements(sha256(wheel).hexdigest())
    return {f"{TOOL}/{name}": wheel, TOOL_REQUIREMENTS: requirements.encode()}


def _render_texts(
    settings: Settings, profiles: Sequence[Profile], locks: Iterable[Lock], choices: BundleChoices
) -> dict[str, bytes]:
    """Return the profiles with their stacks, their lockfiles, what pip is given, and a word for people."""
    texts = {README: _README.encode()}
    for lock in locks:
        for platform in choices.platforms:
            texts |= {place: text.encode() for place, text in render_requirements(lock, platform).items()}
    for profile in profiles:
        places = {profile_place(Path(file).stem): Path(file) for file in profile.files}
        places[lockfile_place(profile.name)] = settings.find_lockfile(profile)
        for place, path in places.items():
            data = path.read_bytes()
            if texts.setdefault(place, data) != data:
                raise UsageError(
                    "usage.bundle_profiles",
                    f"the profiles have two different files `{path.name}`, and a bundle has room for one",
                    hints=["bundle the profiles of each folder by themselves"],
                )
    return texts


def _write(output: Path, manifest: Manifest, sources: Mapping[str, Source], *, on_event: Listener) -> str:
    size = measure_bundle(manifest)
    advice = "free some space, or name a file on another disk with `--output`"
    check_room("the bundle", output.absolute().parent, size, advice=advice)

    def tell(file: BundledFile, done: int) -> None:
        on_event(Progress(stage="bundle", item=file.path, done=done, total=file.size))

    on_event(Progress(stage="bundle", item="all", done=0, total=sum(file.size for file in manifest.files)))
    try:
        with _hold_output(output) as temporary:
            with temporary.open("wb") as out:
                digest = write_bundle(out, manifest, sources, on_bytes=tell)
                out.flush()
                os.fsync(out.fileno())
            replace(temporary, output)
            sync_folder(output.absolute().parent)
    except OSError as error:
        raise disk_error(output, error, instead="name a file on another disk with `--output`") from error
    return digest


@contextmanager
def _hold_output(output: Path) -> Iterator[Path]:
    """Yield the name of a file of ours beside the output; what a killed run left there is written over."""
    temporary = output.with_name(f".{output.name}.provision-tmp")
    lock = output.with_name(f".{output.name}.lock")
    refusal = "another process writes the bundle"
    with hold_output(lock, output, code="busy.bundle", refusal=refusal, instead="another file"):
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
