"""What package indexes say, kept: in memory for a run, on disk for the next one."""

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

from packaging.version import Version

from provisioner.engines.index.page import IndexFile
from provisioner.engines.index.reader import IndexReader
from provisioner.engines.net.pip_config import PackageSettings
from provisioner.errors import UnavailableError
from provisioner.ground.files import write_atomically
from provisioner.ground.names import DEFAULT_INDEX
from provisioner.ground.refusals import disk_error

# What indexes themselves allow in Cache-Control; a lock made twice within it reads no page again.
FRESH_S = 600.0
_FORMAT = "provision.index-page/4"

Choice = dict[Version, IndexFile]
"""The one file of each version that a request may see."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page:
    """A page in the cache; its files are read only when somebody looks at them.

    ``digest`` tells one content from another; None where the index has no such project.
    """

    path: Path
    digest: str | None
    etag: str | None
    age_s: float = 0.0


class IndexSource:
    """Pages and metadata of package indexes; several solves share one source and may use it at once.

    Every page is fetched once per run, and once per ten minutes on disk; offline, any age will do.
    """

    def __init__(
        self,
        reader: IndexReader,
        *,
        packages: PackageSettings,
        cache: Path,
        offline: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Keep the parts.

        Args:
            reader: Reads what is not cached.
            packages: Knows the default index.
            cache: Folder for pages and metadata.
            offline: Whether cached pages of any age will do.
            clock: Seconds since the epoch.
        """
        self._reader = reader
        self._packages = packages
        self._cache = cache
        self._offline = offline
        self._clock = clock
        self._pages: dict[tuple[str | None, str], _Page] = {}
        self._choices: dict[tuple[str | None, str, str], Choice | None] = {}
        self._metadata: dict[str, bytes] = {}
        self._locks: dict[object, Lock] = {}
        self._guard = Lock()
        self._epoch = 0
        self._used_cache = False

    @property
    def default_index(self) -> str:
        """Return the address of the default index."""
        return self._packages.find_default_index()

    @property
    def epoch(self) -> int:
        """Return how often the pages were renewed."""
        return self._epoch

    def renew(self, epoch: int) -> bool:
        """Forget the pages that came from the cache, so that they are asked for; tell whether there were any.

        A version that was uploaded a minute ago is in no cached page, so "no solution" is believed only after
        this. ``epoch`` is the one that the caller's answer was made in: another solve may have renewed since.
        """
        with self._guard:
            if epoch < self._epoch:
                return True
            if self._offline or not self._used_cache:
                return False
            self._epoch += 1
            self._used_cache = False
            self._pages.clear()
            self._choices.clear()
            return True

    def read_page(self, address: str | None, project: str) -> tuple[IndexFile, ...] | None:
        """Return a project's files; None where the index has no such project.

        Args:
            address: The index's canonical address; None for the default index.
            project: Normalised name.

        Raises:
            UnavailableError: The index could not be read.
        """
        page = self._find_page(address, project)
        return None if page.digest is None else _load_files(page.path)[1]

    def read_choice(
        self,
        address: str | None,
        project: str,
        *,
        key: str,
        choose: Callable[[tuple[IndexFile, ...]], Choice],
    ) -> Choice | None:
        """Return what ``choose`` makes of a page; ``key`` says what it depends on besides the page.

        Big pages take long to read, and nearly nothing of them is chosen, so the choice is cached as well.

        Raises:
            UnavailableError: The index could not be read.
        """
        memo = (address, project, key)
        with self._lock(memo):
            if memo not in self._choices:
                page = self._find_page(address, project)
                self._choices[memo] = None if page.digest is None else self._choose(page, key, choose)
            return self._choices[memo]

    def _choose(self, page: _Page, key: str, choose: Callable[[tuple[IndexFile, ...]], Choice]) -> Choice:
        name = hashlib.sha256(f"{page.path.stem} {key}".encode()).hexdigest()
        path = self._cache / "choices" / f"{name}.json"
        with suppress(OSError, ValueError, TypeError, KeyError):
            document = json.loads(path.read_bytes())
            if document["page"] == page.digest:
                return {_version(version): IndexFile._make(row) for version, *row in document["files"]}
        # Another process may have renewed the page meanwhile, so the digest is read again with the files.
        digest, files = _load_files(page.path)
        chosen = choose(files)
        rows = [(str(version), *file) for version, file in chosen.items()]
        _write(path, json.dumps({"page": digest, "files": rows}, separators=(",", ":")).encode())
        return chosen

    def read_metadata(self, file: IndexFile) -> bytes:
        """Return a file's METADATA.

        Raises:
            UnavailableError: It could not be read.
        """
        # A digest names the bytes for ever. Without one, the address is all there is, and may serve others.
        name = file.sha256 or hashlib.sha256(file.url.encode()).hexdigest()
        with self._lock(name):
            if name not in self._metadata:
                self._metadata[name] = self._find_metadata(file, name)
            return self._metadata[name]

    def _find_metadata(self, file: IndexFile, name: str) -> bytes:
        path = self._cache / "metadata" / f"{name}.txt"
        with suppress(OSError):
            if file.sha256 or self._is_fresh(self._age_s(path)):
                return path.read_bytes()
        body = self._reader.read_metadata(file)
        _write(path, body)
        return body

    def complete(self, file: IndexFile) -> IndexFile:
        """Return the file with the digest and the size that its index has not said.

        For a digest the file is fetched. For a size its server is asked, and may not say it either.

        Raises:
            UnavailableError: It could not be fetched.
        """
        if file.sha256 is None:
            path = self._reader.fetch_whole(file)
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return file._replace(sha256=digest, size=path.stat().st_size)
        return file if file.size is not None else file._replace(size=self._find_size(file))

    def _find_size(self, file: IndexFile) -> int | None:
        path = self._cache / "sizes" / f"{file.sha256}.txt"
        with suppress(OSError, ValueError):
            return int(path.read_bytes())
        size = self._reader.find_size(file)
        if size is not None:
            _write(path, str(size).encode())
        return size

    def find_publisher(self, file: IndexFile) -> str | None:
        """Return who published a file, as its index attests; None where it does not say."""
        if file.provenance is None:
            return None
        path = self._cache / "publishers" / f"{file.sha256}.txt"
        with suppress(OSError, ValueError):
            return path.read_text(encoding="ascii")
        publisher = self._reader.read_publisher(file.provenance)
        if publisher is not None:
            _write(path, publisher.encode("ascii"))
        return publisher

    def _lock(self, key: object) -> Lock:
        with self._guard:
            return self._locks.setdefault(key, Lock())

    def _age_s(self, path: Path) -> float:
        return self._clock() - path.stat().st_mtime

    def _is_fresh(self, age_s: float) -> bool:
        return self._offline or 0 <= age_s < FRESH_S

    def _find_page(self, address: str | None, project: str) -> _Page:
        self._packages.require_indexes()
        key = (address, project)
        # Both platforms ask for the same pages at the same time; the second waits for the first's answer.
        with self._lock(key):
            if key not in self._pages:
                self._pages[key] = self._fetch_page(address, project)
            return self._pages[key]

    def _fetch_page(self, address: str | None, project: str) -> _Page:
        identity = f"{address or self._packages.default_index or DEFAULT_INDEX} {project}"
        path = self._cache / "pages" / f"{hashlib.sha256(identity.encode()).hexdigest()}.json"
        kept = self._load_head(path)
        if kept and self._is_fresh(kept.age_s) and not self._epoch:
            self._used_cache = True
            return kept
        fetched = self._reader.read_page(
            address or self.default_index, project, etag=kept.etag if kept else None
        )
        if kept and fetched and fetched.files is None:
            path.touch()
            return kept
        rows = json.dumps(fetched.files if fetched else None, separators=(",", ":")).encode()
        digest = hashlib.sha256(rows).hexdigest() if fetched else None
        etag = fetched.etag if fetched else None
        head = json.dumps({"format": _FORMAT, "digest": digest, "etag": etag}).encode()
        _write(path, head + b"\n" + rows)
        return _Page(path=path, digest=digest, etag=etag)

    def _load_head(self, path: Path) -> _Page | None:
        try:
            age_s = self._age_s(path)
            with path.open("rb") as stream:
                head = json.loads(stream.readline())
            if head["format"] != _FORMAT:
                return None
            return _Page(path=path, digest=head["digest"], etag=head["etag"], age_s=age_s)
        except (OSError, ValueError, TypeError, KeyError):
            # Absent, or broken by a full disk; a page can be fetched again.
            return None


@cache
def _version(text: str) -> Version:
    return Version(text)


def _load_files(path: Path) -> tuple[str, tuple[IndexFile, ...]]:
    """Return a cached page's digest and files.

    Raises:
        UnavailableError: Somebody has emptied the cache under us.
    """
    try:
        head, _, rows = path.read_bytes().partition(b"\n")
        return json.loads(head)["digest"], tuple(IndexFile._make(row) for row in json.loads(rows) or ())
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnavailableError(
            "unavailable.cache",
            f"the cached page `{path}` has become unreadable",
            hints=["run the same command again"],
            retryable=True,
        ) from error


def _write(path: Path, body: bytes) -> None:
    """Keep something that can be fetched again; two processes may write the same page at once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, body, sync=False)
    except OSError as error:
        raise disk_error(path.parent, error) from error
