"""A mirror gives pip, uv, conda's clients and provision the locked files, with nobody else on the network.

One file: each way to serve is tried with the same clients and the same two profiles.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from provisioner.engines.conda.solver import RattlerSolver
from provisioner.engines.index.mirror_server import Document, open_server
from provisioner.engines.index.publish import publish_pages
from provisioner.engines.store.store import Store
from provisioner.lock.model import Lock
from provisioner.resolve.request import CondaRequest
from tests.cli.lab import REPOSITORY, Lab
from tests.conda_channel import lock_conda, make_package

if sys.platform == "win32":
    pytest.skip("the signals and the web server of these tests are Linux's", allow_module_level=True)

NOWHERE = "http://127.0.0.1:1/simple"
INDEX = re.compile(r"serving [0-9]+ files at (http://\S+)/ until")


@contextmanager
def serve_mirror(lab: Lab, *arguments: str) -> Iterator[str]:
    """Run `provision mirror` for the length of the block, and yield its address."""
    process = lab.start("mirror", *arguments, "--listen", "127.0.0.1:0")
    assert process.stderr
    try:
        lines = iter(process.stderr.readline, b"")
        found = next(match for line in lines if (match := INDEX.search(line.decode())))
        yield found[1]
    finally:
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        assert process.returncode == 130
        assert time.monotonic() - started < 2.0


@contextmanager
def serve_nginx(folder: Path, scratch: Path) -> Iterator[str]:
    """Serve a folder by Debian's nginx, configured as the docs say."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        pytest.skip("there is no nginx here (apt-get install nginx)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    guide = (REPOSITORY / "docs" / "how-to" / "mirror.md").read_text(encoding="utf-8")
    site = guide.partition("```nginx\n")[2].partition("```")[0]
    site = site.replace("127.0.0.1:8480", f"127.0.0.1:{port}").replace("/srv/mirror", str(folder))
    temporary = "".join(
        f"{kind}_temp_path {scratch}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = scratch / "nginx.conf"
    owner = "user root;\n" if os.geteuid() == 0 else ""
    configuration.write_text(
        f"daemon off;\n{owner}pid {scratch}/pid;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{site}}}\n"
    )
    process = subprocess.Popen([nginx, "-e", "stderr", "-p", str(scratch), "-c", str(configuration)])
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)


def fill(lab: Lab, other: Lab) -> Lab:
    """Give a lab the profile `tiny` with its files in the store."""
    lab.copy_tiny(other)
    lab.build_tiny()
    return lab


def install_everywhere(lab: Lab, base: str, scratch: Path) -> None:
    """Install `tiny` from a mirror with uv, pip and provision, which know no other place."""
    requirements = f"{base}/requirements/tiny.linux-64.txt"
    torch = f"{base}/web/127.0.0.1+{lab.server.url.rpartition(':')[2]}/ok/torch"
    places = ["--index-url", f"{base}/pypi/simple", "--extra-index-url", torch, "-r", requirements]
    clean = {key: value for key, value in lab.child_environ.items() if not key.startswith("PIP_")}
    clean |= {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}
    for number, tool in enumerate((["uv", "pip"], [sys.executable, "-m", "pip"])):
        target = scratch / f"target{number}"
        # Where this environment is, in which pip may not be.
        if number and subprocess.run([*tool, "--version"], capture_output=True, check=False).returncode:
            continue
        subprocess.run(
            [*tool, "install", "-q", "--no-deps", "--require-hashes", "--target", str(target), *places],
            env=clean
            | {"UV_CACHE_DIR": str(scratch / "uv")}
            | ({} if number else {"UV_PYTHON": sys.executable}),
            check=True,
        )
        assert {path.name for path in target.glob("*.dist-info")} == {
            "torch-2.13.0+cpu.dist-info",
            "tinyapp-1.0.dist-info",
        }
    (scratch / "other").mkdir()
    other = Lab(root=scratch / "other", server=lab.server)
    other.copy_tiny(lab)
    (scratch / "map.yaml").write_bytes(httpx.get(f"{base}/mirrors.yaml", trust_env=False).content)
    created = other.run(
        "create", "tiny", "--no-validate", "--mirrors", str(scratch / "map.yaml"), PIP_INDEX_URL=NOWHERE
    )
    assert created.code == 0, created.err


def test_pip_uv_and_provision_install_from_a_mirror(tmp_path: Path, built: Lab) -> None:
    """From the store, and nothing is asked of the hosts that the lock names."""
    asked = len(built.server.requests)
    with serve_mirror(built, "tiny", "--offline") as base:
        install_everywhere(built, base, tmp_path)
    assert len(built.server.requests) == asked


def test_pip_uv_and_provision_install_from_nginx(tmp_path: Path, built: Lab) -> None:
    """The exported folder needs no server of ours."""
    folder = tmp_path / "www"
    (tmp_path / "nginx").mkdir()
    with serve_nginx(folder, tmp_path / "nginx") as base:
        exported = built.run("mirror", "tiny", "--offline", "--export", str(folder), "--url", base)
        assert exported.code == 0, exported.err
        asked = len(built.server.requests)
        install_everywhere(built, base, tmp_path)
        assert len(built.server.requests) == asked


def test_a_bundle_is_served_as_it_is(tmp_path: Path, built: Lab) -> None:
    """Its packages are read where they lie in the file."""
    bundle = tmp_path / "tiny.bundle"
    written = built.run("bundle", "tiny", "--no-tool", "-o", str(bundle))
    assert written.code == 0, written.err
    with serve_mirror(built, "--bundle", str(bundle)) as base:
        install_everywhere(built, base, tmp_path)


def test_a_folder_needs_no_server(tmp_path: Path, built: Lab) -> None:
    """A disk that is carried over is a mirror by `file:` addresses."""
    folder = tmp_path / "disk"
    assert built.run("mirror", "tiny", "--export", str(folder), "--url", folder.as_uri()).code == 0
    (tmp_path / "other").mkdir()
    other = Lab(root=tmp_path / "other", server=built.server)
    other.copy_tiny(built)
    asked = len(built.server.requests)
    created = other.run(
        "create", "tiny", "--no-validate", "--mirrors", str(folder / "mirrors.yaml"), PIP_INDEX_URL=NOWHERE
    )
    assert created.code == 0, created.err
    assert len(built.server.requests) == asked


def test_an_exported_folder_is_served_as_it_is(tmp_path: Path, built: Lab) -> None:
    """`--folder` shows what `--export` wrote, and no link and no hidden file."""
    folder = tmp_path / "www"
    exported = built.run("mirror", "tiny", "--export", str(folder))
    assert exported.code == 0
    assert f"show it: provision mirror --folder {folder}\n" in exported.out
    (folder / "pypi" / "secret").symlink_to("/etc/passwd")
    (folder / "pypi" / ".hidden").write_text("hidden")
    with serve_mirror(built, "--folder", str(folder)) as base:
        for path, code in (("pypi/secret", 404), ("pypi/.hidden", 404), ("pypi/simple/", 200)):
            assert httpx.get(f"{base}/{path}", trust_env=False).status_code == code, path


def tree_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return path to content and permissions of every file."""
    return {
        str(path.relative_to(folder)): (
            path.read_bytes() if path.is_file() else b"",
            path.stat().st_mode & 0o777,
        )
        for path in folder.rglob("*")
    }


def test_exports_are_the_same_and_exact(tmp_path: Path, built: Lab) -> None:
    """Twice the same bytes, readable to a web server; what is damaged or left over is mended by the next."""
    one, two = tmp_path / "one", tmp_path / "two"
    before = os.umask(0o077)
    try:
        assert built.run("mirror", "tiny", "--export", str(one)).code == 0
    finally:
        os.umask(before)
    first = built.run("mirror", "tiny", "--export", str(two), "--json").data
    assert (first["copied"], first["removed"]) == (2, 0)
    tree = tree_of(one)
    assert tree == tree_of(two)
    assert {mode for _, mode in tree.values()} == {0o644, 0o755}
    wheel = next(one.rglob("tinyapp*.whl"))
    wheel.write_bytes(b"damaged")
    (one / "pypi" / "simple" / "gone").mkdir()
    (one / "pypi" / "simple" / "gone" / "gone-1.0-py3-none-any.whl").write_bytes(b"old")
    again = built.run("mirror", "tiny", "--export", str(one), "--json").data
    assert (again["copied"], again["removed"]) == (1, 1)
    assert tree_of(one) == tree


def test_what_is_served_stays_in_the_store(tiny: Lab) -> None:
    """`clean --all` of another process leaves the downloads as long as somebody is served from them."""
    tiny.build_tiny()
    with serve_mirror(tiny, "tiny") as base:
        cleaned = tiny.run("clean", "--all")
        assert cleaned.code == 0, cleaned.err
        for page in ("tinyapp/tinyapp-1.0-py3-none-any.whl", "tinyapp/"):
            assert httpx.get(f"{base}/pypi/simple/{page}", trust_env=False).status_code == 200


def test_maps_have_names(tmp_path: Path, built: Lab) -> None:
    """A name is looked up in the user's folder and among ours; a path is a path."""
    folder = tmp_path / "disk"
    config = tmp_path / "config"
    (config / "mirrors").mkdir(parents=True)
    assert built.run("mirror", "tiny", "--export", str(folder), "--url", folder.as_uri()).code == 0
    (folder / "mirrors.yaml").rename(config / "mirrors" / "office.yaml")
    (tmp_path / "other").mkdir()
    other = Lab(root=tmp_path / "other", server=built.server)
    other.copy_tiny(built)
    places = {"PIP_INDEX_URL": NOWHERE, "PROVISION_CONFIG_DIR": str(config)}
    created = other.run("create", "tiny", "--no-validate", "--mirrors", "office", **places)
    assert created.code == 0, created.err
    assert built.run("list", "--mirrors", "cn").code == 0
    refused = built.run("list", "--mirrors", "../mirrors/cn", "--json")
    assert refused.error["code"] == "usage.no_mirrors"


def test_an_export_touches_no_other_folder(tmp_path: Path, built: Lab) -> None:
    """A folder with something else in it is refused, and nothing in it is changed."""
    (tmp_path / "thesis.tex").write_text("years of work")
    refused = built.run("mirror", "tiny", "--export", str(tmp_path), "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage.mirror_folder")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_offline_leaves_out_and_says_so(tmp_path: Path, tiny: Lab) -> None:
    """What the store lacks is counted: a client that misses a file can be told why."""
    shown = tiny.run("mirror", "tiny", "--offline", "--export", str(tmp_path / "www"), "--json")
    assert shown.code == 0
    assert len(shown.data["left_out"]) == 2
    assert "2 locked files are not in the store and are left out" in shown.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), "usage.mirror_what"),
        (("tiny", "--all"), "usage.mirror_what"),
        (("--bundle", "none", "--export", "www"), "usage.mirror_export"),
        (("--bundle", "none"), "usage.no_bundle"),
        (("tiny", "--listen", "8470"), "usage.listen"),
        (("tiny", "--listen", "127.0.0.1:99999"), "usage.listen"),
        (("tiny", "--listen", "192.0.2.1:8470"), "usage.listen"),
        (("tiny", "--url", "ftp://x"), "usage.address"),
        (("--folder", "."), "usage.mirror_folder"),
    ],
)
def test_wrong_command_lines(arguments: tuple[str, ...], code: str, built: Lab) -> None:
    """Each is refused before anything is served."""
    refused = built.run("mirror", *arguments, "--json")
    assert (refused.code, refused.error["code"]) == (2, code)


def test_conda_clients_solve_from_the_pages(tmp_path: Path) -> None:
    """A channel's list has what the packages say of themselves: rattler finds them and what they need."""
    channel = "https://conda.example.org/chan"
    store = Store(tmp_path / "store")
    locked, stored = [], {}
    for index, data in (
        make_package("app", "1.0", {}, depends=["lib >=2"]),
        make_package("lib", "2.0", {}, subdir="noarch"),
    ):
        package = lock_conda(index, data, channel=channel)
        with store.hold_part(package) as part:
            part.write_bytes(data)
            stored[package.sha256] = store.publish(package, part)
        locked.append((Lock(profile="demo", source="", platforms=(), channels=(channel,)), package))
    documents = {
        place: Document.of_bytes(body)
        for place, body in publish_pages(locked, stored).items()
        if not place.endswith("repodata.json")  # what clients ask for first is compressed
    }
    with open_server(documents, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        mirror = f"http://127.0.0.1:{server.port}/web/conda.example.org"
        solver = RattlerSolver(
            cache=tmp_path / "cache", mirrors={"https://conda.example.org": mirror}, environ={}
        )
        solution = solver.solve_conda(CondaRequest(platform="linux-64", channels=(channel,), specs=("app",)))
        server.shutdown()
    assert {package.url for package in solution} == {package.url for _, package in locked}
