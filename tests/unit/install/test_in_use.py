"""What a process uses is deleted by no other, and what is being deleted is used by none."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import BusyError, InstallError
from provisioner.install.generations import (
    EnvironmentHome,
    Generation,
    find_environment,
    prepare_environment,
    publish,
)
from provisioner.install.in_use import hold_generation, hold_unused
from provisioner.install.receipt import RECEIPT_NAME, Receipt, format_receipt

RECEIPT = Receipt(
    environment="demo",
    profile="demo",
    fingerprint="f" * 64,
    platform="linux-64",
    base="venv",
    python="3.11.7",
    prefix="",
    created_at="2026-01-01T00:00:00+00:00",
)
_BECOME = """
import os, sys
from pathlib import Path
from provisioner.install.generations import EnvironmentHome, find_environment
from provisioner.install.in_use import hold_generation
home = EnvironmentHome(data=Path(sys.argv[1]))
with hold_generation(home, find_environment(home, "demo"), command="provision run demo"):
    os.execv("/bin/sh", ["sh", "-c", "echo ready; read line"])
"""


@pytest.fixture
def home(tmp_path: Path) -> EnvironmentHome:
    """A data folder with one environment."""
    home = EnvironmentHome(data=tmp_path / "data")
    folder = prepare_environment(home, "demo") / f"1-{'f' * 8}"
    folder.mkdir()
    text = format_receipt(replace(RECEIPT, prefix=str(folder)))
    (folder / RECEIPT_NAME).write_text(text, encoding="utf-8")
    publish(home, "demo", folder.name)
    return home


def built(home: EnvironmentHome) -> Generation:
    generation = find_environment(home, "demo")
    assert generation is not None
    return generation


def test_two_may_use_and_none_may_delete(home: EnvironmentHome) -> None:
    """Users share; the one who would delete is told who uses it, and what for."""
    generation = built(home)
    with hold_generation(home, generation, command="one"), hold_generation(home, generation, command="two"):
        with pytest.raises(BusyError) as caught, hold_unused(home, [generation.prefix]):
            pass
        assert f"process {os.getpid()} (`two`" in caught.value.message
        assert "`demo`" in caught.value.message
        assert caught.value.exit_code == 9
    with hold_unused(home, [generation.prefix]):
        pass


def test_nobody_begins_to_use_what_is_being_deleted(home: EnvironmentHome) -> None:
    """Neither while it is deleted nor afterwards; the lock's files go with it."""
    generation = built(home)
    with hold_unused(home, [generation.prefix]):
        with pytest.raises(BusyError, match="deleting"), hold_generation(home, generation, command="x"):
            pass
        (generation.prefix / RECEIPT_NAME).unlink()
        generation.prefix.rmdir()
    assert list(home.locks.iterdir()) == []
    with pytest.raises(InstallError, match="deleted"), hold_generation(home, generation, command="x"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="a process turns into another on POSIX alone")
def test_a_program_that_we_turned_into_holds_on(home: EnvironmentHome) -> None:
    """The use ends with the program, however it ends."""
    command = [sys.executable, "-c", _BECOME, str(home.data)]
    generation = built(home)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(BusyError) as caught, hold_unused(home, [generation.prefix]):
            pass
        assert f"process {process.pid} (`provision run demo`" in caught.value.message
        process.kill()
    with hold_unused(home, [generation.prefix]):
        pass


def test_dead_users_are_forgotten(home: EnvironmentHome) -> None:
    """The list of users does not grow with every use."""
    generation = built(home)
    (users,) = (home.locks / f"demo.{generation.prefix.name}.users",)
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", ""]) as dead:
            dead.wait()
        home.locks.mkdir(exist_ok=True, mode=0o700)
        users.write_text(json.dumps({"pid": dead.pid, "command": "x", "since": 0}) + "\nnonsense\n[]\n")
        with hold_generation(home, generation, command="y"):
            (line,) = users.read_text(encoding="utf-8").splitlines()
            assert json.loads(line)["command"] == "y"


@pytest.mark.skipif(sys.platform == "win32", reason="asks for folders as POSIX guards them")
def test_a_data_folder_that_may_only_be_read_can_be_used(home: EnvironmentHome) -> None:
    """Without a place for locks there is nobody who deletes either."""
    (home.data / "locks").write_text("not a folder", encoding="utf-8")
    with hold_generation(home, built(home), command="x"):
        pass
