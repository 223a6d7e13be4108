"""The mirror's server: ranges and validators for clients, one line and a closed door for everybody else."""

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from provisioner.engines.index.mirror_server import Document, MirrorServer, open_server

BODY = bytes(range(256)) * 40
PLACE = "pypi/simple/demo/demo-1.0-py3-none-any.whl"


@dataclass(frozen=True, kw_only=True)
class Site:
    """A running server and the file that it shows."""

    server: MirrorServer
    file: Path

    @property
    def url(self) -> str:
        """Return the server's address."""
        return f"http://127.0.0.1:{self.server.port}"

    def say(self, data: bytes) -> bytes:
        """Send bytes and return everything that comes back until the server hangs up."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Serve a wheel, and a project's page in both forms."""
    file = tmp_path / "stored"
    file.write_bytes(BODY)
    documents = {
        PLACE: Document.of_file(file, digest="d" * 64, forever=True),
        "pypi/simple/demo/index.html": Document.of_bytes(b"<html>"),
        "pypi/simple/demo/index.json": Document.of_bytes(b"{}"),
    }
    with open_server(documents, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield Site(server=server, file=file)
        server.shutdown()


@pytest.mark.parametrize(
    ("asked", "status", "got"),
    [
        ("bytes=0-9", 206, BODY[:10]),
        ("bytes=10230-", 206, BODY[10230:]),
        ("bytes=-5", 206, BODY[-5:]),
        ("bytes=-99999", 200, BODY),
        ("bytes=5-99999", 206, BODY[5:]),
        ("bytes=10240-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=9-5", 200, BODY),
        ("bytes=0-1,5-6", 200, BODY),
        ("bytes=-", 200, BODY),
        ("lines=0-1", 200, BODY),
        (f"bytes={'9' * 5000}-", 200, BODY),
    ],
)
def test_ranges(asked: str, status: int, got: bytes | None, site: Site) -> None:
    """A part is what was asked for; what is not understood is answered with the whole, never with less."""
    answer = httpx.get(f"{site.url}/{PLACE}", headers={"range": asked}, trust_env=False)
    assert answer.status_code == status
    if got is not None:
        assert answer.content == got
    if status == 206:
        start = BODY.index(answer.content) if len(answer.content) > 256 else len(BODY) - len(answer.content)
        start = 0 if asked == "bytes=0-9" else start
        end = start + len(answer.content) - 1
        assert answer.headers["content-range"] == f"bytes {start}-{end}/{len(BODY)}"


def test_validators_and_caching(site: Site) -> None:
    """Files are cached for ever and pages asked for again; a page that is known is not sent twice."""
    with httpx.Client(base_url=site.url, trust_env=False) as client:
        file = client.head(f"/{PLACE}")
        assert (file.status_code, file.content) == (200, b"")
        assert file.headers["content-length"] == str(len(BODY))
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
        page = client.get("/pypi/simple/demo/")
        assert page.headers["cache-control"] == "no-cache"
        known = {"if-none-match": f'"other", W/{page.headers["etag"]}'}
        assert client.get("/pypi/simple/demo/", headers=known).status_code == 304
        stale = {"range": "bytes=5-", "if-range": '"another"'}
        assert client.get(f"/{PLACE}", headers=stale).content == BODY


def test_a_page_has_two_forms(site: Site) -> None:
    """Who asks for JSON gets it, others HTML; a folder's address without its slash is led on."""
    with httpx.Client(base_url=site.url, trust_env=False) as client:
        old = client.get("/pypi/simple/demo/", headers={"accept": "text/html"})
        assert (old.content, old.headers["content-type"]) == (b"<html>", "text/html; charset=utf-8")
        kind = "application/vnd.pypi.simple.v1+json"
        new = client.get("/pypi/simple/demo/", headers={"accept": f"{kind}, text/html;q=0.1"})
        assert (new.content, new.headers["content-type"]) == (b"{}", kind)
        assert new.headers["vary"] == "Accept"
        assert client.get("/pypi/simple/demo").headers["location"] == "/pypi/simple/demo/"


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /../../etc/passwd HTTP/1.1", 404),
        (b"GET /pypi/%2e%2e/%2e%2e/etc/passwd HTTP/1.1", 404),
        (b"GET //etc/passwd HTTP/1.1", 404),
        (b"GET /pypi/simple/demo/%00 HTTP/1.1", 404),
        (b"GET /%ff%fe HTTP/1.1", 400),
        (b"GET http://[x/ HTTP/1.1", 400),
        (b"GET http://elsewhere.example.org/pypi/simple HTTP/1.1", 404),
        (b"GET / HTTP/2.0", 505),
        (b"GET / / / HTTP/1.1", 400),
        (b"POST /pypi/simple/demo/ HTTP/1.1", 405),
        (b"DELETE /pypi/simple/demo/ HTTP/1.1", 405),
        (b"CONNECT elsewhere.example.org:443 HTTP/1.1", 405),
        (b"GET /pypi/simple/demo/ HTTP/1.1\r\nContent-Length: 30", 400),
        (b"GET /pypi/simple/demo/ HTTP/1.1\r\nTransfer-Encoding: chunked", 400),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000, 431),
        (b"GET / HTTP/1.1" + b"\r\nX: a" * 200, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    ],
)
def test_hostile_requests(request_line: bytes, status: int, site: Site) -> None:
    """They get one status and none of what follows them is answered; the server goes on."""
    smuggled = b"GET /" + PLACE.encode() + b" HTTP/1.1\r\n\r\n"
    answer = site.say(request_line + b"\r\nHost: x\r\nConnection: close\r\n\r\n" + smuggled)
    assert answer.count(b"HTTP/1.") <= 1 or status == 431  # the rest of too many headers is not read
    assert answer == b"" or answer.startswith(f"HTTP/1.1 {status} ".encode()) or status == 414
    assert BODY not in answer
    assert b"root:" not in answer
    assert httpx.get(f"{site.url}/{PLACE}", trust_env=False).content == BODY


def test_a_file_that_has_changed_is_gone(site: Site) -> None:
    """The bytes that were listed are served, or none: the digest that clients were told belongs to them."""
    other = site.file.with_name("other")
    other.write_bytes(BODY[::-1])
    os.replace(other, site.file)  # noqa: PTH105 - as another process does it
    assert httpx.get(f"{site.url}/{PLACE}", trust_env=False).status_code == 404
    site.file.unlink()
    assert httpx.get(f"{site.url}/{PLACE}", trust_env=False).status_code == 404


def test_silent_connections_do_not_keep_others_out(site: Site) -> None:
    """Clients that say nothing hold a thread each, and no more than there may be."""
    silent = [socket.create_connection(("127.0.0.1", site.server.port), timeout=10) for _ in range(200)]
    try:
        assert httpx.get(f"{site.url}/{PLACE}", trust_env=False).content == BODY
    finally:
        for connection in silent:
            connection.close()
