"""The downloader resumes, gives up in time, splices nothing, names the culprit and keeps secrets."""

import hashlib
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from provisioner.engines.net.download import Downloader, NotFoundError
from provisioner.engines.net.settings import NetworkSettings
from provisioner.errors import InstallError, UnavailableError
from provisioner.events import Event, Notice
from tests.loopback import Loopback, serve

FILE = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(FILE).hexdigest()
QUICK = {"backoff_s": 0.01, "stall_timeout_s": 0.6, "connect_timeout_s": 1.0}


@pytest.fixture
def server() -> Iterator[Loopback]:
    """A loopback server with one file and one page."""
    with serve({"a.whl": FILE, "page.json": b'{"files": []}'}) as running:
        yield running


_OPEN: list[Downloader] = []


@pytest.fixture(autouse=True)
def _close_clients() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


def client(**settings: object) -> Downloader:
    downloader = Downloader(NetworkSettings(**(QUICK | settings)))  # type: ignore[arg-type] # passed on
    _OPEN.append(downloader)
    return downloader


def fetch(url: str, part: Path, **settings: object) -> bytes:
    client(**settings).fetch_to(url, part=part, sha256=DIGEST)
    return part.read_bytes()


@pytest.mark.parametrize("mode", ["ok", "norange", "trunc1", "e503x2", "slow", "redirect"])
def test_a_file_arrives_whole(server: Loopback, tmp_path: Path, mode: str) -> None:
    """Broken transfers, busy servers, slow ones and redirects end in the locked bytes."""
    assert fetch(f"{server.url}/{mode}/a.whl", tmp_path / "a.part") == FILE


def test_an_interrupted_file_is_resumed(server: Loopback, tmp_path: Path) -> None:
    """Only the missing bytes are asked for."""
    part = tmp_path / "a.part"
    part.write_bytes(FILE[:700])
    assert fetch(f"{server.url}/ok/a.whl", part) == FILE
    assert server.requests[0].headers["range"] == "bytes=700-"


def test_a_complete_part_costs_no_request(server: Loopback, tmp_path: Path) -> None:
    """A file that only missed its rename is not fetched again."""
    part = tmp_path / "a.part"
    part.write_bytes(FILE)
    fetch(f"{server.url}/ok/a.whl", part)
    assert server.requests == []


@pytest.mark.parametrize("mode", ["ok", "norange", "wrongrange", "longrange"])
@pytest.mark.parametrize("kept", [b"another file", FILE + b"more", FILE[:-1] + b"?"])
def test_resuming_never_splices(server: Loopback, tmp_path: Path, mode: str, kept: bytes) -> None:
    """What lies there may belong to another file, and a server may lie about where it goes on."""
    part = tmp_path / "a.part"
    part.write_bytes(kept)
    assert fetch(f"{server.url}/{mode}/a.whl", part) == FILE


def test_the_wrong_file_is_an_integrity_error(server: Loopback, tmp_path: Path) -> None:
    """A shorter file with a consistent length is not the network's fault: expected, got, nothing kept."""
    part = tmp_path / "a.part"
    with pytest.raises(InstallError) as caught:
        fetch(f"{server.url}/chop/a.whl", part)
    assert caught.value.code == "install.hash_mismatch"
    assert caught.value.exit_code == 5
    assert all(
        word in caught.value.message for word in ("a.whl", DIGEST, hashlib.sha256(FILE[:-1]).hexdigest())
    )
    assert not part.exists()
    assert len(server.requests) == 1


def test_a_silent_server_is_left_after_the_stall_time(server: Loopback, tmp_path: Path) -> None:
    """No byte for the stall time-out, on every try: host, file and how far it came are named."""
    started = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        fetch(f"{server.url}/stall/a.whl", tmp_path / "a.part", tries=2)
    assert time.monotonic() - started < 4
    assert caught.value.code == "unavailable.timeout"
    assert caught.value.exit_code == 8
    assert server.url.removeprefix("http://") in caught.value.message
    assert f"{len(FILE) // 2} of {len(FILE)} bytes" in caught.value.message
    assert (tmp_path / "a.part").exists()


@pytest.mark.parametrize(
    ("mode", "code", "requests"),
    [
        ("trunc", "unavailable.connection", 3),
        ("reset", "unavailable.connection", 3),
        ("e500", "unavailable.status", 3),
        ("e404", "unavailable.not_found", 1),
        ("e410", "unavailable.not_found", 1),
        ("e401", "unavailable.forbidden", 1),
        ("e403", "unavailable.forbidden", 1),
        ("html", "unavailable.web_page", 1),
        ("loop", "unavailable.redirect", 10),
    ],
)
def test_each_failure_has_its_code_and_is_tried_as_often_as_it_may_help(
    server: Loopback, tmp_path: Path, mode: str, code: str, requests: int
) -> None:
    """Only what may pass is tried again, and the message names host and remedy."""
    with pytest.raises(UnavailableError) as caught:
        fetch(f"{server.url}/{mode}/a.whl", tmp_path / "a.part", tries=3)
    assert caught.value.code == code
    assert server.url.removeprefix("http://") in caught.value.message
    assert caught.value.hints
    assert len(server.requests) == requests


def test_a_server_may_say_when_to_come_back(server: Loopback, tmp_path: Path) -> None:
    """Retry-After is obeyed."""
    started = time.monotonic()
    assert fetch(f"{server.url}/later/a.whl", tmp_path / "a.part") == FILE
    assert time.monotonic() - started >= 1.0


def test_retries_are_told(server: Loopback, tmp_path: Path) -> None:
    """The user sees that something is wrong with a host before it is given up, in one line."""
    seen: list[Event] = []
    server.files["b.whl"] = FILE
    downloader = Downloader(NetworkSettings(backoff_s=0.01), on_event=seen.append)
    for name in ("a", "b"):
        downloader.fetch_to(f"{server.url}/e503x2/{name}.whl", part=tmp_path / name, sha256=DIGEST)
    downloader.close()
    assert [isinstance(event, Notice) and "503" in event.message for event in seen] == [True]


def test_a_closed_port_and_an_unknown_host_are_named(tmp_path: Path) -> None:
    """Refused and unresolvable are told apart."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{port}.*refused") as refused:
        fetch(f"http://127.0.0.1:{port}/a.whl", tmp_path / "a.part", tries=1)
    assert refused.value.retryable
    with pytest.raises(UnavailableError, match=r"nowhere\.invalid:443.*could not be resolved"):
        fetch("https://nowhere.invalid/a.whl", tmp_path / "a.part", tries=1)


def test_mirrors_are_asked_instead_and_named(server: Loopback, tmp_path: Path) -> None:
    """The longest canonical prefix decides, and the error names both addresses."""
    mirrors = {
        "https://canonical.invalid/": "http://127.0.0.1:1/",
        "https://canonical.invalid/whl": f"{server.url}/ok",
    }
    assert fetch("https://canonical.invalid/whl/a.whl", tmp_path / "a.part", mirrors=mirrors) == FILE
    with pytest.raises(UnavailableError) as caught:
        fetch("https://canonical.invalid/whl2/a.whl", tmp_path / "b.part", mirrors=mirrors, tries=1)
    assert "127.0.0.1:1" in caught.value.message
    assert caught.value.context["mirror_of"] == "https://canonical.invalid/whl2/a.whl"


def test_offline_opens_no_connection(server: Loopback, tmp_path: Path) -> None:
    """Offline means no request at all; local addresses still work."""
    with pytest.raises(UnavailableError) as caught:
        fetch(f"{server.url}/ok/a.whl", tmp_path / "a.part", offline=True)
    assert caught.value.code == "unavailable.offline"
    assert server.requests == []
    local = tmp_path / "dépôt" / "a.whl"
    local.parent.mkdir()
    local.write_bytes(FILE)
    assert fetch(local.as_uri(), tmp_path / "b.part", offline=True) == FILE


def test_pages_come_with_headers_and_validators(server: Loopback) -> None:
    """A page has status, lower-case headers and body; an unchanged one is 304."""
    page = client().get(f"{server.url}/ok/page.json", accept="application/json")
    assert (page.status, page.body) == (200, b'{"files": []}')
    again = client().get(f"{server.url}/ok/page.json", etag=page.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert client().head(f"{server.url}/ok/a.whl").headers["content-length"] == str(len(FILE))


def test_a_missing_page_is_told_apart(server: Loopback) -> None:
    """Indexes say with 404 that there is no such project."""
    with pytest.raises(NotFoundError):
        client().get(f"{server.url}/ok/absent")
    with pytest.raises(NotFoundError):
        client().get("file:///nowhere/absent/")


def test_a_login_page_is_no_index(server: Loopback) -> None:
    """HTML where JSON was asked for is a login page; where HTML is welcome the caller decides."""
    with pytest.raises(UnavailableError) as caught:
        client().get(f"{server.url}/html/page", accept="application/json")
    assert caught.value.code == "unavailable.web_page"
    assert client().get(f"{server.url}/html/page", accept="application/json, text/html").status == 200


def test_a_local_folder_is_its_index_page(tmp_path: Path) -> None:
    """File trees of indexes are read as pip reads them."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "index.html").write_text("<a>", encoding="utf-8")
    page = client().get((tmp_path / "torch").as_uri() + "/")
    assert (page.body, page.headers["content-type"]) == (b"<a>", "text/html")


def test_nothing_longer_than_the_locked_file_is_read(server: Loopback, tmp_path: Path) -> None:
    """An endless body, and one that announces too much, are left at once and leave nothing behind."""
    part = tmp_path / "a.part"
    small = hashlib.sha256(FILE[:1000]).hexdigest()
    largest = 0

    def watch(done: int, _total: int | None) -> None:
        nonlocal largest
        largest = max(largest, done)

    for mode in ("endless", "ok"):
        with pytest.raises(InstallError) as caught:
            client().fetch_to(
                f"{server.url}/{mode}/a.whl", part=part, sha256=small, size=1000, on_bytes=watch
            )
        assert (caught.value.code, caught.value.exit_code) == ("install.hash_mismatch", 5)
        assert "1000 bytes" in caught.value.message
        assert not part.exists()
    assert largest <= 1000
    assert len(server.requests) == 2


def test_a_body_shorter_than_the_locked_file_was_cut(server: Loopback, tmp_path: Path) -> None:
    """It is tried again from where it broke off; it is never called another file."""
    part = tmp_path / "a.part"
    client().fetch_to(f"{server.url}/short/a.whl", part=part, sha256=DIGEST, size=len(FILE))
    assert part.read_bytes() == FILE
    assert server.requests[1].headers["range"] == f"bytes={len(FILE) // 2}-"
    part.unlink()
    with pytest.raises(UnavailableError) as caught:
        client(tries=2).fetch_to(f"{server.url}/chop/a.whl", part=part, sha256=DIGEST, size=len(FILE))
    assert caught.value.code == "unavailable.connection"
    assert f"{len(FILE)} bytes" in caught.value.message


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A pipe in a wheelhouse or an index on disk would be waited for."""
    if sys.platform == "win32":
        pytest.skip("Windows has no pipes in folders")
    os.mkfifo(tmp_path / "a.whl")
    with pytest.raises(UnavailableError, match="regular file"):
        fetch((tmp_path / "a.whl").as_uri(), tmp_path / "a.part")


def test_an_endless_page_is_cut_off(server: Loopback) -> None:
    """Memory has a limit."""
    with pytest.raises(UnavailableError) as caught:
        client(longest_body_bytes=1_000_000).get(f"{server.url}/endless/page.json")
    assert caught.value.code == "unavailable.too_large"


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:99999/x",
        "http://[::1/x",
        "ftp://127.0.0.1/x",
        "http://127.0.0.1/\x01",
        "http://a..b/x",
        "http://xn--/x",
    ],
)
def test_a_malformed_address_is_nobodys_crash(server: Loopback, tmp_path: Path, address: str) -> None:
    """An index may list what it likes, and a server may redirect to where it likes."""
    with pytest.raises(UnavailableError) as caught:
        client().get(address)
    assert caught.value.code == "unavailable.address"
    with pytest.raises(UnavailableError) as caught:
        fetch(address, tmp_path / "a.part")
    assert caught.value.code == "unavailable.address"
    with pytest.raises(UnavailableError):
        client(tries=1).get(f"{server.url}/redirect/x?to={address}")


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "ftp://127.0.0.1:1"])
def test_a_proxy_of_another_kind_is_told(server: Loopback, proxy: str) -> None:
    """SOCKS is not spoken here; nothing goes past the proxy."""
    with pytest.raises(UnavailableError) as caught:
        client(proxies={"all": proxy}).get(f"{server.url}/ok/page.json")
    assert caught.value.code == "unavailable.proxy"
    assert server.requests == []


def test_credentials_go_to_their_host_only(server: Loopback, tmp_path: Path) -> None:
    """A redirect to another host does not take the password along."""
    address = server.url.replace("://", "://ada:CANARY@")
    assert fetch(f"{address}/private/a.whl", tmp_path / "a.part") == FILE
    with serve({"a.whl": FILE}) as other:
        assert fetch(f"{address}/redirect/a.whl?to={other.url}/ok/a.whl", tmp_path / "b.part") == FILE
        assert all("authorization" not in request.headers for request in other.requests)


def test_credentials_of_an_index_serve_its_files(server: Loopback, tmp_path: Path) -> None:
    """Addresses on an index page carry no password; the index's is used for the same host."""
    origin = f"http://127.0.0.1:{server.url.rpartition(':')[2]}"
    settings = {"credentials": {origin: ("ada", "CANARY")}}
    assert fetch(f"{server.url}/private/a.whl", tmp_path / "a.part", **settings) == FILE


def test_secrets_stay_out_of_errors(server: Loopback, tmp_path: Path) -> None:
    """Passwords, tokens and queries are in no message, hint or context."""
    address = f"{server.url.replace('://', '://ada:CANARY@')}/e403/t/CANARY/a.whl?key=CANARY"
    server.files["t/CANARY/a.whl"] = FILE
    with pytest.raises(UnavailableError) as caught:
        fetch(address, tmp_path / "a.part")
    assert "CANARY" not in str(caught.value.as_json())
    with pytest.raises(UnavailableError) as caught:
        client().get(address)
    assert "CANARY" not in str(caught.value.as_json())


def test_a_proxy_is_used_and_named(server: Loopback, tmp_path: Path) -> None:
    """Requests go to the proxy, and its failure is its own, with the password hidden."""
    assert fetch("http://origin.invalid/ok/a.whl", tmp_path / "a.part", proxies={"http": server.url}) == FILE
    down = {"all": "http://ada:CANARY@127.0.0.1:1"}
    with pytest.raises(UnavailableError) as caught:
        fetch(f"{server.url}/ok/a.whl", tmp_path / "b.part", proxies=down, tries=1)
    assert caught.value.code == "unavailable.proxy"
    assert "127.0.0.1:1" in caught.value.message
    assert "CANARY" not in str(caught.value.as_json())
    assert (
        fetch(f"{server.url}/ok/a.whl", tmp_path / "c.part", proxies=down, no_proxy=("127.0.0.0/8",)) == FILE
    )


def test_a_proxy_that_wants_a_password_is_told(server: Loopback, tmp_path: Path) -> None:
    """Status 407 while connecting is the proxy's, not the origin's."""
    with pytest.raises(UnavailableError) as caught:
        fetch("https://origin.invalid/a.whl", tmp_path / "a.part", proxies={"all": server.url}, tries=1)
    assert caught.value.code == "unavailable.proxy"


@contextmanager
def answer_hello(answer: bytes, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Yield the https address of a server that answers one connection's first bytes so, or with `context`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)

        def serve_one() -> None:
            with suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    if context:
                        context.wrap_socket(connection, server_side=True).close()
                    connection.recv(4096)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve_one)
        thread.start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


PLAIN_HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


def fatal_alert(number: int) -> bytes:
    """Return the TLS record with which a server refuses a handshake (RFC 8446, 6.2)."""
    return bytes([21, 3, 3, 0, 2, 2, number])


@pytest.mark.parametrize(
    ("answer", "why", "hint"),
    [
        (
            PLAIN_HTTP,
            "speaks no TLS, plain http perhaps (wrong version number)",
            "`http` in place of `https`",
        ),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "speaks no TLS", "another port"),
        (fatal_alert(40), "no TLS connection came about (sslv3 alert handshake failure)", "port"),
        (fatal_alert(50), "alert decode error", "which TLS versions"),
        (fatal_alert(70), "alert protocol version", "which TLS versions"),
        (fatal_alert(46), "alert certificate unknown", "which TLS versions"),
    ],
)
def test_only_a_certificate_is_said_to_be_untrusted(
    tmp_path: Path, answer: bytes, why: str, hint: str
) -> None:
    """A server without TLS and an alert are named as such, once, and nobody is sent to a CA bundle."""
    with answer_hello(answer) as address, pytest.raises(UnavailableError) as caught:
        fetch(f"{address}/a.whl", tmp_path / "a.part")
    assert caught.value.code == "unavailable.tls"
    assert why in caught.value.message
    told = " ".join(caught.value.hints)
    assert hint in told
    assert "HTTPS_PROXY" in told
    assert "trusted" not in caught.value.message
    assert "CA bundle" not in told


def test_a_handshake_that_is_cut_off_is_a_broken_connection(tmp_path: Path) -> None:
    """Nothing was said of certificates, and the next try may go through."""
    with answer_hello(b"") as address, pytest.raises(UnavailableError) as caught:
        fetch(f"{address}/a.whl", tmp_path / "a.part", tries=1)
    assert caught.value.code == "unavailable.connection"
    assert caught.value.message.endswith(": it hung up")
    assert caught.value.retryable


def test_a_proxy_without_tls_is_told(tmp_path: Path) -> None:
    """`https://` before a proxy that speaks plain http is the common mistake in `HTTPS_PROXY`."""
    with answer_hello(PLAIN_HTTP) as proxy, pytest.raises(UnavailableError) as caught:
        fetch("https://origin.invalid/a.whl", tmp_path / "a.part", proxies={"all": proxy}, tries=1)
    assert f"through the proxy `{proxy}`" in caught.value.message
    assert any("most proxies are named with `http://`" in hint for hint in caught.value.hints)


def test_a_certificate_that_nobody_signed_is_not_trusted(tmp_path: Path) -> None:
    """The one case where the certificate is to blame; the hint says where a CA of one's own goes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path / "server.pem"))
    with answer_hello(b"", context) as address, pytest.raises(UnavailableError) as caught:
        fetch(f"{address}/a.whl", tmp_path / "a.part")
    assert caught.value.code == "unavailable.tls"
    assert "its certificate cannot be trusted: self-signed certificate" in caught.value.message
    assert any("SSL_CERT_FILE" in hint for hint in caught.value.hints)


def self_signed(path: Path) -> Path:
    """Write a key and a certificate for 127.0.0.1 that only it itself signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, pkcs8, plain)
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_a_missing_ca_bundle_is_named(tmp_path: Path) -> None:
    """The file that cannot be read is in the message."""
    with pytest.raises(UnavailableError, match=r"nowhere\.pem"):
        fetch("https://origin.invalid/a.whl", tmp_path / "a.part", cert=str(tmp_path / "nowhere.pem"))


def test_an_unwritable_place_is_our_problem(server: Loopback, tmp_path: Path) -> None:
    """A failing disk is told apart from a failing network."""
    with pytest.raises(InstallError) as caught:
        fetch(f"{server.url}/ok/a.whl", tmp_path / "absent" / "a.part")
    assert caught.value.code == "install.disk"
