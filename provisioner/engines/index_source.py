"""What package indexes say, kept: in memory for a run, on disk for the next one."""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from provisioner.engines.index_page import IndexFile
from provisioner.errors import UnavailableError

if TYPE_CHECKING:  # no client of the network is loaded while everything is cached
    from provisioner.engines.index_reader import IndexReader

# What indexes themselves allow in Cache-Control; a lock made twice within it reads no page again.
FRESH_S = 600.0
_FORMAT = "provision.index-page/1"


class _Kept(NamedTuple):
    """A page in the cache; ``files`` is None where the index had no such project."""

    files: tuple[IndexFile, ...] | None
    etag: str | None
    age_s: float


class IndexSource:
    """Pages and metadata of package indexes; several solves share one source and may use it at once.

    Every page is fetched once per run, and once per ten minutes on disk; offline, any age will do.
    """

    def __init__(
        self,
        reader: "Callable[[], IndexReader]",
        *,
        default_index: Callable[[], str],
        default_name: str,
        cache: Path,
        offline: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Keep the parts.

        Args:
            reader: Makes or returns what reads the network; called only when something is not cached.
            default_index: Returns the address of the default index; called only then, too.
            default_name: What tells this default index from another one in the cache.
            cache: Folder for pages and metadata.
            offline: Whether cached pages of any age will do.
            clock: Seconds since the epoch.
        """
        self._reader = reader
        self.default_index = default_index
        self._default_name = default_name
        self._cache = cache
        self._offline = offline
        self._clock = clock
        self._pages: dict[tuple[str | None, str], tuple[IndexFile, ...] | None] = {}
        self._locks: dict[object, Lock] = {}
        self._guard = Lock()

    def read_page(self, address: str | None, project: str) -> tuple[IndexFile, ...] | None:
        """Return a project's files; None where the index has no such project.

        Args:
            address: The index's canonical address; None for the default index.
            project: Normalised name.

        Raises:
            UnavailableError: The index could not be read.
        """
        key = (address, project)
        # Both platforms ask for the same pages at the same time; the second waits for the first's answer.
        with self._lock(key):
            if key not in self._pages:
                self._pages[key] = self._find_page(address, project)
            return self._pages[key]

    def read_metadata(self, file: IndexFile) -> bytes:
        """Return a file's METADATA.

        Raises:
            UnavailableError: It could not be read.
        """
        # A digest names the bytes for ever. Without one, the address is all there is, and may serve others.
        name = file.sha256 or hashlib.sha256(file.url.encode()).hexdigest()
        path = self._cache / "metadata" / f"{name}.txt"
        with self._lock(path):
            with suppress(OSError):
                if file.sha256 or self._is_fresh(self._age_s(path)):
                    return path.read_bytes()
            body = self._reader().read_metadata(file)
            _write(path, body)
        return body

    def hash_file(self, file: IndexFile) -> str:
        """Return a file's sha256, which its index has not said: the file is fetched.

        Raises:
            UnavailableError: It could not be had.
        """
        with self._reader().fetch_whole(file).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def _lock(self, key: object) -> Lock:
        with self._guard:
            return self._locks.setdefault(key, Lock())

    def _age_s(self, path: Path) -> float:
        return self._clock() - path.stat().st_mtime

    def _is_fresh(self, age_s: float) -> bool:
        return self._offline or 0 <= age_s < FRESH_S

    def _find_page(self, address: str | None, project: str) -> tuple[IndexFile, ...] | None:
        identity = f"{address or self._default_name} {project}"
        path = self._cache / "pages" / f"{hashlib.sha256(identity.encode()).hexdigest()}.json"
        kept = self._load(path)
        if kept and self._is_fresh(kept.age_s):
            return kept.files
        fetched = self._reader().read_page(
            address or self.default_index(), project, etag=kept.etag if kept and kept.files else None
        )
        if kept and fetched and fetched.files is None:
            path.touch()
            return kept.files
        files = fetched.files if fetched else None
        _write(path, _dump(files, fetched.etag if fetched else None))
        return files

    def _load(self, path: Path) -> _Kept | None:
        try:
            age_s = self._age_s(path)
            document = json.loads(path.read_bytes())
            if document["format"] != _FORMAT:
                return None
            rows = document["files"]
            files = None if rows is None else tuple(IndexFile._make(row) for row in rows)
            return _Kept(files, document["etag"], age_s)
        except (OSError, ValueError, TypeError, KeyError):
            # Absent, or broken by a full disk; a page can be fetched again.
            return None


def _dump(files: tuple[IndexFile, ...] | None, etag: str | None) -> bytes:
    return json.dumps({"format": _FORMAT, "etag": etag, "files": files}, separators=(",", ":")).encode()


def _write(path: Path, body: bytes) -> None:
    """Write atomically; two processes may write the same page at once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(body)
            with suppress(PermissionError) if path.is_file() else nullcontext():
                # Windows does not replace a file that another process is reading; that one is as new.
                Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise UnavailableError(
            "unavailable.cache",
            f"the cache folder `{path.parent}` cannot be written: {(error.strerror or str(error)).lower()}",
            hints=["free some space, or choose another folder with `--data-dir`"],
            context={"path": str(path.parent)},
        ) from error
