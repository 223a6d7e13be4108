"""`rollback` and `list --generations`: what worked before is there, and comes back as it was."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.cli.lab import Lab
from tests.cli.test_verify import picture, prefix_of
from tests.loopback import serve


@pytest.fixture(scope="module")
def built_twice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with two generations: `tinyapp` 1.0, which failed its validation, and 2.0."""
    with serve() as server:
        lab = Lab(root=tmp_path_factory.mktemp("twice"), server=server)
        _build_twice(lab)
        yield lab


@pytest.fixture
def twice(built_twice: Lab) -> Lab:
    """The same lab, with its second generation current."""
    assert built_twice.run("rollback", "tiny", "--to", "2").code == 0
    return built_twice


def _build_twice(lab: Lab) -> None:
    lab.offer("tinyapp", "2.0")
    lab.lock_tiny(changes={"- tinyapp": "- tinyapp==1.0"})
    lab.build_tiny()
    assert lab.run("validate", "tiny").code == 6
    lab.write_profile(changes={"- tinyapp": "- tinyapp==2.0"})
    assert lab.run("lock", "tiny").code == 0
    lab.build_tiny()


def version(lab: Lab) -> str:
    code = "import tinyapp; print(tinyapp.VERSION)"
    return lab.spawn("run", "tiny", "--", "python", "-c", code).out.strip()


def test_rollback_and_forward_again_change_no_file(twice: Lab) -> None:
    """The generation before is current, with its verdict and date; `--to` and `create` go forward again."""
    new = prefix_of(twice)
    assert version(twice) == "2.0"
    back = twice.run("rollback", "tiny", "--json").data
    old = prefix_of(twice)
    assert (back["generation"], back["prefix"], back["verdict"]) == (1, str(old), "failed")
    assert back["validated_at"].startswith("20")
    assert version(twice) == "1.0"
    assert (old.parents[1] / "env").resolve() == old
    before = {prefix: picture(prefix) for prefix in (old, new)}
    forward = twice.run("rollback", "--to", "2")
    assert forward.code == 0
    assert "tiny: generation 2 of 20" in forward.out
    assert "not validated" in forward.out
    assert prefix_of(twice) == new
    assert "failed on cpu" in twice.run("rollback").out
    assert twice.run("create", "tiny", "--no-validate", "--json").data["generation"] == 2
    assert {prefix: picture(prefix) for prefix in (old, new)} == before
    assert twice.run("verify").code == 0


def test_list_tells_generations_and_what_their_locks_changed(twice: Lab) -> None:
    """Oldest first, each with its verdict; the second names the package that its lock changed."""
    (environment,) = twice.run("list", "--generations", "--json").data["environments"]
    first, second = environment["generations"]
    assert [(row["generation"], row["verdict"], row["current"]) for row in (first, second)] == [
        (1, "failed", False),
        (2, "unvalidated", True),
    ]
    assert first["changes"] is None
    (platform,) = second["changes"]["platforms"]
    assert [(row["name"], row["old"], row["new"]) for row in platform["changes"]] == [
        ("tinyapp", "1.0", "2.0")
    ]
    shown = twice.run("list", "--generations").out
    assert "  * 2  built 20" in shown
    assert "~ tinyapp 1.0 -> 2.0 (pip, pypi)" in shown
    assert "generations" not in twice.run("list", "--json").data["environments"][0]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_environment_of_somebody_else_is_not_built_anew(twice: Lab) -> None:
    """Where the right to read is missing, that is what the hint is about."""
    pointer = twice.data / "environments" / "tiny" / "current"
    pointer.chmod(0)
    shown = twice.run("verify", "tiny", "--json")
    pointer.chmod(0o600)
    assert (shown.code, shown.error["code"]) == (5, "install.receipt")
    assert f"give yourself the right to read `{pointer}`" in shown.error["hints"][0]


def test_rollback_says_what_is_not_there(twice: Lab, lab: Lab) -> None:
    """No older generation, no such number, no such environment, none at all: exit 2, and nothing changed."""
    assert twice.run("rollback", "tiny", "--to", "1").code == 0
    now = prefix_of(twice)
    for words in (("tiny",), ("tiny", "--to", "7")):
        shown = twice.run("rollback", "--json", *words)
        assert (shown.code, shown.error["code"]) == (2, "usage.no_generation")
        assert "there are 1, 2" in shown.error["message"]
    assert lab.run("rollback", "nope", "--json").error["code"] == "usage.no_environment"
    assert "; there is `tiny`" in twice.run("run", "nope", "true").err
    assert "; there is `tiny`" in twice.run("remove", "nope").err
    assert not (lab.data / "locks" / "nope.lock").exists()
    assert prefix_of(twice) == now
    python = now / "bin" / "python"
    target = python.readlink()
    python.unlink()
    assert twice.run("rollback", "--to", "2").code == 0
    shown = twice.run("rollback", "--json")
    assert (shown.code, shown.error["code"]) == (5, "install.no_python")
    assert prefix_of(twice) != now
    python.symlink_to(target)


def test_rollback_leaves_running_programs_their_generation(twice: Lab) -> None:
    """A program goes on with the generation that it started in, and `clean` keeps that one."""
    used = prefix_of(twice)
    code = "import sys; print('ready', flush=True); sys.stdin.read(); import tinyapp; print(tinyapp.VERSION)"
    words = ("run", "tiny", "--", "python", "-c", code)
    with twice.start(*words, stdin=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdin is not None
        assert program.stdout.readline() == b"ready\n"
        assert twice.run("rollback").code == 0
        assert twice.run("clean", "--json").data["removed"] == []
        program.stdin.close()
        assert program.stdout.read() == b"2.0\n"
    assert used.is_dir()
    assert version(twice) == "1.0"
