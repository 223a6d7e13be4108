"""Read package indexes over the network, through our downloader."""

import hashlib
import io
import math
import re
from contextlib import nullcontext, suppress
from pathlib import Path
from threading import Lock

from provisioner.engines.index.metadata import read_sdist_metadata, read_wheel_metadata
from provisioner.engines.index.page import FetchedPage, IndexFile, fetch_page
from provisioner.engines.index.provenance import PROVENANCE_TYPE, find_publisher
from provisioner.engines.index.remote_wheel import RemoteFile
from provisioner.engines.net.download import Downloader, NotFoundError
from provisioner.errors import UnavailableError
from provisioner.ground.file_lock import hold_file
from provisioner.ground.files import replace

_FOR_ANY_TARGET = re.compile(r"(?:any|[-._]x86_64|[-._]amd64)\.whl$|\.tar\.gz$", re.IGNORECASE)


class IndexReader:
    """Fetches pages, metadata and whole files; may be used by several threads at once."""

    def __init__(self, downloader: Downloader, *, folder: Path) -> None:
        """Keep the parts.

        Args:
            downloader: Fetches documents, through mirrors.
            folder: Keeps the files that had to be fetched whole.
        """
        self._downloader = downloader
        self._folder = folder
        self._guard = Lock()
        self._first: dict[str, Lock] = {}
        self._reached: set[str] = set()
        self._dead: dict[str, UnavailableError] = {}

    def read_page(self, address: str, project: str, *, etag: str | None = None) -> FetchedPage | None:
        """Return a project's page; None where the index has no such project.

        Raises:
            UnavailableError: The index could not be read.
        """
        with self._guard:
            first = self._first.setdefault(address, Lock())
        # A resolver asks for many projects at once. The first one tries alone whether the index answers, so
        # that a dead one is waited for, and told of, once.
        with first if address not in self._reached else nullcontext():
            if address in self._dead:
                raise self._dead[address]
            try:
                page = self._fetch_page(address, project, etag)
            except UnavailableError as error:
                if address not in self._reached:
                    self._dead[address] = error
                raise
            self._reached.add(address)
            return page

    def _fetch_page(self, address: str, project: str, etag: str | None) -> FetchedPage | None:
        try:
            page = fetch_page(
                self._downloader, f"{address.rstrip('/')}/{project}/", project=project, etag=etag
            )
        except NotFoundError:
            return None
        if page.files is None:
            return page
        files = tuple(
            # Canonical before it is cached: the next run may go through another mirror, or none.
            file._replace(url=self._downloader.find_canonical(file.url))
            for file in page.files
            # Nobody asks for the many files of other processors, and reading them again costs time.
            if _FOR_ANY_TARGET.search(file.filename)
        )
        return page._replace(files=files)

    def read_metadata(self, file: IndexFile) -> bytes:
        """Return a file's METADATA: from beside it, from inside it by ranges, or from the whole of it.

        Raises:
            UnavailableError: It could not be read.
        """
        if not file.filename.endswith(".whl"):
            return read_sdist_metadata(self.fetch_whole(file))
        # Asked for even where the page does not announce it: some mirrors serve it and do not say so.
        with suppress(NotFoundError):
            body = self._downloader.get(f"{file.url}.metadata").body
            if body.lstrip().startswith(b"Metadata-Version:"):
                return body
        if file.sha256 is None:
            # It has to be fetched whole for its digest anyway.
            return read_wheel_metadata(self.fetch_whole(file), name=file.filename)
        try:
            remote = io.BufferedReader(RemoteFile(self._downloader, file.url), buffer_size=32 * 1024)
        except ValueError:
            return read_wheel_metadata(self.fetch_whole(file), name=file.filename)
        return read_wheel_metadata(remote, name=file.filename)

    def find_size(self, file: IndexFile) -> int | None:
        """Return how many bytes the server says a file has; None where it does not, for whatever reason."""
        try:
            length = self._downloader.head(file.url, tries=1).headers.get("content-length", "")
        except UnavailableError:
            return None
        return int(length) if length.isdecimal() else None

    def read_publisher(self, address: str) -> str | None:
        """Return who published a file, by its attestations; None where they cannot be had or say nothing."""
        try:
            return find_publisher(self._downloader.get(address, accept=PROVENANCE_TYPE).body)
        except UnavailableError:
            return None

    def fetch_whole(self, file: IndexFile) -> Path:
        """Fetch a file whose index gives no digest or no metadata; it is kept for the next lock.

        Raises:
            UnavailableError: It could not be had.
        """
        folder = self._folder / hashlib.sha256(file.url.encode()).hexdigest()
        path = folder / file.filename
        folder.mkdir(parents=True, exist_ok=True)
        # Both platforms may ask for the same file at the same time, and so may another process.
        with hold_file(folder / "lock", timeout_s=math.inf):
            if not path.is_file():
                part = folder / f"{file.filename}.part"
                self._downloader.fetch_to(file.url, part=part, sha256=file.sha256)
                replace(part, path)
        return path
