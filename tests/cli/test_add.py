"""`provision add`: profile, lockfile and environment change together or not at all."""

import os
import sys
import time
from pathlib import Path

import pytest

from tests.cli.lab import Lab
from tests.installing import list_tree
from tests.wheels import make_wheel


def state(lab: Lab) -> dict[str, object]:
    """Return what `add` may change: every byte of profiles, lockfiles and environments."""
    return {
        str(folder): list_tree(folder)
        for folder in (lab.envs, lab.lockfile.parent, lab.data / "environments")
        if folder.is_dir()
    }


@pytest.fixture
def grown(tmp_path: Path, built: Lab) -> Lab:
    """Return a lab of its own: `tiny` with comments, locked, built; more packages in the index."""
    lab = Lab(root=tmp_path, server=built.server)
    lab.copy_tiny(built)
    path = lab.envs / "tiny.yaml"
    path.write_text(path.read_text().replace("    - tinyapp\n", "    # why\n    - tinyapp  # mine\n"))
    assert lab.run("lock", "tiny").code == 0
    lab.build_tiny()
    if "simple/tinyextra/" not in lab.server.files:
        lab.offer("tinyextra", "1.0")
        offer_needing(lab, "tinygreedy", "torch==2.12.0")
        lab.offer("tinybroken", "1.0", files={"tinybroken/__init__.py": "raise ImportError('broken')\n"})
    return lab


def offer_needing(lab: Lab, name: str, requirement: str) -> None:
    """Put a wheel into the index that needs another."""
    from hashlib import sha256

    filename, data = make_wheel(name, "1.0", requires=(requirement,))
    lab.server.files[f"files/{filename}"] = data
    digest = sha256(data).hexdigest()
    lab.server.files[f"simple/{name}/"] = (
        f'<!doctype html>\n<a href="/ok/files/{filename}#sha256={digest}">{filename}</a>\n'.encode()
    )
    lab.server.types[f"simple/{name}/"] = "text/html"


def test_a_missing_gpu_is_told_before_anything_is_resolved(lab: Lab) -> None:
    """Nothing was changed yet, and the hints are of `add`: the CPU, or no environment."""
    assert lab.run("init", "mine", "--extends", "llama3-openvino").code == 0
    before, asked = state(lab), len(lab.server.requests)
    answer = lab.run("add", "mine", "tinyapp", "--json")
    assert (answer.code, answer.error["code"]) == (7, "gate.gpu")
    told = " ".join(answer.error["hints"])
    assert "`--device cpu`" in told
    assert "`--no-create`" in told
    assert "provision create" not in told
    assert len(lab.server.requests) == asked
    assert state(lab) == before


def test_a_package_is_added_and_taken_out_again(grown: Lab) -> None:
    """The profile gets one line, what was locked stays, the environment has the package; and back."""
    profile, lockfile = grown.envs / "tiny.yaml", grown.lockfile
    before = profile.read_text(), lockfile.read_bytes()
    answer = grown.run("add", "tiny", "tinyextra<2", "--no-validate", "--json")
    assert answer.code == 0, answer.err
    assert answer.data["kept"] is True
    assert profile.read_text() == before[0].replace("# mine\n", "# mine\n    - tinyextra<2\n")
    assert "tinyextra" in lockfile.read_text()
    python = grown.run("list", "--json").data["environments"][0]["python"]
    assert os.system(f"'{python}' -c 'import tinyextra'") == 0  # noqa: S605 # a path of the test's own
    again = grown.run("add", "tiny", "tinyextra<2", "--no-validate", "--json")
    assert again.data["environment"]["generation"] == answer.data["environment"]["generation"]
    gone = grown.run("add", "tiny", "--remove", "tinyextra", "--no-validate")
    assert gone.code == 0, gone.err
    assert (profile.read_text(), lockfile.read_bytes()) == before


def test_a_package_that_breaks_the_torch_variant_changes_nothing(grown: Lab) -> None:
    """What wants another build of torch than the profile's exits 3, and every byte is as it was."""
    before = state(grown)
    answer = grown.run("add", "tiny", "tinygreedy", "--no-validate", "--json")
    assert answer.code == 3, answer.out
    assert "torch" in answer.error["message"]
    assert "are as they were" in answer.err
    assert state(grown) == before


def test_a_failed_validation_changes_nothing(grown: Lab) -> None:
    """A package with which the environment does not validate is built, seen to fail, and put back: exit 6."""
    before = state(grown)
    answer = grown.run("add", "tiny", "tinyextra", "--json")
    assert answer.code == 6, answer.out  # the small torch of these tests cannot run a model
    assert answer.data["kept"] is False
    assert answer.data["environment"]["verdict"] == "failed"
    assert state(grown) == before


def test_the_first_environment_is_put_back_to_none(grown: Lab) -> None:
    """Where there was no environment before a failed validation, there is none after it."""
    assert grown.run("remove", "tiny").code == 0
    before = state(grown)
    assert grown.run("add", "tiny", "tinyextra").code == 6
    assert state(grown) == before


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("./here",), "usage.add_package"),
        (("tiny extra",), "usage.add_package"),
        (("--conda", "python=3.12"), "usage.add_package"),
        (("--remove", "tinynothing"), "usage.add_missing"),
        (("tinyapp==9",), "resolve.unsatisfiable"),
    ],
)
def test_what_cannot_be_done_changes_nothing(words: tuple[str, ...], code: str, grown: Lab) -> None:
    """A word that is no package, a package that is not there, a version that does not exist."""
    before = state(grown)
    answer = grown.run("add", "tiny", *words, "--no-validate", "--json")
    assert answer.error["code"] == code
    assert state(grown) == before


def test_a_builtin_profile_is_not_changed(grown: Lab) -> None:
    """What came with provision stays: the hint names the way to a profile of one's own."""
    answer = grown.run("add", "llama3-cpu", "tinyextra", "--json")
    assert answer.code == 2
    assert "provision init" in answer.error["hints"][0]


def test_only_the_lock_is_written_where_nothing_is_built(grown: Lab) -> None:
    """With `--no-create` profile and lockfile change, and no environment."""
    before = list_tree(grown.data / "environments")
    assert grown.run("add", "tiny", "tinyextra", "--no-create").code == 0
    assert grown.run("lock", "--check", "tiny").code == 0
    assert list_tree(grown.data / "environments") == before


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize("moment", ["edited", "locked", "switched"])
@pytest.mark.parametrize("verb", ["create", "add", "lock"])
def test_a_killed_change_is_put_back_by_the_next_verb(moment: str, verb: str, grown: Lab) -> None:
    """SIGKILL after the profile, the lockfile or the environment is written: the next verb puts all back."""
    before = state(grown)
    current = grown.data / "environments" / "tiny" / "current"
    watched = {"edited": grown.envs / "tiny.yaml", "locked": grown.lockfile, "switched": current}[moment]
    old = watched.read_bytes()
    with grown.start("add", "tiny", "tinyextra") as process:
        deadline = time.monotonic() + 60
        while watched.read_bytes() == old and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        process.kill()
        process.communicate()
    assert process.returncode == -9
    assert watched.read_bytes() != old
    if moment == "switched":  # a moment later than the kill can always hit: the launcher is half written
        (current.parent / "bin" / ".python.killed.provision-tmp").touch()
    words = {"create": ("--no-validate",), "add": ("tinynothing", "--no-validate"), "lock": ()}[verb]
    answer = grown.run(verb, "tiny", *words)
    assert "was killed" in answer.err
    assert answer.code == (3 if verb == "add" else 0), answer.err
    assert grown.run("create", "tiny", "--no-validate").code == 0
    after = state(grown)
    locks = {path for path in after[str(grown.data / "environments")] if "provision-tmp" in path}  # type: ignore[attr-defined] # a dictionary
    assert not locks
    assert after == before
    assert not list((grown.data / "undo").glob("*.json"))


def test_what_a_user_changed_after_a_killed_change_stays(grown: Lab) -> None:
    """Who edits the profile after a killed `add` keeps that; nothing is put back over it."""
    path = grown.envs / "tiny.yaml"
    old = path.read_bytes()
    with grown.start("add", "tiny", "tinyextra") as process:
        deadline = time.monotonic() + 60
        while path.read_bytes() == old and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        process.kill()
        process.communicate()
    mine = old + b"# mine\n"
    path.write_bytes(mine)
    assert grown.run("lock", "tiny").code == 0
    assert path.read_bytes() == mine
