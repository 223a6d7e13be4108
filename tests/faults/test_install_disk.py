"""A disk that is full, read-only or not ours ends in one clear error, and works again when it is mended."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.errors import InstallError
from provisioner.install.generations import EnvironmentHome, find_environment
from tests.installing import install, make_plan, run_python, stock_wheel

ROOT = Path(__file__).parents[2]
_SCRIPT = """
import subprocess, sys
from pathlib import Path
from provisioner.errors import InstallError
from tests.installing import install, make_plan, run_python, stock_wheel
house, data = Path(sys.argv[1]), Path(sys.argv[2])
limit = "size=100k" if sys.argv[3] == "space" else "nr_inodes=15"
subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=700,{limit}", "x", data], check=True)
plan = make_plan([stock_wheel(house, "demo", files={"demo.py": "#" * 300_000})])
try:
    install(data, plan, wheelhouse=house)
except InstallError as error:
    print(error.code)
left = list((data / "environments").rglob("pyvenv.cfg")) if (data / "environments").exists() else []
subprocess.run(["mount", "-o", "remount,size=200m,nr_inodes=50000", data], check=True)
print(left, install(data, plan, wheelhouse=house).new)
"""

_SWEEP = """
import json, os, subprocess, sys
from pathlib import Path
from provisioner.errors import ProvisionError
from tests.conda_channel import Member, make_package, write_channel
from tests.installing import install, make_plan, stock_wheel
house, data, kind = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
big = os.urandom(100_000)
if kind == "venv":
    plan = make_plan([stock_wheel(house, "demo", files={"x.bin": big, **{f"{n}.py": "" for n in range(40)}})])
else:
    files = {f"share/{n}": Member(data=b"x") for n in range(40)} | {"share/big": Member(data=big)}
    plan = make_plan(conda=write_channel(house, [make_package("demo", "1.0", files)]).packages)
for option in sys.argv[4:]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700,size=1m", "x", data], check=True)
    subprocess.run(["mount", "-o", f"remount,{option}", data], check=True)
    try:
        install(data, plan, wheelhouse=house)
    except ProvisionError as error:
        print(json.dumps([option, error.as_json()]))
    subprocess.run(["umount", data], check=True)
"""
_LIMITED = """
import resource, sys
from pathlib import Path
from provisioner.errors import InstallError
from tests.installing import install, make_plan, stock_wheel
plan = make_plan([stock_wheel(Path(sys.argv[1]), "demo", files={"x.py": "#" * 300_000})])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    install(Path(sys.argv[2]), plan, wheelhouse=Path(sys.argv[1]))
except InstallError as error:
    sys.exit(f"{error.code}: {error.message}; {error.hints[0]}")
"""


def _may_mount() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    return subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="user namespaces are not allowed here")
@pytest.mark.parametrize("what", ["space", "inodes"])
def test_a_full_disk_is_told_and_mended(tmp_path: Path, what: str) -> None:
    """The error is ours, nothing half-made stays, and the next run completes when there is room."""
    (tmp_path / "data").mkdir()
    result = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", _SCRIPT, tmp_path / "wheels", tmp_path / "data", what],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    first, second = result.stdout.splitlines()
    assert first == "install.disk_full"
    assert second == "[] True"


def test_what_files_unpack_to_is_asked_before_the_first_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small wheel may unpack to much; the room that is left over for it is what counts."""
    house = tmp_path / "wheels"
    plan = make_plan([stock_wheel(house, "demo", files={"demo.py": "#" * 300_000})])
    usage = shutil.disk_usage(tmp_path)._replace(free=299_999)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InstallError) as caught:
        install(tmp_path / "data", plan, wheelhouse=house)
    assert caught.value.code == "install.disk_full"
    assert caught.value.context["free"] == 299_999
    assert not list(tmp_path.rglob("demo.py"))
    monkeypatch.undo()
    assert install(tmp_path / "data", plan, wheelhouse=house).new


@pytest.mark.skipif(not _may_mount(), reason="user namespaces are not allowed here")
@pytest.mark.parametrize("kind", ["venv", "conda"])
def test_wherever_a_disk_refuses_the_path_is_told(tmp_path: Path, kind: str) -> None:
    """No space, no inode, or no writing at all: each error has its cause, a path, and what to do about it."""
    data = tmp_path / "data"
    data.mkdir()
    options = [
        *(f"size={kilobytes}k" for kilobytes in (4, 16, 100, 180)),
        *(f"nr_inodes={number}" for number in (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 20, 30, 45)),
        "ro",
    ]
    result = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", _SWEEP, tmp_path / "house", data, kind, *options],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    seen = dict(json.loads(line) for line in result.stdout.splitlines())
    assert list(seen) == options
    for option, error in seen.items():
        assert error["code"] == ("install.disk" if option == "ro" else "install.disk_full"), (option, error)
        assert str(data) in error["message"], (option, error)
        assert error["context"]["path"].startswith(str(data))
        assert error["hints"][0].startswith("let it be" if option == "ro" else "free some space")


@pytest.mark.parametrize("limit", [3_000, 20_000, 200_000])
def test_a_limit_on_the_size_of_files_is_told_as_one(tmp_path: Path, limit: int) -> None:
    """Whether we write the large file or an engine does, the hint names the limit."""
    result = subprocess.run(
        [sys.executable, "-c", _LIMITED, tmp_path / "house", tmp_path / "data", str(limit)],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert "install.disk: could not write" in result.stderr
    assert str(tmp_path / "data") in result.stderr
    assert "ulimit -f" in result.stderr


@pytest.mark.parametrize("place", ["data", "data/environments", "data/store", "data/environments/demo"])
def test_a_file_in_a_folders_place_is_told(tmp_path: Path, place: str) -> None:
    """What is there is named and left alone."""
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("precious", encoding="utf-8")
    with pytest.raises(InstallError) as caught:
        install(tmp_path / "data", make_plan())
    assert str(path) in caught.value.message
    assert path.read_text(encoding="utf-8") == "precious"


def test_a_planted_link_at_the_next_generations_place_is_not_followed(tmp_path: Path) -> None:
    """A link there is a leftover: it is deleted, not its target."""
    data, target = tmp_path / "data", tmp_path / "target"
    target.mkdir()
    (target / "precious").write_text("x", encoding="utf-8")
    plan = make_plan()
    install(data, make_plan(python="3.11"))
    generations = EnvironmentHome(data=data).generations("demo")
    (generations / f"2-{plan.fingerprint[:8]}").symlink_to(target)
    built = install(data, plan, rebuild=True)
    assert built.prefix.is_dir()
    assert not built.prefix.is_symlink()
    assert [path.name for path in target.iterdir()] == ["precious"]


def test_a_loose_umask_makes_nothing_writable_for_others(tmp_path: Path) -> None:
    """Whatever the caller's umask, the data folder is closed to others."""
    house, data = tmp_path / "wheels", tmp_path / "data"
    wheel = stock_wheel(house, "demo")
    old = os.umask(0)
    try:
        built = install(data, make_plan([wheel]), wheelhouse=house)
    finally:
        os.umask(old)
    assert data.stat().st_mode & 0o077 == 0
    assert run_python(built, "import demo; print(demo.VERSION)") == "1.0"
    assert find_environment(EnvironmentHome(data=data), "demo") is not None
