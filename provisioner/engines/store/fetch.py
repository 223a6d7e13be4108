"""Bring locked files into the store, several at once, from wherever they can be had.

A file is looked for in the store, then in the bundle, then in the wheelhouses that the user named, then at
its canonical address or in the default index, then in the user's further indexes. Everywhere it needs the
locked sha256, and but for the bundle the locked name.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from provisioner.engines.archive.bundle import BundleReader
from provisioner.engines.archive.bundle_manifest import BundledFile
from provisioner.engines.index.files import IndexFiles
from provisioner.engines.index.page import IndexFile
from provisioner.engines.net.addresses import local_path
from provisioner.engines.net.download import Downloader
from provisioner.engines.net.pip_config import PackageSettings
from provisioner.engines.net.transfer import Transfer
from provisioner.engines.store.file import StoredFile
from provisioner.engines.store.store import Package, Store
from provisioner.errors import InstallError, ProvisionError, UnavailableError
from provisioner.events import Listener, Notice, Progress, ignore_events
from provisioner.ground.refusals import disk_error
from provisioner.resolve.model import CondaPackage

_JOBS = 8
_LOCKED = "the place that the lock names"
_TELL_EVERY_S = 0.1
_SLICE_S = 0.2
_Outcome = tuple[Package, StoredFile | BaseException]


class StoreFetcher:
    """Brings files into the store with the downloader."""

    def __init__(
        self,
        store: Store,
        *,
        downloader: Downloader,
        packages: PackageSettings,
        wheelhouses: Sequence[str] = (),
        bundle: BundleReader | None = None,
        on_event: Listener = ignore_events,
        jobs: int = _JOBS,
    ) -> None:
        """Keep the parts.

        Args:
            store: Where files end up.
            downloader: Fetches what is missing.
            packages: The default index, and further ones for files that the first source does not have.
            wheelhouses: Folders, ``file:`` addresses or web pages with wheels, beside those of ``packages``.
            bundle: Has files, wherever else they could be had.
            on_event: Gets progress in bytes and files, from one thread at a time.
            jobs: How many files at once.
        """
        self._store = store
        self._downloader = downloader
        self._bundle = bundle
        self._index_files = IndexFiles(downloader, packages)
        self._extra_indexes = packages.extra_indexes
        self._wheel_sources = (*wheelhouses, *packages.find_links)
        if not packages.no_index:
            self._wheel_sources += (_LOCKED, *packages.extra_indexes)
        self._on_event = on_event
        self._jobs = jobs
        self._lock = threading.Lock()

    def fetch(self, files: Sequence[Package]) -> Mapping[str, StoredFile]:
        """Return sha256 to stored file, for all of them.

        Raises:
            InstallError: A file is not the locked one, or the scan refuses it.
            UnavailableError: A file could not be had.
        """
        found: dict[str, StoredFile] = {}
        missing: dict[str, Package] = {}
        for package in files:
            stored = self._store.find(package)
            if stored is None:
                missing[package.sha256] = package
            else:
                found[package.sha256] = stored
        if missing:
            found |= self._fetch_missing(tuple(missing.values()))
        return found

    def _fetch_missing(self, missing: Sequence[Package]) -> dict[str, StoredFile]:
        """Fetch with threads that die with us: a stalled server must not hold up an interrupt."""
        todo: queue.SimpleQueue[Package] = queue.SimpleQueue()
        for package in missing:
            todo.put(package)
        results: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()
        stop = threading.Event()
        for _ in range(min(self._jobs, len(missing))):
            threading.Thread(target=self._work, args=(todo, results, stop), daemon=True).start()
        found: dict[str, StoredFile] = {}
        errors: list[ProvisionError] = []
        absent: list[Package] = []
        sizes = [package.size for package in missing if package.size is not None]
        if len(sizes) == len(missing):
            self._tell(Progress(stage="fetch", item="all", done=0, total=sum(sizes)))
        try:
            for _ in missing:
                package, outcome = _wait(results)
                if isinstance(outcome, StoredFile):
                    found[package.sha256] = outcome
                    self._tell(
                        Progress(stage="fetch", item="all", done=len(found), total=len(missing), unit="files")
                    )
                elif isinstance(outcome, ProvisionError) and outcome.code == "unavailable.offline":
                    absent.append(package)  # which costs nothing: name all files
                elif isinstance(outcome, ProvisionError):
                    errors.append(outcome)
                    break
                else:
                    raise outcome
        finally:
            stop.set()
        if absent and not errors:
            raise _not_here(absent, bundle=self._bundle)
        if errors:
            raise errors[0]
        return found

    def _work(
        self,
        todo: "queue.SimpleQueue[Package]",
        results: "queue.SimpleQueue[_Outcome]",
        stop: threading.Event,
    ) -> None:
        while not stop.is_set():
            try:
                package = todo.get_nowait()
            except queue.Empty:
                return
            outcome: StoredFile | BaseException
            try:
                outcome = self._fetch_one(package)
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits, which raises it
                outcome = error
            results.put((package, outcome))

    def _fetch_one(self, package: Package) -> StoredFile:
        """Get one file from the first source that has it; several failures end in the first source's."""
        with self._store.hold_part(package) as part:
            # another process may have brought it while we waited
            stored = self._store.find(package) or self._store.check(
                package, on_damage=partial(self._tell_damage, package)
            )
            if stored is not None:
                return stored
            if self._bundle is not None and (bundled := self._bundle.find(package.sha256)) is not None:
                self._copy(self._bundle, bundled, part, on_bytes=self._teller(package))
                return self._store.publish(package, part)
            failed: dict[str, ProvisionError] = {}
            for source in self._sources(package):
                try:
                    file = self._find(source, package)
                    if file is None:
                        continue
                    self._downloader.fetch_to(
                        file.url,
                        part=part,
                        sha256=package.sha256,
                        size=package.size or file.size,
                        on_bytes=self._teller(package),
                    )
                except (InstallError, UnavailableError) as error:
                    failed.setdefault(source, error)
                else:
                    return self._store.publish(package, part)
        # a file that is there and is another one matters more than a host that cannot be reached
        changed = next((error for error in failed.values() if isinstance(error, InstallError)), None)
        raise changed or failed.get(_LOCKED) or self._not_in_wheelhouses(package, failed)

    def _copy(
        self,
        bundle: BundleReader,
        file: BundledFile,
        part: Path,
        *,
        on_bytes: Callable[[int, int | None], None],
    ) -> None:
        """Copy a file of a bundle, whose digest is compared on the way, to where its bytes arrive."""
        transfer = Transfer(part, on_bytes=on_bytes)
        transfer.restart()
        try:
            transfer.append(bundle.stream(file), total=file.size)
            transfer.sync()
        except InstallError:
            part.unlink(missing_ok=True)
            raise
        except OSError as error:
            raise disk_error(part, error) from error

    def _sources(self, package: Package) -> tuple[str, ...]:
        """Return where to look, in this order; conda packages lie nowhere but where the lock says."""
        return (_LOCKED,) if isinstance(package, CondaPackage) else self._wheel_sources

    def _find(self, source: str, package: Package) -> IndexFile | None:
        """Return where the file is, None where the source does not have it; errors as from `IndexFiles`."""
        name = package.filename
        if source == _LOCKED:
            listed = package.url.startswith("pypi:")
            return (
                self._index_files.find_in_default_index(package) if listed else IndexFile(name, package.url)
            )
        if source in self._extra_indexes:
            return self._index_files.find_in_index(source, package)
        folder = local_path(source) if source.startswith("file:") else Path(source)
        if "://" not in source or folder.is_dir():
            path = folder / name
            return IndexFile(name, path.absolute().as_uri()) if path.is_file() else None
        return self._index_files.find_on_page(source, package)

    def _not_in_wheelhouses(self, package: Package, failed: Mapping[str, ProvisionError]) -> ProvisionError:
        """Return the error for a wheel where the user forbids indexes."""
        return next(iter(failed.values()), None) or UnavailableError(
            "unavailable.no_index",
            f"`{package.filename}` is in no wheelhouse, and pip's `no-index` forbids to fetch it elsewhere",
            hints=["put it into a folder that `--find-links` names, or lift `no-index` (`PIP_NO_INDEX`)"],
            context={"filename": package.filename},
        )

    def _teller(self, package: Package) -> Callable[[int, int | None], None]:
        last = 0.0

        def tell(done: int, total: int | None) -> None:
            nonlocal last
            now = time.monotonic()
            if done == total or now - last >= _TELL_EVERY_S:
                last = now
                whole = package.size if total is None else total
                self._tell(Progress(stage="fetch", item=package.filename, done=done, total=whole))

        return tell

    def _tell_damage(self, package: Package) -> None:
        message = f"`{package.filename}` in the store was damaged, and is fetched again"
        self._tell(Notice(message=message, level="warning"))

    def _tell(self, event: Progress | Notice) -> None:
        with self._lock:
            self._on_event(event)


def _not_here(packages: Sequence[Package], *, bundle: BundleReader | None) -> UnavailableError:
    """Return the error for files that nobody may fetch now: all of them, each with its size."""
    listed = sorted(packages, key=lambda package: package.filename)
    sizes = [package.size for package in listed if package.size is not None]
    count = "a file is" if len(listed) == 1 else f"{len(listed)} files are"
    place = "in the store" if bundle is None else "in the bundle"
    told = "".join(
        f"\n  {package.filename}  {'size unknown' if package.size is None else f'{package.size} bytes'}"
        for package in listed
    )
    return UnavailableError(
        "unavailable.offline",
        f"we are offline, and {count} not {place} ({sum(sizes)} bytes"
        f"{'' if len(sizes) == len(listed) else ' and more'}):{told}",
        hints=[
            "run the same command once without `--offline`",
            "or build from a bundle that has them: `provision create --bundle FILE`",
        ]
        if bundle is None
        else [f"look at what the bundle lacks: `provision bundle --check {bundle.path}`"],
        context={
            "files": [{"filename": package.filename, "bytes": package.size} for package in listed],
            "bytes": sum(sizes),
        },
    )


def _wait(results: "queue.SimpleQueue[_Outcome]") -> "_Outcome":
    """Return the next outcome; waiting in slices, because Windows delivers Ctrl-C only between waits."""
    while True:
        with suppress(queue.Empty):
            return results.get(timeout=_SLICE_S)
