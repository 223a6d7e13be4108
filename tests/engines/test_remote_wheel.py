"""METADATA is read from a wheel's end, never spliced from wrong bytes, and never as a bomb."""

import io
import zipfile
from collections.abc import Iterator

import pytest

from provisioner.engines.index.metadata import read_wheel_metadata
from provisioner.engines.index.remote_wheel import RemoteFile
from provisioner.engines.net.download import Downloader
from provisioner.engines.net.settings import NetworkSettings
from provisioner.errors import UnavailableError
from tests.loopback import Loopback, serve
from tests.wheels import make_wheel

_, WHEEL = make_wheel("app", "1.0", {"app/data.bin": bytes(range(256)) * 2000}, requires=("dep>=1",))


def stored_wheel(*, metadata_first: bool) -> bytes:
    """Return a wheel with 400 kB uncompressed, METADATA at its beginning or end."""
    members = [("app-1.0.dist-info/METADATA", b"Metadata-Version: 2.1\nName: app\n"), ("big", bytes(400_000))]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members if metadata_first else reversed(members):
            archive.writestr(name, data)
    return buffer.getvalue()


def packed_wheel(method: int, *, damaged: bytes) -> bytes:
    """Return a wheel whose METADATA begins with other bytes than a compressor writes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("app-1.0.dist-info/METADATA", b"Metadata-Version: 2.1\nName: app\n" * 50)
    data = bytearray(buffer.getvalue())
    start = 30 + len("app-1.0.dist-info/METADATA")
    data[start : start + len(damaged)] = damaged
    return bytes(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("damaged", [b"\xff" * 12, b"\x09\x04\x05\x00" + b"\xff" * 9])
def test_damaged_metadata_is_the_wheels_fault(method: int, damaged: bytes) -> None:
    """However it was compressed."""
    with pytest.raises(UnavailableError, match=r"`app\.whl` .* no readable METADATA"):
        read_wheel_metadata(io.BytesIO(packed_wheel(method, damaged=damaged)), name="app.whl")


@pytest.fixture
def server() -> Iterator[Loopback]:
    """A server with three wheels."""
    files = {
        "a.whl": WHEEL,
        "first.whl": stored_wheel(metadata_first=True),
        "last.whl": stored_wheel(metadata_first=False),
    }
    with serve(files) as running:
        yield running


@pytest.fixture
def downloader() -> Iterator[Downloader]:
    """A client that gives up at once."""
    client = Downloader(NetworkSettings(tries=1, stall_timeout_s=2.0))
    yield client
    client.close()


@pytest.mark.parametrize("name", ["a.whl", "first.whl", "last.whl"])
def test_metadata_is_found_wherever_it_lies(server: Loopback, downloader: Downloader, name: str) -> None:
    """By ranges, at the end or at the beginning of the file, without fetching the middle."""
    remote = io.BufferedReader(RemoteFile(downloader, f"{server.url}/ok/{name}"), buffer_size=32 * 1024)
    assert read_wheel_metadata(remote, name=name).startswith(b"Metadata-Version: 2.1")
    assert len(server.requests) <= 3


def test_a_server_without_ranges_sends_it_all(server: Loopback, downloader: Downloader) -> None:
    """The whole answer is used, once."""
    remote = io.BufferedReader(RemoteFile(downloader, f"{server.url}/norange/first.whl"))
    assert b"Name: app" in read_wheel_metadata(remote, name="first.whl")
    assert len(server.requests) == 1


def test_a_range_of_another_place_is_never_read_as_the_asked_one(
    server: Loopback, downloader: Downloader
) -> None:
    """A server that answers other bytes than asked for is unavailable, not a wrong dependency list."""
    with pytest.raises(UnavailableError):
        read_wheel_metadata(
            io.BufferedReader(RemoteFile(downloader, f"{server.url}/wrongrange/first.whl")), name="first.whl"
        )


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all" * 100, WHEEL[:-30]])
def test_what_is_no_wheel_is_unavailable(data: bytes) -> None:
    """A broken archive is named."""
    with pytest.raises(UnavailableError, match=r"app\.whl"):
        read_wheel_metadata(io.BytesIO(data), name="app.whl")


def test_a_bomb_in_place_of_metadata_is_refused() -> None:
    """No archive makes us unpack more than a few megabytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("app-1.0.dist-info/METADATA", bytes(8 * 1024 * 1024))
    with pytest.raises(UnavailableError, match="readable METADATA"):
        read_wheel_metadata(io.BytesIO(buffer.getvalue()), name="app.whl")
