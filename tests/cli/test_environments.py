"""Environments from the second command on: build again, run, activate, repair, clean, remove."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.install.generations import EnvironmentHome, prepare_environment
from tests.cli.lab import Lab


def python(lab: Lab, code: str) -> str:
    """Run code in the environment `tiny` and return what it printed."""
    ran = lab.spawn("run", "tiny", "--", "python", "-c", code)
    assert ran.code == 0, ran.err
    return ran.out


def test_run_passes_arguments_streams_and_codes(built: Lab) -> None:
    """The program gets its arguments as they are, our standard input, and its exit code is ours."""
    code = "import sys; print(sys.argv[1:], sys.stdin.read()); sys.exit(3)"
    ran = built.spawn("run", "tiny", "--", "python", "-c", code, "--json", "a b", "-x", data=b"typed")
    assert (ran.code, ran.out) == (3, "['--json', 'a b', '-x'] typed\n")
    assert built.spawn("run", "tiny", "python", "-c", "import tinyapp").code == 0


def test_run_names_a_program_that_is_not_there(built: Lab) -> None:
    """No program, no traceback."""
    shown = built.run("run", "--json", "tiny", "--", "no-such-program")
    assert (shown.code, shown.error["code"]) == (2, "usage.no_program")


def test_run_takes_no_python_or_pip_of_another_environment(built: Lab, tmp_path: Path) -> None:
    """A bare `pip` or `python` is the environment's own or an error, whatever `PATH` has; others may be."""
    outer = tmp_path / "outer"
    outer.mkdir()
    for name in ("pip", "pip3", "python9.9", "greet"):
        (outer / name).write_text("#!/bin/sh\necho the outer one\n")
        (outer / name).chmod(0o755)
    built.environ["PATH"] = f"{outer}:{built.environ['PATH']}"
    for name in ("pip", "pip3", "python9.9"):
        shown = built.run("run", "--json", "tiny", "--", name)
        assert (shown.code, shown.error["code"]) == (2, "usage.no_program")
        assert f"environment `tiny` has no program `{name}` of its own" in shown.error["message"]
        assert ("`provision add tiny PACKAGE`" in shown.error["hints"][0]) == name.startswith("pip")
    assert built.spawn("run", "tiny", "--", "greet").out == "the outer one\n"


@pytest.mark.skipif(sys.platform == "win32", reason="SIGPIPE")
def test_run_ends_with_its_reader(built: Lab) -> None:
    """A program that writes for ever ends when `head` has what it wants."""
    line = f"{sys.executable} -m provisioner run tiny -- sh -c 'while :; do echo y; done' | head -1"
    shown = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=built.root,
        env=built.child_environ,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (shown.stdout, shown.stderr) == (b"y\n", b"")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_activate_can_be_evaluated(built: Lab) -> None:
    """`eval "$(provision activate NAME)"` puts the environment's python first."""
    script = built.run("activate", "tiny", "--shell", "bash").out
    shown = subprocess.run(
        ["/bin/bash", "-euc", f"{script}\ncommand -v python"],
        env=built.child_environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip().startswith(str(built.data / "environments" / "tiny"))


@pytest.mark.parametrize("damage", ["module", "receipt", "pointer"])
def test_repair_builds_again(damage: str, tiny: Lab) -> None:
    """Files are put back where they were; without receipt or pointer the environment is built anew."""
    prefix = tiny.build_tiny()
    module = next(prefix.rglob("tinyapp.py"))
    if damage == "module":
        module.write_text("VERSION = 'broken'\n", encoding="utf-8")
    elif damage == "receipt":
        prefix.joinpath("provision-receipt.json").write_text("{", encoding="utf-8")
    else:
        prefix.parents[1].joinpath("current").write_text("nonsense\n", encoding="utf-8")
    shown = tiny.run("repair", "tiny", "--no-validate", "--json")
    assert shown.code == 0
    assert (shown.data["prefix"] == str(prefix)) == (damage == "module")
    assert python(tiny, "import tinyapp; print(tinyapp.VERSION)") == "1.0\n"


def test_repair_validates_on_the_device_that_is_named(tiny: Lab) -> None:
    """As `create` and `validate` do: what their hint after a missing device says can be followed."""
    tiny.build_tiny()
    shown = tiny.run("repair", "tiny", "--device", "cuda", "--json")
    assert (shown.code, shown.data["device"]["asked"]) == (6, "cuda")


def test_clean_removes_what_nobody_uses(tiny: Lab) -> None:
    """Old generations go and the current one stays; `--all` takes the downloads, too, and it still works."""
    old = tiny.build_tiny()
    assert tiny.run("create", "tiny", "--rebuild", "--no-validate").code == 0
    half = old.parent / "9-00000000"
    half.mkdir()
    shown = tiny.run("clean", "--json")
    assert (shown.data["removed"], shown.data["incomplete_generations"]) == ([str(old)], 1)
    assert shown.data["freed_bytes"] > 0
    assert not old.exists()
    assert not half.exists()
    assert python(tiny, "print(1)") == "1\n"
    assert (tiny.data / "store").is_dir()
    assert tiny.run("clean", "--all").code == 0
    assert not (tiny.data / "store").exists()
    assert python(tiny, "print(1)") == "1\n"
    assert tiny.run("clean", "--json").data == {
        "dry_run": False,
        "removed": [],
        "incomplete_generations": 0,
        "freed_bytes": 0,
        "in_use": [],
    }


def test_clean_takes_the_folder_of_a_build_that_failed(tiny: Lab) -> None:
    """A marked folder without an environment goes; text says so, and says when there is nothing."""
    prefix = tiny.build_tiny()
    home = EnvironmentHome(data=tiny.data)
    prepare_environment(home, "failed")
    assert tiny.run("clean").out.startswith(f"removed {home.environment('failed')}\n")
    assert not home.environment("failed").exists()
    assert prefix.is_dir()
    assert tiny.run("clean").out == "nothing to remove\n"


def test_clean_takes_what_killed_writers_left(tiny: Lab) -> None:
    """Temporary files in store, caches and locks go; one that may still be written stays."""
    tiny.build_tiny()
    folders = [tiny.data / "cache" / "index" / "pages", tiny.data / "store" / "sha256", tiny.data / "locks"]
    dead = [folder / ".thing.json.abcdefgh.provision-tmp" for folder in folders]
    for path in dead:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half", encoding="utf-8")
        os.utime(path, (1, 1))
    young = folders[0] / ".thing.json.bcdefghi.provision-tmp"
    young.write_text("half", encoding="utf-8")
    assert sorted(tiny.run("clean", "--json").data["removed"]) == sorted(map(str, dead))
    assert [path for path in (*dead, young) if path.exists()] == [young]


def test_remove_takes_the_environment_and_nothing_else(tiny: Lab) -> None:
    """Gone from `list`, its folder gone, downloads kept; a second time is a usage error."""
    prefix = tiny.build_tiny()
    shown = tiny.run("remove", "tiny", "--json").data
    assert shown["removed"] == "tiny"
    assert shown["freed_bytes"] > 0
    assert not prefix.parents[1].exists()
    assert any((tiny.data / "store").rglob("*.whl"))
    assert tiny.run("list", "--json").data["environments"] == []
    assert tiny.run("remove", "tiny").code == 2


def test_an_environment_in_use_is_not_deleted(tiny: Lab) -> None:
    """`remove` says which process uses it, `clean` keeps it, and both work when the program has ended."""
    old = tiny.build_tiny()
    code = "import sys; print('ready', flush=True); sys.stdin.read()"
    words = ("run", "tiny", "--", "python", "-c", code)
    with tiny.start(*words, stdin=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdin is not None
        assert program.stdout.readline() == b"ready\n"
        before = tiny.tree()
        refused = tiny.run("remove", "tiny", "--json")
        assert (refused.code, refused.error["code"]) == (9, "busy.environment")
        assert f"process {program.pid} (`provision run tiny`" in refused.error["message"]
        assert {path: data for path, data in tiny.tree().items() if not path.startswith("locks")} == {
            path: data for path, data in before.items() if not path.startswith("locks")
        }
        assert tiny.run("create", "tiny", "--no-validate", "--rebuild").code == 0
        cleaned = tiny.run("clean", "--json").data
        assert cleaned["removed"] == []
        assert [f"process {program.pid}" in sentence for sentence in cleaned["in_use"]] == [True]
        assert old.is_dir()
        program.stdin.close()
        assert program.wait(timeout=30) == 0
    assert str(old) in tiny.run("clean", "--json").data["removed"]
    assert not old.exists()
    assert tiny.run("remove", "tiny").code == 0


def test_remove_leaves_what_is_not_ours(lab: Lab) -> None:
    """A folder without our mark is refused, whatever it is called."""
    mine = lab.data / "environments" / "mine"
    mine.mkdir(parents=True)
    mine.joinpath("thesis.txt").write_text("years of work", encoding="utf-8")
    shown = lab.run("remove", "mine", "--json")
    assert (shown.code, shown.error["code"]) == (5, "install.foreign")
    assert mine.joinpath("thesis.txt").is_file()


def test_list_and_validate_of_a_damaged_environment(tiny: Lab) -> None:
    """A damaged environment is listed as such; what needs it says how to get it back."""
    prefix = tiny.build_tiny()
    prefix.joinpath("provision-receipt.json").write_text("{", encoding="utf-8")
    (row,) = tiny.run("list", "--json").data["environments"]
    assert row["verdict"] == "damaged"
    shown = tiny.run("validate", "tiny", "--json")
    assert (shown.code, shown.error["code"]) == (5, "install.receipt")


def test_validate_writes_reports(lab: Lab, tmp_path: Path) -> None:
    """JUnit and HTML are written where they are asked for, also of a failed validation."""
    lab.lock_tiny()
    lab.build_tiny()
    shown = lab.run("validate", "tiny", "--json", "--junit", "report.xml", "--html", "report.html")
    assert shown.code == 6
    assert shown.data["files"] == {"junit": "report.xml", "html": "report.html"}
    assert "<testsuite" in tmp_path.joinpath("report.xml").read_text(encoding="utf-8")
    assert "<html" in tmp_path.joinpath("report.html").read_text(encoding="utf-8")


def test_validate_refuses_a_report_that_has_no_place(built: Lab) -> None:
    """A report that cannot be written is told before the validation starts."""
    shown = built.run("validate", "tiny", "--html", "missing/report.html", "--json")
    assert (shown.code, shown.error["code"]) == (2, "usage.output")


def test_a_name_that_is_neither_gets_a_hint_that_works(tiny: Lab) -> None:
    """Where a profile has the name, `create` is the hint, else the list of names."""
    assert tiny.run("validate", "tiny", "--json").error["hints"] == ["run `provision create tiny`"]
    assert tiny.run("validate", "nope", "--json").error["hints"] == ["see `provision list` for the names"]


def test_run_of_a_script_says_how(built: Lab) -> None:
    """A script is no program: the hint is the command that runs it."""
    (built.root / "s.py").write_text("print(1)\n", encoding="utf-8")
    assert built.run("run", "--json", "tiny", "s.py").error["hints"] == ["run `python s.py` in it"]


def test_repair_needs_no_profile_at_hand(tiny: Lab) -> None:
    """Elsewhere, and after its profile and lockfile are gone, an environment is mended from its copies."""
    old = tiny.build_tiny()
    shutil.rmtree(tiny.envs)
    shutil.rmtree(tiny.lockfile.parent)
    (old / "bin" / "python").unlink()
    shown = tiny.run("repair", "tiny", "--no-validate", "--json")
    assert shown.code == 0
    assert shown.data["prefix"] == str(old)
    assert python(tiny, "import tinyapp; print(tinyapp.VERSION)") == "1.0\n"
    assert tiny.run("repair", "tiny", "--no-validate", "--rebuild").code == 0


def test_a_validation_on_another_device_can_be_reported(built: Lab) -> None:
    """It says on which device; the environment is not proven by it, and `verify` knows the file."""
    assert built.run("report", "tiny", "--json").code == 7
    assert built.run("validate", "tiny", "--device", "cuda").code != 0
    shown = built.run("report", "tiny", "--json")
    assert shown.code == 0, shown.err
    assert shown.data["evidence"]["device"]["kind"] == "cuda"
    assert re.search(r"note: the validation of 20\d\d-\S+ on `cuda` in bf16: failed\n", shown.err), shown.err
    assert built.run("verify", "tiny").code == 0
    assert shown.data["evidence"]["verdict"] == "failed"
    assert built.run("list", "--json").data["environments"][0]["verdict"] == "unvalidated"


def test_a_report_shares_the_name_of_a_built_in_profile_alone(lab: Lab) -> None:
    """A user's own profile has none in the file, also where it is called as one of ours."""
    lab.lock_tiny()
    lab.envs.joinpath("tiny.yaml").rename(lab.envs / "llama3-cpu.yaml")
    built = lab.run("create", "llama3-cpu", "--lock")
    assert built.code == 6, built.err
    shown = lab.run("report", "llama3-cpu", "-o", "shared.json")
    assert shown.code == 0, shown.err
    assert "llama3-cpu" not in lab.root.joinpath("shared.json").read_text(encoding="utf-8")


def test_report_names_what_it_needs(lab: Lab) -> None:
    """Without an environment, or with one that was never validated, `report` says what to do first."""
    shown = lab.run("report", "--json")
    assert (shown.code, shown.error["code"]) == (2, "usage.report_environment")
    lab.lock_tiny()
    lab.build_tiny()
    shown = lab.run("report", "--json")
    assert (shown.code, shown.error["code"]) == (7, "report.unvalidated")
    assert shown.error["hints"] == ["run `provision validate tiny`"]
