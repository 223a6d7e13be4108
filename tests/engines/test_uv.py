"""Wheels come from where the profile says and from nowhere else; a dead index is never "no solution"."""

import hashlib
import io
import json
import os
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.engines.uv.program import Uv
from provisioner.errors import ExitCode, InternalError, ResolveError, UnavailableError
from provisioner.events import Notice
from tests.index_server import JSON, Bench, PackageIndex, versions
from tests.loopback import Loopback, serve

LOOK_ALIKES = ("intel-extension-for-pytorch", "triton-xpu", "pytorch-triton-xpu", "torch")


@pytest.fixture
def server() -> Iterator[Loopback]:
    """One server for all indexes of a test."""
    with serve() as running:
        yield running


@pytest.fixture
def pypi(server: Loopback) -> PackageIndex:
    """The default index."""
    return PackageIndex(server, "pypi")


@pytest.fixture
def intel(server: Loopback) -> PackageIndex:
    """An index that packages are routed to; like Intel's, it says no upload times."""
    return PackageIndex(server, "intel")


@pytest.fixture
def bench(tmp_path: Path, pypi: PackageIndex) -> Iterator[Bench]:
    """Solvers that look at the default index."""
    made = Bench(folder=tmp_path, default=pypi.address)
    yield made
    made.close()


@pytest.mark.parametrize("name", LOOK_ALIKES)
@pytest.mark.parametrize("demand", ["direct", "transitive", "extra"])
def test_a_look_alike_with_a_higher_version_is_never_even_asked_for(
    bench: Bench, pypi: PackageIndex, intel: PackageIndex, name: str, demand: str
) -> None:
    """A routed package comes from its index only, whoever depends on it."""
    intel.add(name, "2.1.10+xpu", uploaded=None)
    pypi.add(name, "99.0")
    pypi.add("app", "1.0", name, f"{name} ; extra == 'xpu'")
    pypi.add("extra-app", "1.0", f"{name} ; extra == 'xpu'")
    wanted = {"direct": name, "transitive": "app", "extra": "extra-app[xpu]"}[demand]
    found = bench.solve(wanted, routes={name: "intel"}, indexes={"intel": intel.address})
    assert versions(found)[name] == "2.1.10+xpu"
    assert name not in pypi.asked()
    package = next(package for package in found.packages if package.name == name)
    assert package.index == "intel"
    assert package.url.startswith(intel.server.url)


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("e401", "unavailable.forbidden"),
        ("e403", "unavailable.forbidden"),
        ("e500", "unavailable.status"),
        ("html", "unavailable.bad_page"),
    ],
)
def test_a_routed_index_that_refuses_is_unavailable_and_nobody_else_is_asked(
    bench: Bench, pypi: PackageIndex, intel: PackageIndex, mode: str, code: str
) -> None:
    """No fall-through: the error names the host, and the default index is not asked for the package."""
    intel.add("torch", "2.1.0")
    pypi.add("torch", "99.0")
    pypi.add("app", "1.0", "torch")
    with pytest.raises(UnavailableError) as caught:
        bench.solve("app", routes={"torch": "intel"}, indexes={"intel": intel.address_in(mode)})
    assert caught.value.code == code
    assert caught.value.exit_code is ExitCode.UNAVAILABLE
    assert caught.value.context["host"] in caught.value.message
    assert "torch" not in pypi.asked()


def test_a_routed_package_that_its_index_does_not_have_is_unavailable(
    bench: Bench, pypi: PackageIndex, intel: PackageIndex
) -> None:
    """A 404 of the routed index does not send us to another one."""
    pypi.add("torch", "99.0")
    with pytest.raises(UnavailableError, match=r"index `intel` at `127\.0\.0\.1:.*has no `torch`") as caught:
        bench.solve("torch", routes={"torch": "intel"}, indexes={"intel": intel.address})
    assert caught.value.code == "unavailable.not_found"
    assert pypi.asked() == set()


def test_a_host_that_refuses_connections_is_named_once(bench: Bench, pypi: PackageIndex) -> None:
    """Many packages of one dead index make one error and one notice."""
    notices: list[Notice] = []
    bench.on_event = lambda event: notices.append(event) if isinstance(event, Notice) else None
    bench.default = "http://127.0.0.1:9/simple"
    bench.tries = 3
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:9") as caught:
        bench.solve(*(f"package-{number}" for number in range(12)))
    assert caught.value.code == "unavailable.connection"
    assert len(notices) == 1
    assert pypi.asked() == set()


def test_a_login_page_is_not_an_empty_index(bench: Bench, pypi: PackageIndex) -> None:
    """A captive portal answers 200 with a web page; that is exit 8 with its host."""
    pypi.add("app", "1.0")
    bench.default = pypi.address_in("html")
    with pytest.raises(UnavailableError, match="no package index's page"):
        bench.solve("app")


def test_an_index_without_any_of_the_packages_is_the_wrong_index(bench: Bench, pypi: PackageIndex) -> None:
    """Where everything is 404 the address is wrong, and the error says so with exit 8."""
    bench.default = f"{pypi.server.url}/ok/nothing-here"
    with pytest.raises(UnavailableError, match="none of the 2 packages") as caught:
        bench.solve("app", "tool")
    assert caught.value.context["host"] in caught.value.message


def test_an_impossible_request_gives_the_solvers_reason(bench: Bench, pypi: PackageIndex) -> None:
    """Exit 3: one sentence of ours, then uv's reason without our loopback address, then what to do."""
    pypi.add("app", "1.0", "numpy<1.25")
    pypi.add("tool", "1.0", "numpy==1.26.4")
    pypi.add("numpy", "1.24.4")
    pypi.add("numpy", "1.26.4")
    with pytest.raises(ResolveError) as caught:
        bench.solve("app", "tool")
    first, _, reason = caught.value.message.partition("\n")
    assert first.startswith("no set of wheels answers the profile on `linux-64`")
    assert "numpy" in reason
    assert "127.0.0.1" not in reason
    assert caught.value.exit_code is ExitCode.RESOLVE
    assert any("pip.overrides" in hint for hint in caught.value.hints)


def test_a_misspelt_package_is_no_solution(bench: Bench, pypi: PackageIndex) -> None:
    """One name that the index does not have among others that it has is the profile's mistake."""
    pypi.add("app", "1.0")
    with pytest.raises(ResolveError, match="numpyy"):
        bench.solve("app", "numpyy")


def test_a_version_for_other_pythons_only_says_so(bench: Bench, pypi: PackageIndex) -> None:
    """Exit 3 names the Python, the platform, and what the index has; the solver calls it "no version"."""
    for tags in ("cp310-cp310-manylinux_2_28_x86_64", "cp311-cp311-win_amd64"):
        pypi.add("app", "2.0", tag=tags)
    with pytest.raises(ResolveError) as caught:
        bench.solve("app==2.0")
    assert caught.value.code == "resolve.no_wheel"
    assert caught.value.message == (
        "`app==2.0` has no wheel for Python 3.11 on `linux-64`; its index has it for "
        "`cp311-cp311-win_amd64`, `cp310-cp310-manylinux_2_28_x86_64`"
    )
    assert "`python`" in caught.value.hints[0]
    assert "`linux-64`, leave it out of the profile's `platforms`" in caught.value.hints[1]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("dep==2.0", "dep==2.0"),
        ("dep>=2", "dep>=2"),
        ("dep[x]~=2.0,!=2.5", "dep[x]<2.5,>=2.0"),
        ("mid", "dep>=2"),
    ],
)
def test_a_dependency_for_other_pythons_only_says_so(
    bench: Bench, pypi: PackageIndex, asked: str, told: str
) -> None:
    """Also where a package asks for it, deep down: the sentence, and who asks, in the solver's words."""
    pypi.add("app", "1.0", asked)
    pypi.add("mid", "1.0", "dep>=2")
    pypi.add("dep", "1.0")
    for version in ("2.0", "2.5"):
        pypi.add("dep", version, tag="cp310-cp310-manylinux_2_28_x86_64")
    with pytest.raises(ResolveError) as caught:
        bench.solve("app")
    assert caught.value.code == "resolve.no_wheel"
    first, _, reason = caught.value.message.partition("\n")
    assert first.startswith(
        f"`{told}`, which another package asks for, has no wheel for Python 3.11 on `linux-64`"
    )
    assert "`cp310-cp310-manylinux_2_28_x86_64`" in first
    assert "depend on" in reason


def test_a_version_hidden_by_the_profile_is_not_called_one_for_other_pythons(
    bench: Bench, pypi: PackageIndex
) -> None:
    """A pre-release has a wheel for this Python; what hides it is the profile."""
    pypi.add("app", "1.0")
    pypi.add("app", "2.0rc1")
    with pytest.raises(ResolveError) as caught:
        bench.solve("app==2.0rc1", "app>=1.5")
    assert caught.value.code == "resolve.unsatisfiable"


def test_an_override_wins_and_resolves(bench: Bench, pypi: PackageIndex) -> None:
    """The override replaces what every package asks for."""
    pypi.add("app", "1.0", "numpy<1.25")
    pypi.add("tool", "1.0", "numpy==1.26.4")
    pypi.add("numpy", "1.24.4")
    pypi.add("numpy", "1.26.4")
    found = bench.solve("app", "tool", overrides=("numpy==1.24.4",))
    assert versions(found)["numpy"] == "1.24.4"


def test_a_yanked_file_is_refused_unless_the_profile_names_it(bench: Bench, pypi: PackageIndex) -> None:
    """Even an exact demand of another package does not bring it back; allowed, it is noted."""
    pypi.add("dpcpp-cpp-rt", "2024.0.2", "intel-openmp==2024.0.2")
    pypi.add("intel-openmp", "2024.0.2", yanked="critical bug")
    pypi.add("intel-openmp", "2024.0.3")
    with pytest.raises(ResolveError) as caught:
        bench.solve("dpcpp-cpp-rt")
    assert any("1 yanked versions" in hint for hint in caught.value.hints)
    with pytest.raises(ResolveError):
        bench.solve("dpcpp-cpp-rt", "intel-openmp==2024.0.2")
    found = bench.solve("dpcpp-cpp-rt", yanked=frozenset({"intel-openmp==2024.0.2"}))
    assert versions(found)["intel-openmp"] == "2024.0.2"
    assert found.notes == (
        "`intel-openmp==2024.0.2` was yanked from its index (critical bug) and is allowed by the profile",
    )


def test_a_file_without_a_digest_is_fetched_and_hashed(
    bench: Bench, pypi: PackageIndex, intel: PackageIndex
) -> None:
    """The lock's sha256 is that of the bytes that the index serves."""
    data = intel.add("torch", "2.1.0", hashed=False, uploaded=None)
    pypi.add("app", "1.0", "torch")
    found = bench.solve("app", routes={"torch": "intel"}, indexes={"intel": intel.address})
    torch = next(package for package in found.packages if package.name == "torch")
    assert torch.sha256 == hashlib.sha256(data).hexdigest()


def test_a_file_without_a_digest_that_cannot_be_fetched_is_never_locked(
    bench: Bench, intel: PackageIndex
) -> None:
    """Exit 8 with the file's name, though its metadata could be read."""
    intel.add("torch", "2.1.0", hashed=False, served=False, uploaded=None)
    with pytest.raises(UnavailableError, match=r"torch-2\.1\.0-py3-none-any\.whl"):
        bench.solve("torch", routes={"torch": "intel"}, indexes={"intel": intel.address})


@pytest.mark.parametrize("digest", ["abc", "Z" * 64, "../" + "0" * 61])
def test_a_digest_that_is_none_counts_as_absent(bench: Bench, pypi: PackageIndex, digest: str) -> None:
    """What an index calls sha256 is checked before it names a file of the cache."""
    data = pypi.add("app", "1.0", hashed=False)
    pypi._pages["app"][0]["hashes"] = {"sha256": digest}  # noqa: SLF001 - a hostile page
    pypi.list_file("app", "app-0.1-py3-none-any.whl", {}, None)
    found = bench.solve("app==1.0")
    assert found.packages[0].sha256 == hashlib.sha256(data).hexdigest()


def test_a_wheel_without_separate_metadata_is_read_by_ranges(bench: Bench, pypi: PackageIndex) -> None:
    """An index without PEP 658 costs the end of the wheel, not the wheel."""
    data = pypi.add("app", "1.0", "dep")
    pypi.add("dep", "1.0")
    del pypi.server.files["pypi/files/app-1.0-py3-none-any.whl.metadata"]
    found = bench.solve("app")
    assert versions(found) == {"app": "1.0", "dep": "1.0"}
    asked = [r for r in pypi.server.requests if r.path.endswith("app-1.0-py3-none-any.whl")]
    assert asked
    assert all("range" in request.headers for request in asked if request.method == "GET")
    assert found.packages[0].sha256 == hashlib.sha256(data).hexdigest()


def test_as_of_hides_later_files_of_the_default_index_only(
    bench: Bench, pypi: PackageIndex, intel: PackageIndex
) -> None:
    """The day itself is included, the next is not; what is routed is exempt and needs no upload times."""
    pypi.add("app", "1.0", "torch", uploaded="2025-04-30T23:59:59.9Z")
    pypi.add("app", "2.0", "torch", uploaded="2025-05-01T00:00:00Z")
    intel.add("torch", "2.1.0", uploaded=None)
    routed: dict[str, Any] = {"routes": {"torch": "intel"}, "indexes": {"intel": intel.address}}
    assert versions(bench.solve("app", as_of="2025-04-30", **routed))["app"] == "1.0"
    assert versions(bench.solve("app", as_of="2025-05-01", **routed))["app"] == "2.0"
    with pytest.raises(ResolveError) as caught:
        bench.solve("app==2.0", as_of="2025-04-30", **routed)
    assert any("1 versions uploaded after `as_of`" in hint for hint in caught.value.hints)


def test_as_of_without_upload_times_is_an_error(bench: Bench, pypi: PackageIndex) -> None:
    """A default index that gives no times cannot keep the date; that is said, not called "no solution"."""
    pypi.add("app", "1.0", uploaded=None)
    with pytest.raises(UnavailableError, match="no upload times for `app`"):
        bench.solve("app", as_of="2025-04-30")


def test_pre_releases_exist_only_where_the_profile_names_them(bench: Bench, pypi: PackageIndex) -> None:
    """Neither an exact demand nor the absence of a final release brings one in."""
    pypi.add("torch", "2.1.0a0")
    pypi.add("numpy", "1.0")
    pypi.add("numpy", "2.0rc1")
    with pytest.raises(ResolveError) as caught:
        bench.solve("torch==2.1.0a0", "numpy")
    assert any("`torch`: 1 pre-releases" in hint for hint in caught.value.hints)
    found = bench.solve("torch==2.1.0a0", "numpy", prereleases=frozenset({"torch"}))
    assert versions(found) == {"numpy": "1.0", "torch": "2.1.0a0"}


def make_sdist(requires: str) -> bytes:
    """Return a source archive with setuptools' own list of requirements."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in {
            "old-1.0/PKG-INFO": "Metadata-Version: 1.1\nName: old\nVersion: 1.0\n",
            "old-1.0/old.egg-info/requires.txt": requires,
            "old-1.0/setup.py": "raise SystemExit('never run')\n",
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def test_a_source_archive_is_taken_only_where_the_profile_names_it(bench: Bench, pypi: PackageIndex) -> None:
    """Its requirements are read without running it, markers and extras included."""
    data = make_sdist('dep\n\n[:sys_platform == "win32"]\nwindows-only\n\n[more]\nother\n')
    pypi.server.files["pypi/files/old-1.0.tar.gz"] = data
    digest = hashlib.sha256(data).hexdigest()
    pypi.list_file("old", "old-1.0.tar.gz", {"sha256": digest}, "2024-01-01T00:00:00Z")
    pypi.add("dep", "1.0")
    with pytest.raises(ResolveError) as caught:
        bench.solve("old")
    assert any("source archives only" in hint for hint in caught.value.hints)
    found = bench.solve("old", sdists=frozenset({"old"}))
    assert versions(found) == {"dep": "1.0", "old": "1.0"}
    old = next(package for package in found.packages if package.name == "old")
    assert (old.filename, old.sha256) == ("old-1.0.tar.gz", digest)
    assert dict(old.dependencies) == {"dep": ""}


def test_what_is_preferred_stays_while_the_request_allows_it(bench: Bench, pypi: PackageIndex) -> None:
    """A newer release does not move a kept package; a request that excludes it does."""
    for version in ("1.0", "1.1", "2.0"):
        pypi.add("app", version, "dep")
    pypi.add("dep", "1.0")
    pypi.add("dep", "1.1")
    kept = {"app": "1.0", "dep": "1.0"}
    assert versions(bench.solve("app", preferred=kept)) == kept
    assert versions(bench.solve("app", preferred={"app": "1.0"})) == {"app": "1.0", "dep": "1.1"}
    assert versions(bench.solve("app>=1.1", preferred=kept)) == {"app": "2.0", "dep": "1.0"}
    assert versions(bench.solve("app", preferred={"app": "7.0"}))["app"] == "2.0"


def test_what_conda_provides_is_not_installed_again(bench: Bench, pypi: PackageIndex) -> None:
    """The provided version takes part in the solve, is in no answer, and its index page is not read."""
    pypi.add("app", "1.0", "setuptools<70")
    pypi.add("setuptools", "69.0")
    found = bench.solve("app", provided={"setuptools": "69.5.1"})
    assert versions(found) == {"app": "1.0"}
    assert dict(found.packages[0].dependencies) == {"setuptools": "<70"}
    assert "setuptools" not in pypi.asked()
    with pytest.raises(ResolveError, match="setuptools"):
        bench.solve("app", provided={"setuptools": "80.1"})


def test_each_platform_gets_its_own_file_on_any_host(bench: Bench, pypi: PackageIndex) -> None:
    """Tags and markers are the target's: the newest manylinux that it takes, the Windows wheel there."""
    pypi.add("app", "1.0", "colorama ; sys_platform == 'win32'", tag="cp311-cp311-win_amd64")
    pypi.add("app", "1.0", tag="cp311-cp311-manylinux_2_28_x86_64")
    pypi.add("app", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64")
    pypi.add("app", "1.1", tag="cp312-cp312-manylinux_2_28_x86_64")
    pypi.add("app", "1.2", tag="cp311-cp311-manylinux_2_39_x86_64")
    pypi.add("app", "1.3", requires_python=">=3.12")
    pypi.add("colorama", "1.0")
    linux = bench.solve("app")
    windows = bench.solve("app", platform="win-64")
    assert [p.filename for p in linux.packages] == ["app-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"]
    assert [p.filename for p in windows.packages] == [
        "app-1.0-cp311-cp311-win_amd64.whl",
        "colorama-1.0-py3-none-any.whl",
    ]


def test_two_runs_give_the_same_answer(bench: Bench, pypi: PackageIndex) -> None:
    """With a cold and with a warm cache."""
    pypi.add("app", "1.0", "b", "a")
    pypi.add("a", "1.0")
    pypi.add("b", "1.0")
    assert bench.solve("app") == bench.solve("app")


def test_a_second_run_reads_no_page_within_ten_minutes_and_revalidates_later(
    bench: Bench, pypi: PackageIndex
) -> None:
    """A fresh page is not asked for; an old one is asked for with its validator."""
    pypi.add("app", "1.0")
    first = bench.solve("app")
    count = len(pypi.server.requests)
    assert bench.solve("app") == first
    assert len(pypi.server.requests) == count
    bench.clock = lambda: time.time() + 3600
    assert bench.solve("app") == first
    assert [request.path for request in pypi.server.requests[count:]] == ["/ok/pypi/app/"]
    assert "if-none-match" in pypi.server.requests[-1].headers
    pypi.add("app", "2.0")
    assert versions(bench.solve("app")) == {"app": "2.0"}


def test_no_solution_is_believed_only_of_fresh_pages(bench: Bench, pypi: PackageIndex) -> None:
    """A version that came after the page was cached is found; without one, nothing is asked a third time."""
    pypi.add("app", "1.0")
    bench.solve("app")
    pypi.add("app", "2.0")
    assert versions(bench.solve("app==2.0")) == {"app": "2.0"}
    with pytest.raises(ResolveError):
        bench.solve("app==3.0")
    count = len(pypi.server.requests)
    pypi.add("other", "1.0")
    with pytest.raises(ResolveError):
        bench.solve("other==3.0")
    assert len(pypi.server.requests) == count + 1


def test_offline_uses_what_is_cached_whatever_its_age(bench: Bench, pypi: PackageIndex) -> None:
    """Without a connection, even for files without a digest; what was never read is exit 8."""
    pypi.add("app", "1.0", hashed=False)
    first = bench.solve("app")
    count = len(pypi.server.requests)
    bench.offline = True
    bench.clock = lambda: time.time() + 1e7
    assert bench.solve("app") == first
    with pytest.raises(UnavailableError) as caught:
        bench.solve("app", "never-read")
    assert caught.value.code == "unavailable.offline"
    assert len(pypi.server.requests) == count


def test_a_mirror_is_asked_and_the_canonical_address_is_answered(
    bench: Bench, pypi: PackageIndex, intel: PackageIndex
) -> None:
    """The lock says where a file belongs, not who happened to serve it."""
    intel.add("torch", "2.1.0", uploaded=None)
    there = "https://wheels.example.com/stable/"
    bench.mirrors = {there: f"{intel.address}/"}
    found = bench.solve("torch", routes={"torch": "intel"}, indexes={"intel": there})
    assert found.packages[0].url == f"{there}files/torch-2.1.0-py3-none-any.whl"
    assert pypi.asked() == set()


def test_a_page_cannot_make_us_lock_local_files_or_tokens(bench: Bench, intel: PackageIndex) -> None:
    """A `file:` link of a web index is dropped; user and password in a link do not reach the lock."""
    data = intel.add("torch", "2.1.0", uploaded=None)
    entries = intel._pages["torch"]  # noqa: SLF001 - a hostile page
    entries[0]["url"] = f"{intel.address}/files/torch-2.1.0-py3-none-any.whl".replace(
        "//", "//ada:CANARY@", 1
    )
    intel.list_file("torch", "torch-9.9-py3-none-any.whl", {"sha256": "0" * 64}, None)
    entries[1]["url"] = "file:///etc/hostname"
    intel.list_file("torch", "torch-0.1-py3-none-any.whl", {"sha256": "0" * 64}, None)
    found = bench.solve("torch", routes={"torch": "intel"}, indexes={"intel": intel.address})
    assert versions(found) == {"torch": "2.1.0"}
    assert "CANARY" not in found.packages[0].url
    assert found.packages[0].sha256 == hashlib.sha256(data).hexdigest()


def test_a_proxy_of_the_user_is_not_asked_for_our_own_index(bench: Bench, pypi: PackageIndex) -> None:
    """The only partner of uv is on loopback, whatever the environment says about proxies."""
    pypi.add("app", "1.0")
    bench.environ = {"HTTP_PROXY": "http://127.0.0.1:9", "all_proxy": "http://127.0.0.1:9"}
    assert versions(bench.solve("app")) == {"app": "1.0"}


def test_uvs_other_failures_are_internal_with_its_text(bench: Bench) -> None:
    """Only "no solution" is the profile's fault."""
    with pytest.raises(InternalError, match="Unexpected '@'"):
        bench.solve("@ this is no requirement")


def test_a_failure_of_our_index_is_internal(bench: Bench, pypi: PackageIndex) -> None:
    """A bug in the handler's thread is raised by the solve, not swallowed as a missing package."""
    pypi.add("app", "1.0")
    with pytest.raises(InternalError, match="serving"):
        bench.solve("app", routes={"app": "an index that the request does not have"})


def test_sizes_come_from_the_index_or_else_from_the_files_server(
    bench: Bench, pypi: PackageIndex, server: Loopback
) -> None:
    """What a page does not say is asked for once; a server that does not say it either fails no lock."""
    said, asked = pypi.add("said", "1.0", size=4242), pypi.add("asked", "1.0")
    pypi.add("silent", "1.0", served=False)
    pypi.add("lying", "1.0", size="many")
    for _ in range(2):
        found = {package.name: package.size for package in bench.solve("said", "asked", "silent").packages}
        assert found == {"said": 4242, "asked": len(asked), "silent": None}
    heads = [request.path for request in server.requests if request.method == "HEAD"]
    assert len([path for path in heads if "asked" in path]) == 1
    assert not [path for path in heads if "said-" in path]
    assert bench.solve("lying").packages[0].size is not None
    assert len(said) != 4242


def test_an_asset_is_locked_beside_the_solution(bench: Bench, pypi: PackageIndex) -> None:
    """It takes no part in the solve; one that is nowhere is exit 3."""
    pypi.add("weights", "0.1.2", "app==7")
    pypi.add("app", "1.0")
    found = bench.solve("app", assets=("weights==0.1.2",))
    assert [(p.name, p.validation) for p in found.packages] == [("app", False), ("weights", True)]
    with pytest.raises(ResolveError, match="validation asset"):
        bench.solve("app", assets=("weights==7",))


def test_uv_waits_for_our_index_as_long_as_for_the_whole_run(tmp_path: Path) -> None:
    """How long an index may take is the downloader's to say; uv by itself gives a page up after 30 s."""
    uv = Uv(cache=tmp_path, environ=os.environ)
    told = uv.run("pip", "list", "--show-settings", cwd=tmp_path, timeout_s=321.0)
    assert "read_timeout: 321s" in told.stdout


def test_a_stopped_solver_ends_at_once(bench: Bench, pypi: PackageIndex) -> None:
    """Another thread can end a solve that waits for a silent index."""
    pypi.add("app", "1.0")
    pypi.server.delay_s = 3.0
    solver = bench.solver()
    timer = threading.Timer(0.5, solver.stop)
    timer.start()
    started = time.monotonic()
    from provisioner.resolve.request import PipRequest

    with pytest.raises(InternalError, match="stopped"):
        solver.solve_pip(PipRequest(platform="linux-64", python="3.11", requirements=("app",)))
    assert time.monotonic() - started < 2.5
    timer.join()


def test_broken_pages_are_unavailable(bench: Bench, pypi: PackageIndex) -> None:
    """JSON that is no index page is exit 8 with the host."""
    for body in (b"{}", b'{"files": [{}]}', b'{"files": [{"filename": 7, "url": []}]}', b"[1", b"null"):
        pypi.server.files["pypi/app/"] = body
        pypi.server.types["pypi/app/"] = JSON
        with pytest.raises(UnavailableError, match=r"`127\.0\.0\.1:\d+` answered for `app`"):
            bench.solve("app")


PROVENANCE = {
    "version": 1,
    "attestation_bundles": [
        {
            "publisher": {
                "kind": "GitHub",
                "repository": "owner/name",
                "workflow": "release.yml",
                "environment": "pypi",
            },
            "attestations": [{"version": 1}],
        }
    ],
}


@pytest.mark.parametrize(
    ("document", "publisher"),
    [
        (json.dumps(PROVENANCE), "GitHub owner/name release.yml"),
        (json.dumps(PROVENANCE).replace("owner/name", "owner\\u001b[2J"), None),
        (json.dumps(PROVENANCE).replace("owner/name", "x" * 600), None),
        ('{"attestation_bundles": []}', None),
        ('{"attestation_bundles": [{"publisher": 1, "attestations": [1]}]}', None),
        ("[" * 100_000, None),
        ("<!doctype html><title>Please log in</title>", None),
        (None, None),
    ],
)
def test_publishers_come_from_attestations(
    document: str | None, publisher: str | None, pypi: PackageIndex, bench: Bench
) -> None:
    """An index's word is kept where it is one; nonsense and silence keep nobody from locking."""
    pypi.add("tool", "1.0", provenance="../tool.provenance")
    pypi.add("silent", "1.0", provenance=7)
    if document is not None:
        pypi.server.files[f"{pypi.name}/tool.provenance"] = document.encode()
    found = {package.name: package.publisher for package in bench.solve("tool", "silent").packages}
    assert found == {"tool": publisher, "silent": None}
