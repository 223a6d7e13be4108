"""A disk that is full, read-only or not ours ends in one clear error, and works again when it is mended."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.errors import InstallError
from provisioner.install.home import EnvironmentHome, find_environment
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
