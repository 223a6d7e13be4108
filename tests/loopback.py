"""A loopback web server whose faults are chosen by the address, so that one server serves every case.

``/<mode>/<name>`` answers with the file ``name`` in the way of the mode; see `_MODES`.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(kw_only=True)
class Loopback:
    """A running server: its address, its files by name, and what it was asked."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0

    def count(self, path: str) -> int:
        """Return how often the path was asked for."""
        return sum(request.path == path for request in self.requests)


class _Handler(BaseHTTPRequestHandler):
    """Answers by the first segment of the path."""

    protocol_version = "HTTP/1.1"
    loopback: Loopback

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep quiet."""

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self.do_GET()

    def do_CONNECT(self) -> None:
        """Refuse to be a proxy for https, after noting who asked."""
        self.loopback.requests.append(
            Request(method="CONNECT", path=self.path, headers=dict(self.headers.items()))
        )
        self._send(407, b"")

    def do_GET(self) -> None:
        """Answer in the way of the mode."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.loopback.requests.append(Request(method=self.command, path=self.path, headers=headers))
        time.sleep(self.loopback.delay_s)
        path = self.path
        if not path.startswith("/"):  # asked as a proxy: serve the path of whatever host
            path = "/" + path.partition("://")[2].partition("/")[2]
        mode, _, name = path.partition("?")[0].lstrip("/").partition("/")
        body = self.loopback.files.get(name)
        if body is None and mode not in {"html", "redirect", "loop"}:
            self._send(404, b"no such file")
            return
        getattr(self, f"_{mode}", self._unknown)(name, body or b"", headers)

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        if "content_length" not in headers:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _type(self, name: str) -> str:
        return self.loopback.types.get(name, "application/octet-stream")

    def _unknown(self, _name: str, _body: bytes, _headers: Mapping[str, str]) -> None:
        self._send(404, b"no such mode")

    def _ok(self, name: str, body: bytes, headers: Mapping[str, str]) -> None:
        """A good server: ranges, validators."""
        if headers.get("if-none-match") == f'"{len(body)}"':
            self._send(304, b"")
            return
        first, _, last = headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
        start = int(first) if first else max(len(body) - int(last), 0)
        end = min(int(last) + 1, len(body)) if first and last else len(body)
        if start and start >= len(body):
            self._send(416, b"", content_range=f"bytes */{len(body)}")
        elif start or end < len(body):
            span = f"bytes {start}-{end - 1}/{len(body)}"
            self._send(206, body[start:end], content_range=span, content_type=self._type(name))
        else:
            self._send(200, body, content_type=self._type(name), etag=f'"{len(body)}"')

    def _norange(self, name: str, body: bytes, _headers: Mapping[str, str]) -> None:
        self._send(200, body, content_type=self._type(name))

    def _wrongrange(self, _name: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Answer range requests from another place."""
        if "range" in headers:
            self._send(206, body[1:], content_range=f"bytes 1-{len(body) - 1}/{len(body)}")
        else:
            self._send(200, body)

    def _longrange(self, _name: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Answer range requests with a place of more digits than Python turns into a number."""
        if "range" in headers:
            self._send(206, body, content_range=f"bytes {'9' * 5000}-{len(body) - 1}/{len(body)}")
        else:
            self._send(200, body)

    def _html(self, _name: str, _body: bytes, _headers: Mapping[str, str]) -> None:
        self._send(
            200, b"<!doctype html><title>Please log in</title>", content_type="text/html; charset=utf-8"
        )

    def _half(self, _name: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()

    def _trunc(self, name: str, body: bytes, _headers: Mapping[str, str]) -> None:
        self._half(name, body)
        self.close_connection = True

    def _trunc1(self, name: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Break off the first time; then behave."""
        if self.loopback.count(self.path) == 1:
            self._trunc(name, body, headers)
        else:
            self._ok(name, body, headers)

    def _reset(self, name: str, body: bytes, _headers: Mapping[str, str]) -> None:
        import socket
        import struct

        self._half(name, body)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _stall(self, name: str, body: bytes, _headers: Mapping[str, str]) -> None:
        self._half(name, body)
        time.sleep(30)

    def _slow(self, _name: str, body: bytes, _headers: Mapping[str, str]) -> None:
        """Send twelve pieces, a quarter of a second apart."""
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        step = len(body) // 11 + 1
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            self.wfile.flush()
            time.sleep(0.25)

    def _chop(self, _name: str, body: bytes, _headers: Mapping[str, str]) -> None:
        """Send too little with a length that agrees."""
        self._send(200, body[:-1])

    def _short(self, _name: str, body: bytes, headers: Mapping[str, str]) -> None:
        """End after half of it, without a length that would tell."""
        start = int(headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if self.loopback.count(self.path) > 1:
            self._ok(_name, body, headers)
            return
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        self.wfile.write(body[start : len(body) // 2])

    def _endless(self, _name: str, _body: bytes, _headers: Mapping[str, str]) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        while True:
            self.wfile.write(b"0" * 65536)

    def _e503x2(self, name: str, body: bytes, headers: Mapping[str, str]) -> None:
        if self.loopback.count(self.path) <= 2:
            self._send(503, b"busy")
        else:
            self._ok(name, body, headers)

    def _later(self, name: str, body: bytes, headers: Mapping[str, str]) -> None:
        if self.loopback.count(self.path) == 1:
            self._send(429, b"", retry_after="1")
        else:
            self._ok(name, body, headers)

    def _redirect(self, name: str, _body: bytes, _headers: Mapping[str, str]) -> None:
        """Send the client to the address that the name says, after the first slash of the path."""
        self._send(302, b"", location=self.path.partition("?to=")[2] or f"/ok/{name}")

    def _loop(self, _name: str, _body: bytes, _headers: Mapping[str, str]) -> None:
        self._send(302, b"", location=self.path)

    def _private(self, name: str, body: bytes, headers: Mapping[str, str]) -> None:
        if headers.get("authorization") == "Basic YWRhOkNBTkFSWQ==":  # ada:CANARY
            self._ok(name, body, headers)
        else:
            self._send(401, b"", www_authenticate="Basic")

    def __getattr__(self, name: str) -> Any:
        """Serve any status: ``/e500/x`` answers 500."""
        if name.startswith("_e") and name[2:].isdecimal():
            return lambda _name, _body, _headers: self._send(int(name[2:]), b"")
        raise AttributeError(name)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""
        del request, client_address


@contextmanager
def serve(files: Mapping[str, bytes] | None = None, *, address: str = "127.0.0.1") -> Iterator[Loopback]:
    """Serve for the length of a ``with`` block; ``address``: another one of this machine's."""
    handler = type("Handler", (_Handler,), {})
    server = _Server((address, 0), handler)
    loopback = Loopback(url=f"http://{address}:{server.server_address[1]}", files=dict(files or {}))
    handler.loopback = loopback  # type: ignore[attr-defined] # declared on the base class
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield loopback
    finally:
        server.shutdown()
        server.server_close()
