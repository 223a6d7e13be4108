"""Read package indexes through our downloader, with a small cache of what they said."""

import hashlib
import io
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock

from provisioner.engines.download import Downloader, NotFoundError
from provisioner.engines.index import dump_files, load_files, read_sdist_metadata, read_wheel_metadata
from provisioner.engines.index_page import ACCEPT, IndexFile, parse_page
from provisioner.engines.remote_wheel import RemoteFile
from provisioner.errors import UnavailableError

# What indexes themselves allow in Cache-Control; a lock made twice within it reads no page again.
FRESH_S = 600.0
_FOR_ANY_TARGET = re.compile(r"(?:any|[-._]x86_64|[-._]amd64)\.whl$|\.tar\.gz$", re.IGNORECASE)


class IndexSource:
    """Reads pages and metadata of the indexes that a profile names.

    Several solves share one source: every page is fetched once per run and once per ten minutes on disk.
    """

    def __init__(
        self,
        downloader: Downloader,
        *,
        addresses: Mapping[str, str],
        cache: Path,
        fetch_wheel: Callable[[str, IndexFile], Path],
        canonical: Callable[[str], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Keep the parts.

        Args:
            downloader: Fetches documents, through mirrors.
            addresses: Index name to address; the default index stands under its own name.
            cache: Folder for pages and metadata.
            fetch_wheel: Index name and file to the whole wheel on disk, for indexes that serve no metadata.
            canonical: Takes a mirror's address back to the canonical one.
            clock: Seconds since the epoch.
        """
        self._downloader = downloader
        self._addresses = addresses
        self._cache = cache
        self._fetch_wheel = fetch_wheel
        self._canonical = canonical
        self._clock = clock
        self._pages: dict[tuple[str, str], tuple[IndexFile, ...]] = {}
        self._locks: dict[tuple[str, str], Lock] = {}
        self._guard = Lock()

    def read_page(self, index: str, project: str) -> tuple[IndexFile, ...]:
        """Return the project's wheels; empty where the index has no such project.

        Raises:
            UnavailableError: The index could not be read.
        """
        key = (self._addresses[index], project)
        with self._guard:
            lock = self._locks.setdefault(key, Lock())
        # Both platforms ask for the same pages at the same time; the second waits for the first's answer.
        with lock:
            if key not in self._pages:
                self._pages[key] = self._cached_page(*key)
            return self._pages[key]

    def read_metadata(self, index: str, file: IndexFile) -> bytes:
        """Return a wheel's METADATA.

        Raises:
            UnavailableError: It could not be read.
        """
        # The digest names the bytes for ever; without one, the address is all there is, so nothing is kept.
        path = self._cache / "metadata" / f"{file.sha256}.txt" if file.sha256 else None
        if path is not None:
            with suppress(FileNotFoundError):
                return path.read_bytes()
        body = self._fetch_metadata(index, file)
        if path is not None:
            _write(path, body)
        return body

    def _fetch_metadata(self, index: str, file: IndexFile) -> bytes:
        if not file.filename.endswith(".whl"):
            return read_sdist_metadata(self._fetch_wheel(index, file))
        # Asked for even where the page does not announce it: some mirrors serve it and strip the announcement.
        with suppress(NotFoundError):
            body = self._downloader.get(f"{file.url}.metadata").body
            if body.lstrip().startswith(b"Metadata-Version:"):
                return body
        if file.sha256 is None:
            # It has to be fetched whole for its digest anyway.
            return read_wheel_metadata(self._fetch_wheel(index, file), name=file.filename)
        try:
            remote = io.BufferedReader(RemoteFile(self._downloader, file.url), buffer_size=32 * 1024)
        except ValueError:
            return read_wheel_metadata(self._fetch_wheel(index, file), name=file.filename)
        return read_wheel_metadata(remote, name=file.filename)

    def _cached_page(self, address: str, project: str) -> tuple[IndexFile, ...]:
        url = f"{address.rstrip('/')}/{project}/"
        path = self._cache / "pages" / f"{hashlib.sha256(url.encode()).hexdigest()}.json"
        with suppress(OSError, ValueError, TypeError):
            if 0 <= self._clock() - path.stat().st_mtime < FRESH_S:
                return load_files(path.read_text(encoding="utf-8"))
        try:
            reply = self._downloader.get(url, accept=ACCEPT)
        except NotFoundError:
            return ()
        kind = reply.headers.get("content-type", "")
        files = tuple(
            # Canonical before it is cached: the next run may go through another mirror, or none.
            replace(file, url=self._canonical(file.url))
            for file in parse_page(reply.body, kind=kind, url=reply.url, project=project)
            # Nobody asks for the many files of other processors, and reading them again costs time.
            if _FOR_ANY_TARGET.search(file.filename)
        )
        _write(path, dump_files(files).encode())
        return files


def _write(path: Path, body: bytes) -> None:
    """Write atomically; two processes may write the same page at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(body)
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise UnavailableError(
            "unavailable.cache", f"the cache folder `{path.parent}` cannot be written: {error.strerror}"
        ) from error
