"""Serve a mirror's folder over HTTP: read-only, only what was listed before, ranges, validators.

What may be asked for is a table that is made before the first request, so no path of a request ever reaches
the file system. Frameworks serve the files of a folder, not parts of one bundle. Sources: RFC 9110 (ranges,
conditional requests), RFC 8246 (``immutable``), PEP 691 (two forms of a page).
"""

import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

from provisioner.errors import UsageError
from provisioner.lock.mirror_tree import LIST_NAMES

_HTML, _JSON = LIST_NAMES
_SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".yaml": "application/yaml",
    ".zst": "application/zstd",
}
_FOREVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
# A client that is silent for so long is cut off; more at once are not let in: each has a thread.
_SILENCE_S = 30.0
_MOST_CONNECTIONS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """What is served at one path: bytes, or a part of a file that must still be the one that was listed.

    ``state`` is that of the file when it was listed. ``forever`` tells that no other bytes ever come here.
    """

    etag: str
    size: int
    forever: bool = False
    body: bytes = b""
    path: Path | None = None
    start: int = 0
    state: tuple[int, ...] = ()

    @classmethod
    def of_bytes(cls, body: bytes) -> Self:
        """Return a page."""
        return cls(etag=sha256(body).hexdigest(), size=len(body), body=body)

    @classmethod
    def of_file(
        cls, path: Path, *, digest: str | None = None, forever: bool, start: int = 0, size: int | None = None
    ) -> Self:
        """List a file, or ``size`` bytes of it from ``start``.

        Raises:
            OSError: It cannot be asked for its state.
        """
        status = path.stat()
        return cls(
            etag=digest or f"{status.st_mtime_ns:x}-{status.st_size:x}",
            size=status.st_size if size is None else size,
            forever=forever,
            path=path,
            start=start,
            state=_state_of(status),
        )


@contextmanager
def open_server(documents: dict[str, Document], host: str, port: int) -> Iterator["MirrorServer"]:
    """Listen for the length of the block; ``documents`` (by path, without a first slash) may still grow.

    Raises:
        UsageError: ``usage.listen``: nobody can listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = type("Server", (MirrorServer,), {"address_family": family})
    try:
        server = kind((host, port), documents)
    except (OSError, OverflowError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise UsageError(
            "usage.listen",
            f"cannot listen on `{host}`, port {port}: {why}",
            hints=["name another address with `--listen HOST:PORT`; port 0 takes any that is free"],
            context={"host": host, "port": port},
        ) from error
    try:
        yield server
    finally:
        server.server_close()


class MirrorServer(ThreadingTCPServer):
    """A listening server; `serve_forever` answers until something is raised in its thread."""

    daemon_threads = True
    # Else the end would wait for idle connections.
    block_on_close = False
    allow_reuse_address = os.name != "nt"  # there it would share the port with another server
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], documents: Mapping[str, Document]) -> None:
        """Listen; answer nothing yet."""
        self.documents = documents
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        super().__init__(address, _Handler)

    @property
    def port(self) -> int:
        """Return the port, which the system chose where 0 was asked for."""
        return int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection a thread, if there are not too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a connection's requests."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep a client that hung up off the user's terminal."""


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; everything else is refused before a byte of its body is read."""

    server: MirrorServer
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # what does not parse gets a status, too
    server_version = "provision"
    sys_version = ""
    timeout = _SILENCE_S
    # Without this, each small answer waits for the client's delayed acknowledgement.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep quiet."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse in one line, and hang up: what follows may be the body of what was refused."""
        del message, explain  # they repeat the request
        self.close_connection = True
        known = code != HTTPStatus.NOT_IMPLEMENTED
        self._refuse(code if known else HTTPStatus.METHOD_NOT_ALLOWED, connection="close")

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answer with a document, a part of one, or the address of the folder that was meant."""
        if "transfer-encoding" in self.headers or self.headers.get("content-length", "0") != "0":
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        try:
            path = unquote(urlsplit(self.path).path, errors="strict").removeprefix("/")
        except ValueError:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        documents = self.server.documents
        name = self._choose_page() if path.endswith("/") or not path else ""
        document = documents.get(path + name)
        if document is not None:
            self._answer(path + name, document)
        elif f"{path}/{_HTML}" in documents:
            self._refuse(HTTPStatus.MOVED_PERMANENTLY, location=f"/{quote(path)}/")
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def _choose_page(self) -> str:
        return _JSON if _SIMPLE_JSON in self.headers.get("accept", "") else _HTML

    def _answer(self, path: str, document: Document) -> None:
        etag = f'"{document.etag}"'
        page = path.endswith(LIST_NAMES)
        headers = {
            "ETag": etag,
            "Cache-Control": _FOREVER if document.forever else _ASK_AGAIN,
            **({"Vary": "Accept"} if page else {}),
        }
        if etag in _split_list(self.headers.get("if-none-match", "")):
            self._send_head(HTTPStatus.NOT_MODIFIED, headers)
            return
        headers |= {
            "Content-Type": _SIMPLE_JSON if path.endswith(f"/{_JSON}") else _kind_of(path),
            "Accept-Ranges": "bytes",
            "X-Content-Type-Options": "nosniff",
        }
        span = self._find_span(document, etag)
        if span is None:
            self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, content_range=f"bytes */{document.size}")
            return
        first, count = span
        status = HTTPStatus.OK
        if count != document.size:
            status = HTTPStatus.PARTIAL_CONTENT
            headers["Content-Range"] = f"bytes {first}-{first + count - 1}/{document.size}"
        self._send(status, headers | {"Content-Length": str(count)}, document, first, count)

    def _find_span(self, document: Document, etag: str) -> tuple[int, int] | None:
        """Return first byte and count that are asked for; None for what the document does not reach.

        Several ranges at once and what is not understood are answered with the whole (RFC 9110, 14.2).
        """
        whole = (0, document.size)
        match = _RANGE.fullmatch(self.headers.get("range", "").replace(" ", ""))
        if match is None or match[0] == "bytes=-" or self.headers.get("if-range", etag) != etag:
            return whole
        if not match[1]:
            count = min(int(match[2]), document.size)
            return (document.size - count, count) if count else None
        first = int(match[1])
        last = min(int(match[2]) if match[2] else document.size, document.size - 1)
        if match[2] and int(match[2]) < first:
            return whole
        return (first, last - first + 1) if first < document.size else None

    def _send(
        self, status: int, headers: Mapping[str, str], document: Document, first: int, count: int
    ) -> None:
        if document.path is None:
            self._send_head(status, headers)
            if self.command == "GET":
                self.wfile.write(document.body[first : first + count])
            return
        try:
            file = document.path.open("rb")
        except OSError:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        with file:
            if _state_of(os.fstat(file.fileno())) != document.state:  # another file since it was listed
                self._refuse(HTTPStatus.NOT_FOUND)
                return
            self._send_head(status, headers)
            if self.command == "GET" and count:
                self.connection.sendfile(file, document.start + first, count)

    def _send_head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _refuse(self, status: int, **headers: str) -> None:
        """Answer with the status alone; header names have ``_`` for ``-``."""
        body = f"{HTTPStatus(status).phrase}\n".encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._send_head(
            status,
            {"Content-Type": "text/plain", "Content-Length": str(len(body)), "Allow": "GET, HEAD"} | named,
        )
        if self.command != "HEAD":
            self.wfile.write(body)


def _kind_of(path: str) -> str:
    return _KINDS.get(os.path.splitext(path)[1], "application/octet-stream")  # noqa: PTH122 - an address


def _split_list(text: str) -> set[str]:
    """Return the validators of a header; weak ones are compared as strong ones (RFC 9110, 13.1.2)."""
    return {part.strip().removeprefix("W/") for part in text.split(",")}


def _state_of(status: os.stat_result) -> tuple[int, ...]:
    return status.st_size, status.st_mtime_ns, status.st_ino
