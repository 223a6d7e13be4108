"""`bisect` finds the package change that broke what worked, with few builds, and touches no environment."""

import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.lab import Lab
from tests.index_server import PackageIndex
from tests.loopback import serve
from tests.repositories import git

COUNT = 20
NAMES = [f"part{number:02}" for number in range(COUNT)]
_ONE = "import sys, part07; sys.exit(part07.VERSION == '2.0')"
_PAIR = "import sys, part03, part11; sys.exit(part03.VERSION == part11.VERSION == '2.0')"


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with lockfiles `good.yml` and `bad.yml` that differ in twenty wheels; the first is built."""
    with serve() as server:
        lab = Lab(root=tmp_path_factory.mktemp("changed"), server=server)
        lab.offer("torch", "2.13.0+cpu", index="torch")
        for version in ("1.0", "2.0"):
            for name in NAMES:
                lab.offer(name, version)
        for version, file in (("2.0", "bad.yml"), ("1.0", "good.yml")):
            wanted = "\n".join(f"    - {name}=={version}" for name in NAMES)
            lab.write_profile(changes={"    - tinyapp": wanted})
            locked = lab.run("lock", "tiny")
            assert locked.code == 0, locked.err
            shutil.copy(lab.lockfile, lab.root / file)
        lab.build_tiny()
        yield lab


def environments(lab: Lab) -> dict[str, object]:
    """Return every path of the environments with what tells a change."""
    root = lab.data / "environments"
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_ino) for path in root.rglob("*")}


def words(code: str, *options: str) -> tuple[str, ...]:
    return ("bisect", "good.yml", "bad.yml", *options, "--", "python", "-c", code)


def test_one_fault_among_twenty_changed_wheels(changed: Lab) -> None:
    """It is named as a lock diff with the pin that helps, after log2(20) + 3 builds at most."""
    before = environments(changed)
    found = changed.run(*words(_ONE, "--json"))
    assert found.code == 0, found.err
    assert (found.data["changes"], found.data["groups"]) == (COUNT, COUNT)
    (platform,) = found.data["culprit"]["platforms"]
    assert [(row["name"], row["old"], row["new"]) for row in platform["changes"]] == [
        ("part07", "1.0", "2.0")
    ]
    assert found.data["pins"] == [{"manager": "pip", "requirement": "part07==1.0"}]
    assert found.data["builds"] <= math.log2(COUNT) + 3
    assert environments(changed) == before
    assert not [path for path in (changed.data / "cache" / "bisect").iterdir() if path.is_dir()]
    again = changed.run(*words(_ONE))
    assert f"(0 builds, {found.data['builds']} judged earlier)" in again.out
    assert "~ part07 1.0 -> 2.0 (pip, pypi)" in again.out
    assert "      - part07==1.0\n" in again.out


@pytest.mark.slow
def test_two_that_fail_only_together(changed: Lab) -> None:
    """Both are named, and neither of the other eighteen."""
    found = changed.run(*words(_PAIR, "--json")).data
    (platform,) = found["culprit"]["platforms"]
    assert [row["name"] for row in platform["changes"]] == ["part03", "part11"]
    assert found["builds"] <= 2 * (math.log2(COUNT) + 3)


def _count_judged(notes: Path) -> int:
    return len(json.loads(notes.read_text(encoding="utf-8"))["judged"])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_bisection_goes_on_where_it_was(changed: Lab) -> None:
    """What was judged is not built again, and what the killed one left is deleted."""
    code = f"# again\n{_ONE}"
    notes = changed.data / "cache" / "bisect"
    known = set(notes.glob("*.json"))
    with changed.start(*words(code), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not any(_count_judged(path) >= 3 for path in set(notes.glob("*.json")) - known):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    found = changed.run(*words(code, "--json")).data
    assert found["earlier_builds"] >= 3
    assert found["builds"] + found["earlier_builds"] <= math.log2(COUNT) + 3
    assert found["pins"] == [{"manager": "pip", "requirement": "part07==1.0"}]
    assert not [path for path in notes.iterdir() if path.is_dir()]


@pytest.mark.slow
def test_ends_that_are_not_good_and_bad_are_told(changed: Lab) -> None:
    """The same packages, both good, both bad, no such program, no profile: exit 2, with what was seen."""
    for arguments, code in (
        (("bisect", "good.yml", "good.yml"), "usage.bisect_equal"),
        (words("pass"), "usage.bisect_not_bad"),
        (words("raise SystemExit('broken here')"), "usage.bisect_not_good"),
        (("bisect", "good.yml", "bad.yml", "--", "no-such-program"), "usage.no_program"),
        (("bisect", "HEAD", "2026-01-01"), "usage.bisect_profile"),
        (("bisect", "good.yml", "nowhere.yml"), "usage.revision"),
    ):
        shown = changed.run(arguments[0], "--json", *arguments[1:])
        assert (shown.code, shown.error["code"]) == (2, code), shown.out
    assert "broken here" in changed.run(*words("raise SystemExit('broken here')")).err


@pytest.mark.slow
def test_git_revisions_and_verdicts(lab: Lab) -> None:
    """A revision stands for its lockfile of the profile, and without a command the validation judges."""
    lab.offer("tinyapp", "2.0", files={"tinyapp.py": "raise ImportError('broken')\n"})
    lab.lock_tiny(changes={"- tinyapp": "- tinyapp==1.0"})
    for command in (["init", "-q"], ["add", "lockfiles"], ["commit", "-q", "-m", "lock"]):
        git(lab.root, *command, environ=lab.child_environ)
    lab.write_profile(changes={"- tinyapp": "- tinyapp==2.0"})
    assert lab.run("lock", "tiny").code == 0
    code = ("--", "python", "-c", "import tinyapp")
    found = lab.run("bisect", "HEAD", str(lab.lockfile), "--json", *code)
    assert found.data["pins"] == [{"manager": "pip", "requirement": "tinyapp==1.0"}]
    assert found.data["builds"] == 2
    judged = lab.run("bisect", "HEAD", str(lab.lockfile), "--json")
    assert judged.error["code"] == "usage.bisect_not_good"
    assert "it failed at" in judged.error["message"]


def test_dates(lab: Lab) -> None:
    """A date stands for what the profile resolves to as of that day; the lockfile stays as it is."""
    lab.lock_tiny()
    locked = lab.lockfile.read_bytes()
    shutil.rmtree(lab.data / "cache")  # the page that says no times
    index = PackageIndex(server=lab.server, name="simple")
    index.add("tinyapp", "1.0", uploaded="2024-05-01T12:00:00Z")
    index.add("tinyapp", "2.0", uploaded="2024-06-01T12:00:00Z")
    code = "import sys; from importlib.metadata import version; sys.exit(version('tinyapp') == '2.0')"
    options = ("--profile", "tiny", "--json", "--", "python", "-c", code)
    found = lab.run("bisect", "2024-05-31", "2024-06-01", *options)
    assert found.code == 0, found.err
    assert found.data["pins"] == [{"manager": "pip", "requirement": "tinyapp==1.0"}]
    equal = lab.run("bisect", "2024-05-30", "2024-05-31", *options)
    assert (equal.code, equal.error["code"]) == (2, "usage.bisect_equal")
    assert lab.run("bisect", "2024-04-30", "2024-06-01", *options).code == 3
    assert lab.lockfile.read_bytes() == locked
