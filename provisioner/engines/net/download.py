"""Fetch pages and files of indexes, channels and mirrors: retries, limits, resumed transfers.

Engines get local files, because theirs is not the behaviour we promise: they wait forever on a silent server,
trust what is in their caches, and report a login page as "no solution found". Here a stall is a time-out, an
interrupted file is resumed, every file has the lockfile's sha256, and a failure names host, cause and remedy.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from provisioner.engines.net import errors as failures
from provisioner.engines.net.addresses import (
    check_address,
    filename_of,
    redact,
    split_credentials,
    to_canonical,
    to_mirror,
)
from provisioner.engines.net.errors import Attempt, NotFoundError
from provisioner.engines.net.local_files import open_local
from provisioner.engines.net.response import (
    Response,
    continues_at,
    is_web_page,
    make_response,
    read_local,
)
from provisioner.engines.net.settings import NetworkSettings
from provisioner.engines.net.transfer import CHUNK_BYTES, Transfer
from provisioner.errors import InstallError, UnavailableError
from provisioner.events import Listener, Notice, ignore_events
from provisioner.ground.refusals import disk_error

if TYPE_CHECKING:
    from provisioner.engines.net.client import HttpClient

__all__ = ["Downloader", "NotFoundError", "Response"]

_LONGEST_WAIT_S = 60.0
_PROGRESS_BYTES = 1024 * 1024
_LONGEST_FILE_BYTES = 16 * 1024 * 1024 * 1024

_Result = TypeVar("_Result")


class Downloader:
    """A client for everything that comes over the network; may be used by several threads at once."""

    def __init__(self, settings: NetworkSettings, *, on_event: Listener = ignore_events) -> None:
        """Open no connection yet."""
        self._settings = settings
        self._on_event = on_event
        self._lock = threading.Lock()
        self._opened: HttpClient | None = None
        self._told: set[str] = set()
        self._cancelled = threading.Event()

    def close(self) -> None:
        """End the transfers that are under way and close the connections; see `HttpClient.close`."""
        self._cancelled.set()
        if self._opened is not None:
            self._opened.close()

    @property
    def _client(self) -> "HttpClient":
        with self._lock:
            if self._opened is None:
                # Saved by a build from a full store and a lock from a warm cache.
                from provisioner.engines.net.client import HttpClient  # noqa: PLC0415 - 0.25 s of httpx

                self._opened = HttpClient(self._settings)
            return self._opened

    def find_canonical(self, url: str) -> str:
        """Return the canonical address of a mirror's ``url``; others pass."""
        return to_canonical(url, self._settings.mirrors)

    def get(
        self, url: str, *, accept: str = "*/*", etag: str | None = None, byte_range: str | None = None
    ) -> Response:
        """Return a page, or the part that ``byte_range`` names (``bytes=-1000``) where the server can.

        A web page where ``accept`` asks for something else is an error: login pages of hotels and companies
        come with status 200. With ``etag``, status 304 and no body mean that the page has not changed.

        Raises:
            NotFoundError: The server says that there is no such page.
            UnavailableError: Anything else that keeps us from the page.
        """
        attempt = self._attempt(url, is_page=True)
        if urlsplit(attempt.asked).scheme == "file":
            return read_local(attempt)
        headers = {"accept": accept} | ({"if-none-match": etag} if etag else {})
        # Counted on the bytes of the file, so no compression may stand between.
        headers |= {"range": byte_range, "accept-encoding": "identity"} if byte_range else {}
        return self._retry(lambda: self._read_page(attempt, headers), attempt)

    def post(self, url: str, content: bytes, *, kind: str) -> Response:
        """Send ``content`` and return the answer, which has the same media type ``kind``; errors as in `get`.

        It is sent again while a failure may pass: for questions, which change nothing where they are asked.
        """
        attempt = self._attempt(url, is_page=True)
        headers = {"accept": kind, "content-type": kind}
        return self._retry(lambda: self._read_page(attempt, headers, content), attempt)

    def head(self, url: str, *, tries: int | None = None) -> Response:
        """Return status and headers of a file without its body; errors as in `get`."""
        attempt = self._attempt(url)
        if urlsplit(attempt.asked).scheme == "file":
            with open_local(attempt) as source:
                length = str(os.fstat(source.fileno()).st_size)
            return Response(status=200, headers={"content-length": length}, body=b"", url=attempt.asked)

        def read() -> Response:
            with self._client.open("HEAD", attempt, {"accept-encoding": "identity"}) as answer:
                return make_response(answer, b"")

        return self._retry(read, attempt, tries=tries)

    def fetch_to(
        self,
        url: str,
        *,
        part: Path,
        sha256: str | None,
        size: int | None = None,
        on_bytes: Callable[[int, int | None], None] | None = None,
    ) -> str:
        """Download a file to ``part``, going on where an earlier try ended, and return its sha256.

        Of a file whose size is known nothing longer is read, and a shorter answer is a transfer that was cut.

        Args:
            url: Canonical address.
            part: Where the bytes go, in a folder of ours. On return it is complete and has the digest.
            sha256: Lower-case hex digest from the lockfile; None where the digest is what is wanted.
            size: Bytes that the file has; None where nobody knows.
            on_bytes: Called with the bytes so far and the total, None while unknown.

        Raises:
            InstallError: ``install.hash_mismatch``: the server's file is not the locked one, and ``part`` is
                gone; ``install.disk…``: it could not be written.
            UnavailableError: It could not be had; ``part`` stays for the next try.
        """
        attempt = self._attempt(url)
        attempt.size = size
        try:
            transfer = Transfer(part, on_bytes=on_bytes)
            if sha256 is None or (size is not None and transfer.size > size):
                transfer.restart()
            if transfer.size and transfer.digest() == sha256:
                return transfer.digest()
            self._fetch(attempt, transfer)
            if sha256 not in {None, transfer.digest()} and transfer.resumed:
                # what lay here may be the beginning of another file: once more, from the start
                transfer.restart()
                self._fetch(attempt, transfer)
            if sha256 is not None and transfer.digest() != sha256:
                raise failures.hash_mismatch(attempt, expected=sha256, got=transfer.digest())
            transfer.sync()
            return transfer.digest()
        except InstallError:
            part.unlink(missing_ok=True)
            raise
        except OSError as error:
            raise disk_error(part, error) from error

    def _attempt(self, url: str, *, is_page: bool = False) -> Attempt:
        asked = to_mirror(url, self._settings.mirrors)
        if why := check_address(asked):  # an index may list what it likes
            raise failures.bad_address(Attempt(url=url, asked=asked, what="a file"), why)
        plain, login = split_credentials(asked)
        what = urlsplit(redact(url)).path if is_page or url.endswith("/") else filename_of(url)
        return Attempt(url=url, asked=plain, what=f"`{what}`", login=login)

    def _read_page(
        self, attempt: Attempt, headers: Mapping[str, str], content: bytes | None = None
    ) -> Response:
        """Make one request, with ``content`` where something is sent, and hold the answer in memory."""
        wants_html = "html" in headers["accept"] or "*/*" in headers["accept"]
        method = "GET" if content is None else "POST"
        with self._client.open(method, attempt, headers, content) as answer:
            if answer.status_code == 416:
                raise failures.from_status(attempt, 416)
            body = bytearray()
            for chunk in answer.iter_bytes(CHUNK_BYTES):
                body += chunk
                attempt.done = len(body)
                if len(body) > self._settings.longest_body_bytes:
                    raise failures.too_large(attempt, self._settings.longest_body_bytes)
            if not wants_html and is_web_page(answer.headers, bytes(body[:64])):
                raise failures.web_page(attempt)
            return make_response(answer, bytes(body))

    def _fetch(self, attempt: Attempt, transfer: Transfer) -> None:
        if urlsplit(attempt.asked).scheme == "file":
            transfer.restart()
            with open_local(attempt) as source:
                chunks = iter(lambda: source.read(CHUNK_BYTES), b"")
                transfer.append(self._watched(chunks, attempt, transfer), total=attempt.size)
            return
        self._retry(lambda: self._receive(attempt, transfer), attempt)

    def _receive(self, attempt: Attempt, transfer: Transfer) -> None:
        """Make one request and append what comes."""
        start = transfer.size
        headers = {"accept-encoding": "identity"} | ({"range": f"bytes={start}-"} if start else {})
        with self._client.open("GET", attempt, headers) as answer:
            if start and answer.status_code != 200 and not continues_at(answer, start):
                transfer.restart()
                raise failures.bad_resume(attempt)
            if start and answer.status_code == 200:
                transfer.restart()
            length = answer.headers.get("content-length", "")
            attempt.total = transfer.size + int(length) if length.isdecimal() else attempt.size
            chunks = answer.iter_raw()  # as it comes: what arrived before a stall is kept
            transfer.append(self._watched(chunks, attempt, transfer, answer.headers), total=attempt.total)
        if attempt.size is not None and transfer.size < attempt.size:
            raise failures.cut_off(attempt)

    def _watched(
        self,
        chunks: Iterable[bytes],
        attempt: Attempt,
        transfer: Transfer,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Iterator[bytes]:
        """Yield the body as it comes, refusing web pages and what is longer than it may be."""
        for chunk in chunks:
            if transfer.size == 0 and is_web_page(headers, chunk[:64]):
                raise failures.web_page(attempt)
            coming = max(transfer.size + len(chunk), attempt.total or 0)
            if attempt.size is not None and coming > attempt.size:
                raise failures.too_long(attempt)
            yield chunk
            attempt.done = transfer.size
            if transfer.size > _LONGEST_FILE_BYTES:
                raise failures.too_large(attempt, _LONGEST_FILE_BYTES)
            if self._cancelled.is_set():
                raise failures.stopped(attempt)

    def _retry(self, action: Callable[[], _Result], attempt: Attempt, *, tries: int | None = None) -> _Result:
        """Run one request, again while the failure may pass; a try that brought a megabyte does not count."""
        if self._settings.offline:
            raise failures.offline(attempt)
        left, reached = tries or self._settings.tries, 0
        while True:
            attempt.tries += 1
            attempt.retry_after_s = None
            try:
                return action()
            except UnavailableError as error:
                failed = error
            left = self._settings.tries - 1 if attempt.done - reached > _PROGRESS_BYTES else left - 1
            reached = max(reached, attempt.done)
            if not failed.retryable or left <= 0 or self._cancelled.is_set():
                raise failed
            self._pause(attempt, failed, left)

    def _pause(self, attempt: Attempt, failed: UnavailableError, left: int) -> None:
        """Tell of a host's first failure and wait: as long as it asks, else twice as long each time."""
        with self._lock:
            first = attempt.host not in self._told
            self._told.add(attempt.host)
        if first:
            self._on_event(Notice(message=f"{failed.message}; trying again"))
        grown = self._settings.backoff_s * 2 ** min(self._settings.tries - left - 1, 6)
        wait_s = grown if attempt.retry_after_s is None else attempt.retry_after_s
        self._cancelled.wait(min(wait_s, _LONGEST_WAIT_S))
