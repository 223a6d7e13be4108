"""`create` where nothing, or another thing, is to do than the first time."""

import json
import shutil
from pathlib import Path

import pytest

from provisioner.install.generations import EnvironmentHome, find_environment
from provisioner.install.receipt import OTHER_REPORT_NAME
from provisioner.profile.load import load_profile
from provisioner.validate.model import Report, Verdict, digest_validation
from tests.cli.lab import Lab


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


@pytest.mark.parametrize("words", [("create", "tiny"), ("add", "tiny", "x"), ("validate", "tiny")])
def test_a_device_that_is_none_is_refused_before_the_build(words: tuple[str, ...], lab: Lab) -> None:
    """The error says which names there are; nothing was built or fetched."""
    answer = lab.run(*words, "--device", "gpu", "--json")
    assert answer.code == 2
    assert "`gpu` is no device name; there are `cpu`, `xpu`" in answer.error["message"]
    assert not lab.data.exists()


def test_create_with_nothing_to_do_is_quiet(built: Lab) -> None:
    """The second run touches nothing and prints no progress; `scripts/bench` measures how long it takes."""
    before = built.tree()
    shown = built.spawn("create", "tiny", "--no-validate")
    assert (shown.code, shown.err) == (0, "")
    assert built.tree() == before


def test_an_environment_of_another_folders_profile_is_not_replaced_in_silence(tiny: Lab) -> None:
    """Its path is told before anything is built; what it was stays for `rollback`."""
    prefix = tiny.build_tiny()
    second = tiny.root / "second"
    shutil.copytree(tiny.envs, second / "envs")
    shutil.copytree(tiny.lockfile.parent, second / "lockfiles")
    words = ("create", "tiny", "--lock", "--no-validate")
    assert tiny.spawn(*words, cwd=second).err == ""  # a copy that says the same replaces nothing
    append(second / "envs" / "tiny.yaml", "env: {FLAVOUR: second}\n")
    told = f"the environment `tiny` is of another profile, `{tiny.envs / 'tiny.yaml'}`, and is replaced"
    for more in (("--dry-run",), ()):
        shown = tiny.spawn("create", "tiny", "--no-validate", *more, cwd=second)
        assert shown.code == 0, shown.err
        assert f"warning: {told}" in shown.err
    assert shown.err.index(told) < shown.err.index("install: ")
    assert tiny.run("rollback", "tiny").code == 0
    assert str(prefix) in tiny.run("list", "--json").out


def test_a_profile_that_has_moved_replaces_its_own_environment(tiny: Lab) -> None:
    """A checkout at another path, and a profile that has changed, are the same profile."""
    tiny.build_tiny()
    append(tiny.envs / "tiny.yaml", "env: {FLAVOUR: first}\n")
    assert "another profile" not in tiny.spawn("create", "tiny", "--no-validate").err
    moved = tiny.root / "moved"
    moved.mkdir()
    tiny.envs.rename(moved / "envs")
    tiny.lockfile.parent.rename(moved / "lockfiles")
    text = (moved / "envs" / "tiny.yaml").read_text().replace("FLAVOUR: first", "FLAVOUR: second")
    (moved / "envs" / "tiny.yaml").write_text(text)
    shown = tiny.spawn("create", "tiny", "--no-validate", cwd=moved)
    assert shown.code == 0, shown.err
    assert "install: " in shown.err
    assert "another profile" not in shown.err


def test_what_passed_on_the_device_that_is_asked_for_is_not_proven_again(lab: Lab) -> None:
    """A second `create --device cpu` of a profile for a GPU does nothing; without it the GPU is meant."""
    version = {"device: cpu": "device: xpu", "torch: cpu": "torch: xpu", "2.13.0+cpu": "2.13.0+xpu"}
    lab.offer("torch", "2.13.0+xpu", index="torch")
    lab.offer("tinyapp", "1.0")
    lab.write_profile(changes=version)
    assert lab.run("create", "tiny", "--lock", "--device", "cpu", "--no-validate").code == 0
    generation = find_environment(EnvironmentHome(data=lab.data), "tiny")
    assert generation is not None
    report = Report(
        verdict=Verdict.PASSED,
        device={"asked": "cpu", "name": "A processor"},
        environment="tiny",
        lock_fingerprint=generation.receipt.fingerprint,
        asked=digest_validation(load_profile("tiny", folders=[lab.envs])),
        created_at="2026-01-02T03:04:05+00:00",
    )
    (generation.prefix / OTHER_REPORT_NAME).write_text(json.dumps(report.as_json()), encoding="utf-8")
    before = lab.tree()
    again = lab.run("create", "tiny", "--device", "cpu")
    assert (again.code, again.err) == (0, "")
    assert again.out.startswith("tiny: up to date, passed on cpu (A processor) at 2026-01-02")
    assert lab.tree() == before
    words = ("create", "tiny", "--no-gate", "--no-validate")
    other = lab.run(*words).out
    assert other.startswith("tiny: built, not validated on xpu; passed on cpu (A processor) at 2026-01-02")
    assert lab.run(*words, "--json").data["verdict"] == "unvalidated"


def test_a_model_that_is_not_there_is_told_before_a_byte(lab: Lab) -> None:
    """The profile's own model is proven after the build, so its path is looked at before."""
    lab.lock_tiny(changes={"family: llama3\n": "validation: {model: models/mine}\n"})
    shown = lab.run("create", "tiny", "--json")
    assert (shown.code, shown.error["code"]) == (2, "usage.no_model")
    assert shown.error["message"].endswith("there is no folder or file `models/mine` for validation")
    assert not (lab.data / "environments").exists()
    assert lab.run("create", "tiny", "--no-validate").code == 0


def test_create_under_another_name(tiny: Lab) -> None:
    """One profile can have several environments."""
    assert (
        tiny.run("create", "tiny", "--no-validate", "--name", "second", "--json").data["environment"]
        == "second"
    )
    assert [row["name"] for row in tiny.run("list", "--json").data["environments"]] == ["second"]


def test_dry_run_tells_and_makes_nothing(tiny: Lab) -> None:
    """What would be fetched and from where, and what the disk has; afterwards nothing is there."""
    shown = tiny.run("create", "tiny", "--dry-run", "--json").data
    assert {row["from"] for row in shown["fetch"]} == {"pypi", "pytorch-cpu"}
    assert len(shown["fetch"]) == shown["packages"]["wheel"] == 2
    assert shown["free_bytes"] > shown["disk_bytes"]
    assert not tiny.data.exists()
    tiny.build_tiny()
    told = "tiny: up to date, nothing would be built"
    assert tiny.run("create", "tiny", "--dry-run", "--no-validate").out == f"{told}\n"
    assert tiny.run("create", "tiny", "--dry-run").out == f"{told}, it would be validated on cpu\n"
    again = tiny.run("create", "tiny", "--dry-run", "--rebuild", "--json").data
    assert (again["fetch"], again["up_to_date"]) == ([], False)
    assert again["stored_bytes"] == sum(path.stat().st_size for path in tiny.data.rglob("*.whl"))


def test_dry_run_tells_edited_files(tiny: Lab) -> None:
    """What `create` would warn of before it validates again is told, and nothing is called up to date."""
    generation = tiny.build_tiny()
    (module,) = generation.rglob("tinyapp.py")
    module.write_text("broken(", encoding="utf-8")
    shown = tiny.run("create", "tiny", "--dry-run", "--no-validate")
    assert shown.code == 0
    assert shown.out == "tiny: 1 file changed since it was built, nothing would be built\n"
    assert "tinyapp.py" in shown.err
    assert "`provision repair tiny` puts its files back" in shown.err
    data = tiny.run("create", "tiny", "--dry-run", "--json").data
    assert data["changed"] == [module.relative_to(generation).as_posix()]
    assert data["validate"] == "cpu"


def test_dry_run_locks_nothing(lab: Lab) -> None:
    """With `--lock` a missing lockfile stays missing, and the hint is no circle."""
    lab.write_profile("tiny")
    shown = lab.run("create", "tiny", "--lock", "--dry-run", "--json")
    assert (shown.code, shown.error["code"]) == (4, "lock.missing")
    assert shown.error["hints"] == ["run `provision lock tiny` before: `--dry-run` resolves nothing"]


def test_dry_run_tells_what_the_lock_changes(lab: Lab) -> None:
    """Before the first build every package is new, afterwards only what another lock moves is told."""
    lab.offer("tinyapp", "1.1")
    lab.lock_tiny(changes={"- tinyapp": "- tinyapp==1.0"})
    first = lab.run("create", "tiny", "--dry-run", "--json").data["changes"]
    assert {change["kind"] for change in first["platforms"][0]["changes"]} == {"added"}
    lab.build_tiny()
    assert lab.run("create", "tiny", "--dry-run", "--json").data["changes"]["platforms"] == []
    lab.write_profile(changes={"- tinyapp": "- tinyapp==1.1"})
    assert lab.run("lock", "tiny").code == 0
    told = lab.run("create", "tiny", "--dry-run", "--json").data["changes"]
    (change,) = told["platforms"][0]["changes"]
    assert (change["name"], change["old"], change["new"]) == ("tinyapp", "1.0", "1.1")
    assert change["name"] in told["text"]
    assert "~ tinyapp 1.0 -> 1.1" in lab.run("create", "tiny", "--dry-run").out


def test_bytecode_is_no_change(tiny: Lab) -> None:
    """What Python writes when a module is first imported is not taken for tampering."""
    tiny.build_tiny()
    assert tiny.spawn("run", "tiny", "--", "python", "-c", "import tinyapp, torch; print(1)").out == "1\n"
    assert tiny.run("create", "tiny", "--no-validate").err == ""


def test_create_and_list_say_where_a_profile_is_proven(lab: Lab) -> None:
    """Where a profile passed stands in its line of `list`; `create` tells it before it builds."""
    listed = {row["name"]: row for row in lab.run("list", "--json").data["profiles"]}
    row = listed["llama3-torch-cpu"]
    assert row["proof"].startswith("proven on ")
    assert {"card", "driver", "verdict", "date", "figures"} <= set(row["evidence"][0])
    (line,) = [line for line in lab.run("list").out.splitlines() if line.startswith("  llama3-torch-cpu ")]
    assert row["evidence"][-1]["card"] in line
    assert row["proof"] in lab.run("show", "llama3-torch-cpu").out
    lab.lock_tiny()
    # the name of a profile with evidence; the fingerprint tells that it was another lock
    for folder, end in ((lab.envs, "yaml"), (lab.lockfile.parent, "conda-lock.yml")):
        text = (folder / f"tiny.{end}").read_text(encoding="utf-8")
        (folder / f"llama3-torch-cpu.{end}").write_text(text.replace("name: tiny", "name: llama3-torch-cpu"))
    shown = lab.run("create", "llama3-torch-cpu", "--lock", "--no-validate")
    assert shown.code == 0, shown.err
    assert "reports on `llama3-torch-cpu`: proven on AMD EPYC (2026-11-26, with another lock)" in shown.err
    again = lab.run("create", "llama3-torch-cpu", "--no-validate")
    assert "proven on" not in again.err
