"""A conda prefix is linked from a real channel, and ends like a virtual environment."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.engines.conda.linker import canonical_record
from provisioner.errors import InstallError, InternalError
from provisioner.install.generations import EnvironmentHome, find_environment
from tests.conda_channel import (
    PYTHON_VERSION,
    Channel,
    Member,
    build_channel,
    lock_conda,
    make_package,
    write_channel,
)
from tests.installing import ENVIRON, install, make_engines, make_plan, run_python, stock_wheel

CANONICAL = "https://conda.example.org/main"


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Channel:
    """A channel with this Python and a libuv."""
    return build_channel(tmp_path_factory.mktemp("channel"))


def small(name: str, members: Mapping[str, Member], **options: object) -> tuple[dict[str, object], bytes]:
    return make_package(name, "1.0", members, **options)  # type: ignore[arg-type] # passed on


def test_a_conda_prefix_takes_conda_packages_and_wheels(channel: Channel, tmp_path: Path) -> None:
    """Python comes from the channel and runs from its new place; wheels are installed beside it."""
    house = tmp_path / "wheels"
    demo = stock_wheel(
        house,
        "demo",
        files={"demo.py": "def main(): print('hello')\n"},
        entry_points="[console_scripts]\ndemo = demo:main\n",
    )
    built = install(tmp_path / "data", make_plan([demo], channel.packages), wheelhouse=house)
    assert (built.receipt.base, built.receipt.python) == ("conda", PYTHON_VERSION)
    seen = run_python(built, "import sys, demo, ssl, ctypes; print(sys.prefix, demo.__file__, sep='\\n')")
    assert all(line.startswith(str(built.prefix)) for line in seen.splitlines())
    script = subprocess.run([built.prefix / "bin" / "demo"], capture_output=True, check=True, text=True)
    assert script.stdout == "hello\n"
    text = (built.prefix / "lib" / "pkgconfig" / "libuv.pc").read_text(encoding="utf-8")
    assert text.startswith(f"prefix={built.prefix}\n")
    library = built.prefix / "lib" / "libuv.so.1"
    assert library.is_symlink()
    assert str(library.readlink()) == "libuv.so.1.0.0"


def test_conda_metadata_names_the_canonical_address_only(channel: Channel, tmp_path: Path) -> None:
    """No path of the store or the cache, and no mirror's address with a token, stays in `conda-meta`."""
    data = tmp_path / "data"
    mirror = {f"{CANONICAL}/": channel.url + "/"}
    packages = [
        replace(package, url=package.url.replace(channel.url, CANONICAL)) for package in channel.packages
    ]
    from provisioner.engines.net.settings import NetworkSettings

    built = install(
        data,
        make_plan(conda=packages),
        engines=lambda: make_engines(data, network=NetworkSettings(mirrors=mirror)),
    )
    for path in (built.prefix / "conda-meta").glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record["url"].startswith(f"{CANONICAL}/linux-64/")
        assert record["channel"] == CANONICAL
        text = path.read_text(encoding="utf-8")
        assert str(data / "store") not in text
        assert str(data / "cache") not in text
        assert channel.url not in text


def test_a_noarch_package_goes_to_this_pythons_place(channel: Channel, tmp_path: Path) -> None:
    """Pure Python packages are linked into `site-packages`, and their entry points become scripts."""
    package = small(
        "purely",
        {"site-packages/purely/__init__.py": Member(data=b"def main(): print('pure')\n")},
        subdir="noarch",
        depends=["python"],
        link={
            "noarch": {"entry_points": ["purely = purely:main"], "type": "python"},
            "package_metadata_version": 1,
        },
    )
    more = write_channel(tmp_path / "more", [package])
    built = install(tmp_path / "data", make_plan(conda=[*channel.packages, *more.packages]))
    result = subprocess.run([built.prefix / "bin" / "purely"], capture_output=True, check=True, text=True)
    assert result.stdout == "pure\n"


def test_scripts_for_the_installation_are_not_run(channel: Channel, tmp_path: Path) -> None:
    """A post-link script is told and stays a file."""
    script = b"#!/bin/sh\ntouch $PREFIX/CANARY\n"
    package = small("scripted", {"bin/.scripted-post-link.sh": Member(data=script, executable=True)})
    more = write_channel(tmp_path / "more", [package])
    built = install(tmp_path / "data", make_plan(conda=[*channel.packages, *more.packages]))
    assert not (built.prefix / "CANARY").exists()
    assert any("post-link" in notice for notice in built.receipt.notices)


def test_an_edited_file_reaches_no_other_environment(channel: Channel, tmp_path: Path) -> None:
    """Two prefixes of one package share no file, and a later one is built of the locked bytes."""
    data = tmp_path / "data"
    edited, other = (install(data, make_plan(conda=channel.packages, name=name)) for name in ("a", "b"))
    (module,) = (edited.prefix / "lib").glob("python3.*/abc.py")
    good = module.read_bytes()
    with module.open("ab") as file:
        file.write(b"EDITED = 1\n")
    later = install(data, make_plan(conda=channel.packages, name="c"))
    for built in (other, later):
        assert (built.prefix / module.relative_to(edited.prefix)).read_bytes() == good
    assert list((data / "cache" / "unpacked").iterdir()) == []


def test_another_package_behind_the_right_digest_is_refused(channel: Channel, tmp_path: Path) -> None:
    """Name, version and build inside the file have to be the locked ones."""
    index, data = small("honest", {"share/x": Member(data=b"x")})
    write_channel(tmp_path / "more", [(index, data)])
    entry = replace(
        lock_conda(index, data, channel=(tmp_path / "more").as_uri()), name="python", version=PYTHON_VERSION
    )
    with pytest.raises(InstallError, match="its name is 'honest'") as caught:
        install(tmp_path / "data", make_plan(conda=[entry]))
    assert caught.value.code == "install.archive"
    assert find_environment(EnvironmentHome(data=tmp_path / "data"), "demo") is None
    del channel


def test_an_engine_that_dies_is_our_error_and_leaves_nothing(
    channel: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that ends without an answer, whatever its exit status, is no success."""
    worker = tmp_path / "worker.py"
    worker.write_text("import os; os.abort()\n", encoding="utf-8")
    monkeypatch.setattr("provisioner.engines.conda.rattler_process._WORKER", worker)
    data = tmp_path / "data"
    with pytest.raises(InternalError, match="no answer"):
        install(data, make_plan(conda=channel.packages))
    assert list(EnvironmentHome(data=data).generations("demo").iterdir()) == []


def test_an_engine_that_dies_after_its_answer_has_succeeded(
    channel: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interpreter that loaded rattler may crash on its way out."""
    from provisioner.engines.conda.rattler_process import _WORKER

    worker = tmp_path / "worker.py"
    text = _WORKER.read_text(encoding="utf-8")
    worker.write_text(text.replace("os._exit(0)", "os.abort()"), encoding="utf-8")
    monkeypatch.setattr("provisioner.engines.conda.rattler_process._WORKER", worker)
    built = install(tmp_path / "data", make_plan(conda=channel.packages))
    assert run_python(built, "print(1)") == "1"


def test_a_record_loses_what_belongs_to_this_machine() -> None:
    """Paths and addresses go; everything else of the record stays."""
    _, data = small("x", {})
    package = lock_conda(
        {"name": "x", "version": "1.0", "build": "test_0", "subdir": "linux-64", "depends": []},
        data,
        channel=CANONICAL,
    )
    record = {
        "name": "x",
        "url": "file:///store/x",
        "channel": "file:///store",
        "fn": "other",
        "extracted_package_dir": "/cache/x",
        "package_tarball_full_path": "/store/x",
        "link": {"source": "/cache/x", "type": 1},
        "files": ["a"],
    }
    assert canonical_record(record, package) == {
        "name": "x",
        "url": package.url,
        "channel": CANONICAL,
        "fn": package.filename,
        "link": {"source": "", "type": 1},
        "files": ["a"],
    }


def test_the_environment_outlives_the_cache(channel: Channel, tmp_path: Path) -> None:
    """What was linked is the environment's own: the cache and the store may go."""
    data = tmp_path / "data"
    built = install(data, make_plan(conda=channel.packages))
    shutil.rmtree(data / "cache")
    shutil.rmtree(data / "store")
    assert run_python(built, "import json, ssl; print(json.dumps(1))") == "1"
    assert os.access(built.python, os.X_OK)


def test_what_the_solver_chose_is_what_is_linked(channel: Channel, tmp_path: Path) -> None:
    """From match specs over a real solve to a running interpreter."""
    from provisioner.engines.conda.solver import RattlerSolver
    from provisioner.resolve.request import CondaRequest

    solver = RattlerSolver(cache=tmp_path / "repodata", mirrors={}, environ=ENVIRON)
    request = CondaRequest(
        platform="linux-64", channels=(channel.url,), specs=(f"python =={PYTHON_VERSION}", "libuv")
    )
    solved = solver.solve_conda(request)
    assert {package.sha256 for package in solved} == {package.sha256 for package in channel.packages}
    built = install(tmp_path / "data", make_plan(conda=solved))
    script = "import ctypes, sys; lib = ctypes.CDLL(sys.prefix + '/lib/libuv.so.1');"
    script += "lib.uv_version_string.restype = ctypes.c_char_p; print(lib.uv_version_string().decode())"
    if shutil.which("cc"):
        assert run_python(built, script) == "1.48.0"
