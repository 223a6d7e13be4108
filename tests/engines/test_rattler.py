"""Conda solves keep what is locked, honour the date, and name the host of a channel that does not answer."""

import datetime as dt
import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from provisioner.engines.conda.solver import RattlerSolver
from provisioner.errors import ExitCode, InternalError, ResolveError, UnavailableError
from provisioner.resolve.model import CondaPackage
from provisioner.resolve.request import CondaRequest, find_provided
from tests.index_server import Bench, PackageIndex, versions
from tests.loopback import Loopback, serve

Record = dict[str, Any]


def record(
    name: str, version: str, *depends: str, build: str = "h1_0", date: str = "2024-01-01", **more: Any
) -> Record:
    """Return a line of a channel's index; the build number is the build's end."""
    moment = dt.datetime.fromisoformat(date).replace(tzinfo=dt.UTC)
    return {
        "name": name,
        "version": version,
        "build": build,
        "build_number": int(build.rpartition("_")[2]),
        "depends": list(depends),
        "subdir": "linux-64",
        "md5": hashlib.md5(f"{name}{version}{build}".encode()).hexdigest(),  # noqa: S324 - conda's field
        "sha256": hashlib.sha256(f"{name}{version}{build}".encode()).hexdigest(),
        "size": 1,
        "timestamp": int(moment.timestamp() * 1000),
        **more,
    }


def repodata(subdir: str, *records: Record) -> bytes:
    """Return a channel's index of one subdir."""
    files = {f"{r['name']}-{r['version']}-{r['build']}.conda": r for r in records}
    return json.dumps(
        {"info": {"subdir": subdir}, "packages": {}, "packages.conda": files, "repodata_version": 1}
    ).encode()


@pytest.fixture
def server() -> Iterator[Loopback]:
    """A server for channels."""
    with serve() as running:
        yield running


class Channel:
    """A channel on the loopback server, and a solver that asks it."""

    def __init__(self, server: Loopback, folder: Path) -> None:
        """Offer nothing yet."""
        self.server = server
        self.folder = folder
        self.offline = False
        self.mirrored = "https://conda.example.com"

    def offer(self, *records: Record) -> None:
        """Replace what the channel has."""
        self.server.files["chan/linux-64/repodata.json"] = repodata("linux-64", *records)
        self.server.files["chan/noarch/repodata.json"] = repodata("noarch")

    def solver(self, mode: str = "ok", *, url: str | None = None) -> RattlerSolver:
        """Return a solver that sees the channel through a mirror with a fault."""
        mirror = url or f"{self.server.url}/{mode}"
        return RattlerSolver(
            cache=self.folder,
            mirrors={self.mirrored: mirror},
            environ={},
            offline=self.offline,
            request_timeout_s=2,
        )

    def request(self, *specs: str, **more: Any) -> CondaRequest:
        """Return a request for Linux."""
        return CondaRequest(platform="linux-64", channels=(f"{self.mirrored}/chan",), specs=specs, **more)

    def solve(self, *specs: str, **more: Any) -> tuple[CondaPackage, ...]:
        """Solve with a fresh solver and a fresh copy of the index."""
        self.folder = self.folder / "next"
        return self.solver().solve_conda(self.request(*specs, **more))


@pytest.fixture
def channel(server: Loopback, tmp_path: Path) -> Channel:
    """An empty channel."""
    made = Channel(server, tmp_path)
    made.offer()
    return made


def found(packages: tuple[CondaPackage, ...]) -> dict[str, str]:
    """Return name to version and build."""
    return {package.name: f"{package.version} {package.build}" for package in packages}


def test_the_answer_is_canonical_hashed_and_sorted(channel: Channel) -> None:
    """Packages carry the channel's address, not the mirror's, with both digests and their dependencies."""
    channel.offer(record("b", "1"), record("a", "1", "b >=1"))
    packages = channel.solve("a")
    assert [package.name for package in packages] == ["a", "b"]
    assert packages[0].url == "https://conda.example.com/chan/linux-64/a-1-h1_0.conda"
    assert packages[0].sha256 == hashlib.sha256(b"a1h1_0").hexdigest()
    assert packages[0].size == 1
    assert dict(packages[0].dependencies) == {"b": ">=1"}


def test_a_locked_package_stays_when_newer_builds_and_versions_appear(channel: Channel) -> None:
    """A re-solve keeps the exact file; without the preference it takes the newest."""
    channel.offer(record("a", "1.0", build="h1_1"))
    kept = channel.solve("a")
    channel.offer(record("a", "1.0", build="h1_1"), record("a", "1.0", build="h1_7"), record("a", "2.0"))
    assert channel.solve("a", preferred=kept) == kept
    assert found(channel.solve("a")) == {"a": "2.0 h1_0"}
    assert found(channel.solve("a >=2", preferred=kept)) == {"a": "2.0 h1_0"}


def test_a_locked_package_that_the_channel_has_withdrawn_is_replaced(channel: Channel) -> None:
    """The lock never keeps a file that the channel does not offer any more, nor one whose bytes changed."""
    channel.offer(record("a", "1.0", build="h1_1"))
    kept = channel.solve("a")
    channel.offer(record("a", "1.0", build="h1_2"))
    assert found(channel.solve("a", preferred=kept)) == {"a": "1.0 h1_2"}
    channel.offer(record("a", "1.0", build="h1_1", sha256="0" * 64))
    assert channel.solve("a", preferred=kept)[0].sha256 == "0" * 64


def test_a_locked_packages_constraints_still_count(channel: Channel) -> None:
    """A kept package that excludes a newly wanted one gives way to a build that does not."""
    channel.offer(record("a", "1.0", build="h1_1", constrains=["c <1"]))
    kept = channel.solve("a")
    channel.offer(
        record("a", "1.0", build="h1_1", constrains=["c <1"]),
        record("a", "1.0", build="h1_0"),
        record("c", "2"),
    )
    assert found(channel.solve("a", "c", preferred=kept)) == {"a": "1.0 h1_0", "c": "2 h1_0"}


def test_as_of_hides_packages_built_later(channel: Channel) -> None:
    """The day itself is included, also for what was locked; a record without a time does not exist then."""
    channel.offer(
        record("a", "1", date="2025-04-30T23:59:59"),
        record("a", "2", date="2025-05-01"),
        record("b", "1", timestamp=None),
    )
    newest = channel.solve("a")
    assert found(newest) == {"a": "2 h1_0"}
    assert found(channel.solve("a", as_of="2025-04-30", preferred=newest)) == {"a": "1 h1_0"}
    assert found(channel.solve("b")) == {"b": "1 h1_0"}
    with pytest.raises(ResolveError, match="no timestamp"):
        channel.solve("b", as_of="2025-04-30")


def test_a_build_can_be_named(channel: Channel) -> None:
    """Specs take version and build together."""
    channel.offer(record("a", "1.0", build="h1_0"), record("a", "1.0", build="h1_1"))
    assert found(channel.solve("a ==1.0 h1_0")) == {"a": "1.0 h1_0"}


def test_an_unreadable_spec_is_the_profiles_mistake(channel: Channel) -> None:
    """Exit 3 with the solver's words, not a crash of the worker."""
    with pytest.raises(ResolveError, match="unable to parse version spec") as caught:
        channel.solve("a >=1,")
    assert caught.value.code == "resolve.conda_spec"


def test_an_impossible_request_gives_the_solvers_reason(channel: Channel) -> None:
    """Exit 3: one sentence of ours, then rattler's reason."""
    channel.offer(record("a", "1", "b >=2"), record("b", "1"))
    with pytest.raises(ResolveError) as caught:
        channel.solve("a")
    first, _, reason = caught.value.message.partition("\n")
    assert first.startswith("no set of conda packages answers the profile on `linux-64`")
    assert "b >=2" in reason
    assert caught.value.exit_code is ExitCode.RESOLVE


def test_a_package_without_digests_is_never_locked(channel: Channel) -> None:
    """An index line without sha256 is refused by name."""
    channel.offer(record("a", "1", sha256=None))
    with pytest.raises(ResolveError, match=r"a-1-h1_0\.conda"):
        channel.solve("a")


@pytest.mark.parametrize(
    ("mode", "code", "why", "retryable"),
    [
        ("nothing", "not_found", "no such channel", False),
        ("e401", "forbidden", "refuses us", False),
        ("e403", "forbidden", "refuses us", False),
        ("e500", "status", "status 500", True),
        ("html", "bad_page", "no channel's index", False),
    ],
)
def test_a_channel_that_answers_badly_is_unavailable(
    channel: Channel, mode: str, code: str, why: str, *, retryable: bool
) -> None:
    """Exit 8 with host and cause for each way to refuse."""
    for name in ("repodata_shards.msgpack.zst", "repodata.json.zst", "repodata.json.bz2"):
        for subdir in ("linux-64", "noarch"):
            channel.server.files[f"chan/{subdir}/{name}"] = b"there"
    with pytest.raises(UnavailableError) as caught:
        channel.solver(mode).solve_conda(channel.request("a"))
    host = channel.server.url.removeprefix("http://")
    assert f"`{host}`" in caught.value.message
    assert why in caught.value.message
    assert "https://conda.example.com/chan" in caught.value.message
    assert (caught.value.code, caught.value.retryable) == (f"unavailable.{code}", retryable)


@pytest.mark.parametrize(
    ("url", "host", "why"),
    [
        ("http://127.0.0.1:9", "127.0.0.1:9", "refused the connection"),
        ("http://no-such-host.invalid", "no-such-host.invalid:80", "could not be resolved"),
    ],
)
def test_a_channel_that_is_not_there_is_unavailable(channel: Channel, url: str, host: str, why: str) -> None:
    """Exit 8: a closed port and an unknown name are told apart."""
    with pytest.raises(UnavailableError, match=why) as caught:
        channel.solver(url=url).solve_conda(channel.request("a"))
    assert caught.value.context["host"] == host
    assert caught.value.code == "unavailable.connection"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks no TLS, plain http perhaps"),
        (bytes([21, 3, 3, 0, 2, 2, 46]), r"no TLS connection came about \(CertificateUnknown\)"),
    ],
)
def test_a_channel_without_tls_is_told_apart(channel: Channel, answer: bytes, why: str) -> None:
    """Plain http behind an https address and an alert are named; no certificate was refused."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.recv(4096)
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(UnavailableError, match=why) as caught:
            channel.solver(url=url).solve_conda(channel.request("a"))
    assert caught.value.code == "unavailable.tls"


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_silent_channel_times_out(channel: Channel, silent_server: str) -> None:
    """Rattler itself would wait for ever."""
    started = time.monotonic()
    with pytest.raises(UnavailableError, match="did not answer in time"):
        channel.solver(url=silent_server).solve_conda(channel.request("a"))
    assert time.monotonic() - started < 20


def test_a_stopped_solver_ends_at_once(channel: Channel, silent_server: str) -> None:
    """Another thread can end a solve that waits for a silent channel, and its worker is gone."""
    solver = channel.solver(url=silent_server)
    timer = threading.Timer(0.5, solver.stop)
    timer.start()
    started = time.monotonic()
    with pytest.raises(InternalError, match="stopped"):
        solver.solve_conda(channel.request("a"))
    assert time.monotonic() - started < 1.9
    timer.join()


def test_offline_uses_the_cached_index(channel: Channel) -> None:
    """What was read once answers without a connection; what was not is exit 8."""
    channel.offer(record("a", "1"))
    online = channel.solver().solve_conda(channel.request("a"))
    channel.offline = True
    count = len(channel.server.requests)
    assert channel.solver().solve_conda(channel.request("a")) == online
    channel.folder = channel.folder / "empty"
    with pytest.raises(UnavailableError, match="offline") as caught:
        channel.solver().solve_conda(channel.request("a"))
    assert caught.value.code == "unavailable.offline"
    assert len(channel.server.requests) == count


def test_pip_works_within_what_conda_brings(channel: Channel, server: Loopback, tmp_path: Path) -> None:
    """Setuptools of conda is not installed twice, and its version limits pip's solve."""
    channel.offer(
        record("python", "3.11.9"),
        record("setuptools", "75.1.0", "python >=3.8"),
        record("odd", "2024_1b_x", "python"),
        record("libuv", "1.48.0"),
    )
    provided = find_provided(channel.solve("python", "setuptools", "libuv", "odd"))
    assert provided == {"setuptools": "75.1.0"}
    index = PackageIndex(server, "pypi")
    index.add("app", "1.0", "setuptools")
    index.add("app", "2.0", "setuptools<70")
    index.add("setuptools", "69.0")
    bench = Bench(folder=tmp_path / "pip", default=index.address)
    assert versions(bench.solve("app", provided=provided)) == {"app": "1.0"}
