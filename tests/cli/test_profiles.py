"""`list`, `show` and what a profile is worth before anything is built."""

import os
import sys
from pathlib import Path

import pytest

from tests.cli.lab import Lab


def test_list_shows_profiles_and_environments(built: Lab) -> None:
    """One row for each profile and environment, in words and as data."""
    rows = built.run("list", "--json").data
    (environment,) = rows["environments"]
    assert (environment["name"], environment["profile"], environment["verdict"]) == (
        "tiny",
        "tiny",
        "unvalidated",
    )
    assert {"tiny", "llama3-cpu"} <= {row["name"] for row in rows["profiles"]}
    shown = built.run("list").out
    assert environment["bytes"] > 0
    assert shown.startswith("environments:\n")
    table = [line.split() for line in shown.splitlines()[1:] if line]
    assert table[0] == ["NAME", "VERDICT", "DISK", "DOWNLOADS", "ITS", "ALONE", "AT", "(UTC),", "ON"]
    assert table[1][:2] == ["tiny", "unvalidated"]
    lines = {line.split()[0]: line.split() for line in shown.partition("profiles:")[2].splitlines() if line}
    assert lines["tiny"][1:] == ["cpu", "supported", "-", "A", "small", "environment", "for", "tests"]
    assert lines["llama3-cpu"][3:5] == ["AMD", "EPYC"]


def test_list_without_environments_says_what_to_do(lab: Lab) -> None:
    """An empty machine is no error, and nothing is created by looking."""
    shown = lab.run("list")
    assert shown.code == 0
    assert "environments: none; `provision create PROFILE` builds one" in shown.out
    assert not lab.data.exists()


def test_list_shows_a_broken_profile_beside_the_others(lab: Lab) -> None:
    """One broken file does not hide the rest, and is told as broken."""
    lab.write_profile()
    lab.envs.joinpath("broken.yaml").write_text("device: [", encoding="utf-8")
    rows = {row["name"]: row for row in lab.run("list", "--json").data["profiles"]}
    assert rows["tiny"]["error"] is None
    assert "envs/broken.yaml:" in rows["broken"]["error"]
    (line,) = [line for line in lab.run("list").out.splitlines() if line.startswith("  broken ")]
    assert line.split()[1:3] == ["broken", "envs/broken.yaml:2:1:"]


def test_list_tells_what_is_archived_and_the_stacks(lab: Lab) -> None:
    """The life of the stack under a profile is on its line; stacks only where they are asked for."""
    shown = lab.run("list").out
    (line,) = [line for line in shown.splitlines() if line.startswith("  llama3-cpu ")]
    assert line.split()[:3] == ["llama3-cpu", "cpu", "archived"]
    assert "ipex-llm-cpu" not in {row["name"] for row in lab.run("list", "--json").data["profiles"]}
    stacks = [row for row in lab.run("list", "--stacks", "--json").data["profiles"] if row["stack"]]
    assert {"ipex-llm-cpu", "torch-xpu"} <= {row["name"] for row in stacks}


def test_show_names_the_place_of_every_value(lab: Lab) -> None:
    """What comes from a stack is told with the stack's file and line, its folder once for all of them."""
    shown = lab.run("show", "llama3-cpu")
    assert shown.code == 0
    folder = Path(lab.run("show", "llama3-cpu", "--json").data["file"]).parent
    assert shown.out.count(str(folder)) == 1
    assert f"…/envs/ is {folder}\n" in shown.out
    lines = {line.split()[0]: line for line in shown.out.splitlines()}
    assert lines["family"].endswith("envs/llama3-cpu.yaml:3:9")
    assert "envs/ipex-llm-cpu.yaml:" in lines["python"]
    assert lab.run("show", "llama3-cpu", "--json").data["python"] == "3.11"


def test_a_profile_of_the_working_folder_wins_over_a_built_in_one(lab: Lab) -> None:
    """PROFILE is looked for in `--envs`, then `./envs`, then the user's, then the built-in ones."""
    lab.write_profile("llama3-cpu")
    assert lab.run("show", "llama3-cpu", "--json").data["description"] == "A small environment for tests"
    other = lab.root / "other"
    other.mkdir()
    text = lab.envs.joinpath("llama3-cpu.yaml").read_text(encoding="utf-8")
    other.joinpath("llama3-cpu.yaml").write_text(text.replace("A small", "Another"), encoding="utf-8")
    shown = lab.run("show", "llama3-cpu", "--json", "--envs", "other")
    assert shown.data["description"] == "Another environment for tests"


def test_the_configuration_names_folders(lab: Lab) -> None:
    """`provision.yaml` says what flags and variables may say; they win."""
    other = lab.root / "mine"
    lab.envs.rename(other)
    lab.envs.mkdir()
    lab.root.joinpath("provision.yaml").write_text("envs: mine\ndata_dir: there\n", encoding="utf-8")
    other.joinpath("tiny.yaml").write_text(lab.write_profile().read_text(encoding="utf-8"), encoding="utf-8")
    (row,) = [row for row in lab.run("list", "--json").data["profiles"] if row["name"] == "tiny"]
    assert row["file"] == "mine/tiny.yaml"
    del lab.environ["PROVISION_DATA_DIR"]
    facts = lab.run("doctor", "--layer", "disk", "--json").data["layers"][0]["evidence"]
    assert "there" in facts


@pytest.mark.parametrize("name", ["llama3-cpu", "llama3-arc", "llama3-xpu"])
def test_committed_lockfiles_are_found_and_fresh(name: str, lab: Lab) -> None:
    """A built-in profile's lockfile is found from any folder and answers it, without a network."""
    shown = lab.run("lock", "--check", name, "--json", "--offline")
    assert shown.code == 0
    assert shown.data["profiles"][0]["fresh"]
    assert lab.server.requests == []


def test_a_closed_configuration_folder_is_told(lab: Lab) -> None:
    """A configuration that the system keeps from us is exit 2 with its path, not our bug."""
    folder = lab.home / ".config" / "provision"
    folder.parent.mkdir()
    folder.symlink_to(folder)  # root may read every folder, and follow no link to itself
    shown = lab.run("list", "--json")
    assert (shown.code, shown.error["code"]) == (2, "config.unreadable")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_pipe_in_the_configurations_place_is_refused(lab: Lab) -> None:
    """Only a regular file is read; a pipe would wait for its writer for ever."""
    if sys.platform != "win32":
        os.mkfifo(lab.root / "provision.yaml")
    shown = lab.spawn("list", "--json")
    assert (shown.code, shown.error["code"]) == (2, "config.unreadable")
