"""The Python of a virtual environment is the profile's version, found here and outside any environment."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.engines.uv.interpreter import find_interpreter
from provisioner.engines.uv.program import Uv
from provisioner.errors import InstallError
from tests.installing import ENVIRON

OWN = ".".join(map(str, sys.version_info[:3]))
SHORT = ".".join(map(str, sys.version_info[:2]))


@pytest.mark.parametrize("version", [SHORT, OWN, str(sys.version_info[0])])
def test_our_own_interpreter_is_the_first_choice(tmp_path: Path, version: str) -> None:
    """It is taken outside its virtual environment, and really is that version."""
    found = find_interpreter(
        version, uv=Uv(cache=tmp_path / "cache", environ={}), platform="linux-64", managed=tmp_path
    )
    script = "import sys; print(sys.prefix == sys.base_prefix, *sys.version_info[:3])"
    seen = subprocess.run([found, "-I", "-c", script], capture_output=True, check=True, text=True).stdout
    assert seen.split() == ["True", *OWN.split(".")]
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("version", ["3.1", "2.7", f"{SHORT}.99", f"{SHORT}9"])
def test_numbers_are_compared_as_numbers(tmp_path: Path, version: str) -> None:
    """`3.1` is not the beginning of `3.11`; what is not here is named, with what to do."""
    with pytest.raises(InstallError) as caught:
        find_interpreter(
            version, uv=Uv(cache=tmp_path / "cache", environ={}), platform="linux-64", managed=tmp_path
        )
    assert caught.value.code == "install.no_python"
    assert version in caught.value.message
    assert caught.value.hints


def test_another_version_is_found_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the wanted version is not the one that runs us, uv looks for it."""
    monkeypatch.setattr(sys, "version_info", (3, 99, 0, "final", 0))
    folder = tmp_path / "bin"
    folder.mkdir()
    base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    (folder / f"python{SHORT}").symlink_to(base)
    uv = Uv(cache=tmp_path / "cache", environ=ENVIRON | {"PATH": str(folder)})
    found = find_interpreter(SHORT, uv=uv, platform="linux-64", managed=tmp_path)
    assert found.resolve() == base
    assert shutil.which(str(found)) is not None
