"""A source archive that a profile allowed is scanned, and built by what the lock installs."""

import io
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import InstallError
from provisioner.install.generations import EnvironmentHome, list_environments
from provisioner.resolve.model import PipPackage
from tests.installing import install, make_plan, run_python, stock_wheel
from tests.wheels import lock_wheel, write_wheel

# A build backend of its own: it needs what the lock installs beside it and nothing from an index.
_BACKEND = """
import zipfile, demo_build
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "demo_src-1.0-py3-none-any.whl"
    info = "demo_src-1.0.dist-info"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("demo_src.py", f"MADE_BY = {demo_build.__name__!r}\\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: demo-src\\nVersion: 1.0\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        members = ["demo_src.py", f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"]
        wheel.writestr(f"{info}/RECORD", "".join(f"{member},,\\n" for member in members))
    return name
"""
_PROJECT = '[build-system]\nrequires = ["demo-build"]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
_INFO = "Metadata-Version: 2.2\nName: demo-src\nVersion: 1.0\n"
_FILES = {"pyproject.toml": _PROJECT, "backend.py": _BACKEND, "PKG-INFO": _INFO}


def make_sdist(folder: Path, files: Mapping[str, str]) -> PipPackage:
    """Write a source archive into a wheelhouse and return its lock entry."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"demo_src-1.0/{name}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    write_wheel(folder, "demo_src-1.0.tar.gz", buffer.getvalue())
    locked = lock_wheel("demo_src-1.0-py3-none-any.whl", buffer.getvalue())
    return PipPackage(
        name=locked.name,
        version=locked.version,
        filename="demo_src-1.0.tar.gz",
        url="pypi:demo_src-1.0.tar.gz",
        index="pypi",
        sha256=locked.sha256,
    )


def test_a_source_archive_is_built_by_what_the_lock_installs(tmp_path: Path) -> None:
    """The build sees the locked packages and asks no index; the user is told that code was run."""
    house = tmp_path / "wheels"
    tool = stock_wheel(house, "demo-build", files={"demo_build.py": "\n"})
    built = install(tmp_path / "data", make_plan([make_sdist(house, _FILES), tool]), wheelhouse=house)
    assert run_python(built, "import demo_src; print(demo_src.MADE_BY)") == "demo_build"
    assert any("demo_src-1.0.tar.gz" in notice for notice in built.receipt.notices)


@pytest.mark.parametrize(
    "files",
    [
        {"../../outside": "x", **_FILES},
        {**_FILES, "backend.py": _BACKEND.replace("Name: demo-src", "Name: other")},
        {**_FILES, "backend.py": _BACKEND.replace('Version: 1.0\\n"', 'Version: 2.0\\n"')},
    ],
    ids=["leaves its place", "builds another package", "builds another version"],
)
def test_a_source_archive_that_is_not_what_it_says_is_refused(tmp_path: Path, files: dict[str, str]) -> None:
    """Uv refuses it by its name, nothing is written outside, and there is no environment."""
    house = tmp_path / "wheels"
    tool = stock_wheel(house, "demo-build", files={"demo_build.py": "\n"})
    with pytest.raises(InstallError, match=r"demo-src") as caught:
        install(tmp_path / "data", make_plan([make_sdist(house, files), tool]), wheelhouse=house)
    assert caught.value.code == "install.wheels"
    assert list(list_environments(EnvironmentHome(data=tmp_path / "data"))) == []
    assert not list(tmp_path.rglob("outside*"))


@pytest.mark.parametrize(
    "place", ["demo_src.pth", "demo_src-1.0.data/data/lib/python3.11/site-packages/x.pth"]
)
def test_startup_code_of_what_was_built_needs_the_profiles_word(tmp_path: Path, place: str) -> None:
    """The built wheel was in no archive that could be scanned; a reason in the profile lets it in."""
    backend = _BACKEND.replace(
        "        members = [",
        f"        wheel.writestr({place!r}, 'import sys\\n')\n        members = [{place!r}, ",
    )
    house = tmp_path / "wheels"
    tool = stock_wheel(house, "demo-build", files={"demo_build.py": "\n"})
    plan = make_plan([make_sdist(house, {**_FILES, "backend.py": backend}), tool])
    with pytest.raises(InstallError) as caught:
        install(tmp_path / "data", plan, wheelhouse=house)
    assert caught.value.code == "install.startup"
    assert "demo_src-1.0.tar.gz" in caught.value.message
    assert list(list_environments(EnvironmentHome(data=tmp_path / "data"))) == []
    allowed = replace(plan, startup={"demo-src": "it is ours"})
    built = install(tmp_path / "data", allowed, wheelhouse=house)
    assert any("it is ours" in notice for notice in built.receipt.notices)
