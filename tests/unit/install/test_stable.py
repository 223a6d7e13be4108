"""The stable path as rules: which programs it has on a platform, and what activation uses of it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from provisioner.install.activation import find_activation
from provisioner.install.generations import EnvironmentHome, Generation
from provisioner.install.launchers import format_launchers, write_stable
from provisioner.install.receipt import Receipt
from provisioner.install.stable_path import find_stable


def make_generation(
    prefix: Path, *, platform: str, base: str, env: Mapping[str, str] | None = None
) -> Generation:
    """Return a generation of the environment `demo`."""
    receipt = Receipt(
        environment="demo",
        profile="demo",
        fingerprint="f",
        platform=platform,
        base=base,
        python="3.11.7",
        prefix=str(prefix),
        created_at="",
        env=env or {},
    )
    return Generation(number=1, prefix=prefix, receipt=receipt)


def test_windows_gets_batch_files() -> None:
    """There `pip`, `conda` and `uv` are batch files, and tools find Python through the junction."""
    prefix = Path("/data/environments/demo/generations/1-00000000")
    generation = make_generation(prefix, platform="win-64", base="conda")
    files = format_launchers(EnvironmentHome(data=Path("/data")), generation)
    assert set(files) == {f"{name}.cmd" for name in ("pip", "pip3", "conda", "mamba", "micromamba", "uv")}
    assert all(text.replace("\r\n", "").count("\n") == 0 for text in files.values())
    assert 'if /i "%~1 %~2"=="pip install" goto answer\r\n' in files["uv.cmd"]
    assert "provision add demo --conda PACKAGE" in files["conda.cmd"]
    assert find_stable(generation).python == Path("/data/environments/demo/env/python.exe")
    assert str(prefix) in find_activation(generation, following=True).path


@pytest.mark.skipif(sys.platform == "win32", reason="runs a program of POSIX")
def test_python_sets_the_variables_literally(tmp_path: Path) -> None:
    """Whatever a receipt's values are, the stable `python` hands them on and evaluates nothing."""
    values = {
        "DOLLAR": "$(touch CANARY) ${HOME}",
        "BACKTICK": "`touch CANARY`",
        "QUOTES": "\"; touch CANARY; ' '\" \\' \\",
        "NEWLINES": "one\ntouch CANARY",
    }
    home = EnvironmentHome(data=tmp_path / "it's $HOME")
    prefix = home.generations("demo") / "1-00000000"
    generation = make_generation(prefix, platform="linux-64", base="venv", env=values)
    generation.python.parent.mkdir(parents=True)
    generation.python.write_text('#!/bin/sh\nexec env -0 "$@"\n', encoding="utf-8")
    generation.python.chmod(0o700)
    (prefix.parents[1] / "current").write_text(f"{prefix.name}\n", encoding="utf-8")
    write_stable(home, generation)
    shown = subprocess.run(
        [find_stable(generation).python],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONHOME": "/nowhere"},
        capture_output=True,
        check=True,
    )
    seen = dict(line.split("=", 1) for line in shown.stdout.decode().split("\0") if line)
    assert {name: seen[name] for name in values} == values
    assert "PYTHONHOME" not in seen
    assert not list(tmp_path.rglob("CANARY"))
