"""Bring locked files into the store, several at once, from wherever they can be had.

A file is looked for in the store, then in the wheelhouses that the user named, then at its canonical address
or in the default index, then in the user's further indexes. Everywhere it needs the locked name and sha256.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from provisioner.engines.index.page import IndexFile, fetch_page
from provisioner.engines.net.addresses import local_path, redact
from provisioner.engines.net.download import Downloader
from provisioner.engines.net.pip_config import PackageSettings
from provisioner.engines.store.store import Package, Store
from provisioner.errors import ErrorList, InstallError, ProvisionError, UnavailableError
from provisioner.events import Listener, Progress, ignore_events
from provisioner.install.build import StoredFile
from provisioner.resolve.model import PipPackage

_JOBS = 8
_TELL_EVERY_S = 0.1
_SLICE_S = 0.2
_Outcome = tuple[Package, StoredFile | BaseException]


class StoreFetcher:
    """A `Fetcher` over the store and the downloader."""

    def __init__(
        self,
        store: Store,
        *,
        downloader: Downloader,
        packages: PackageSettings,
        wheelhouses: Sequence[str] = (),
        on_event: Listener = ignore_events,
        jobs: int = _JOBS,
    ) -> None:
        """Keep the parts.

        Args:
            store: Where files end up.
            downloader: Fetches what is missing.
            packages: The default index, and further ones for files that the first source does not have.
            wheelhouses: Folders, ``file:`` addresses or web pages with wheels, beside those of ``packages``.
            on_event: Told of bytes and files, by one thread at a time.
            jobs: How many files at once.
        """
        self._store = store
        self._downloader = downloader
        self._packages = packages
        self._wheelhouses = (*wheelhouses, *packages.find_links)
        self._on_event = on_event
        self._jobs = jobs
        self._pages: dict[str, Mapping[str, IndexFile]] = {}
        self._lock = threading.Lock()

    def fetch(self, files: Sequence[Package]) -> Mapping[str, StoredFile]:
        """Return sha256 to stored file, for all of them; see `Fetcher`."""
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
        try:
            for _ in missing:
                package, outcome = _wait(results)
                if isinstance(outcome, StoredFile):
                    found[package.sha256] = outcome
                    self._tell(
                        Progress(stage="fetch", item="all", done=len(found), total=len(missing), unit="files")
                    )
                elif isinstance(outcome, ProvisionError):
                    errors.append(outcome)
                    if outcome.code != "unavailable.offline":  # offline costs nothing, and every file is told
                        break
                else:
                    raise outcome
        finally:
            stop.set()
        if errors:
            raise errors[0] if len(errors) == 1 else ErrorList(errors)
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
            stored = self._store.find(package)  # another process may have brought it while we waited
            if stored is not None:
                return stored
            failed: dict[str, ProvisionError] = {}
            for source, find_url in self._sources(package):
                try:
                    url = find_url()
                    if url is None:
                        continue
                    self._downloader.fetch_to(
                        url, part=part, sha256=package.sha256, on_bytes=self._teller(package)
                    )
                except (InstallError, UnavailableError) as error:
                    failed.setdefault(source, error)
                else:
                    return self._store.publish(package, part)
        # a file that is there and is another one matters more than a host that cannot be reached
        changed = next((error for error in failed.values() if isinstance(error, InstallError)), None)
        raise changed or failed["locked"]

    def _sources(self, package: Package) -> Iterator[tuple[str, Callable[[], str | None]]]:
        """Yield functions that return where the file is, or None where that source does not have it."""
        if not isinstance(package, PipPackage):
            yield "locked", lambda: package.url
            return
        for wheelhouse in self._wheelhouses:
            yield wheelhouse, partial(self._find_in_wheelhouse, wheelhouse, package)
        if package.url.startswith("pypi:"):
            yield (
                "locked",
                lambda: self._find_in_index(self._packages.find_default_index(), package, needed=True),
            )
        else:
            yield "locked", lambda: package.url
        for index in self._packages.extra_indexes:
            yield index, partial(self._find_in_index, index, package, needed=False)

    def _find_in_wheelhouse(self, wheelhouse: str, package: PipPackage) -> str | None:
        """Return the address of a file of the name in a folder or on a page."""
        folder = local_path(wheelhouse) if wheelhouse.startswith("file:") else Path(wheelhouse)
        if "://" not in wheelhouse or folder.is_dir():
            path = folder / package.filename
            return path.absolute().as_uri() if path.is_file() else None
        return self._find_on_page(wheelhouse, package)

    def _find_in_index(self, index: str, package: PipPackage, *, needed: bool) -> str | None:
        """Return the file's address from its project's page.

        Raises:
            InstallError: ``install.hash_mismatch``: the index has a file of that name with another digest.
            UnavailableError: The page could not be read; with ``needed``, also where the file is not on it.
        """
        address = f"{index.rstrip('/')}/{package.name}/"
        url = self._find_on_page(address, package)
        if url is None and needed:
            raise UnavailableError(
                "unavailable.not_found",
                f"`{package.filename}` is not in the index `{redact(index)}` any more",
                hints=[
                    "lock again: the file was removed, or the index is another one than when it was locked"
                ],
                context={"index": redact(index), "filename": package.filename},
            )
        return url

    def _find_on_page(self, address: str, package: PipPackage) -> str | None:
        """Return the address of a file of the name; every page is read once."""
        with self._lock:
            files = self._pages.get(address)
        if files is None:
            page = fetch_page(self._downloader, address, project=package.name)
            files = {file.filename: file for file in page.files or ()}
            with self._lock:
                self._pages[address] = files
        file = files.get(package.filename)
        if file is None:
            return None
        if file.sha256 not in {None, package.sha256}:
            raise _another_file(package, address, got=file.sha256)
        return file.url

    def _teller(self, package: Package) -> Callable[[int, int | None], None]:
        last = 0.0

        def tell(done: int, total: int | None) -> None:
            nonlocal last
            now = time.monotonic()
            if done == total or now - last >= _TELL_EVERY_S:
                last = now
                self._tell(Progress(stage="fetch", item=package.filename, done=done, total=total))

        return tell

    def _tell(self, event: Progress) -> None:
        with self._lock:
            self._on_event(event)


def _wait(results: "queue.SimpleQueue[_Outcome]") -> "_Outcome":
    """Return the next outcome; waiting in slices, because Windows delivers Ctrl-C only between waits."""
    while True:
        with suppress(queue.Empty):
            return results.get(timeout=_SLICE_S)


def _another_file(package: PipPackage, address: str, *, got: str | None) -> InstallError:
    return InstallError(
        "install.hash_mismatch",
        f"`{package.filename}` in `{redact(address)}` is not the locked file: "
        f"expected sha256 `{package.sha256}`, the index says `{got}`",
        hints=[
            "find out why it changed before trusting it: the index or a mirror may serve another file",
            "lock again if the change is wanted",
        ],
        context={"url": redact(address), "expected": package.sha256, "got": got},
    )
