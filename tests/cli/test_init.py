"""`provision init` begins a folder: the profile fits the machine, and other verbs need no name in it."""

import json
from pathlib import Path

import pytest

from tests.cli.lab import REPOSITORY, Lab

HOSTS = REPOSITORY / "tests" / "data" / "hosts"


@pytest.mark.parametrize(
    ("host", "extends", "said"),
    [
        ("linux-arc-a770-healthy", "llama3-xpu", "Arc A770 (Alchemist), driver i915"),
        ("windows-arc-a770-old-driver", "llama3-xpu", "driver 31.0.101.4952"),
        ("linux-arc-b580-old-kernel", "llama3-torch-cpu", "the B-series needs kernel 6.11 or newer"),
        ("linux-uhd-only", "llama3-torch-cpu", "no supported Intel GPU"),
    ],
)
def test_the_profile_is_for_the_card_that_is_here(host: str, extends: str, said: str, lab: Lab) -> None:
    """The profile builds on the first stack that nothing known stops on the card, and says why."""
    answer = lab.run("init", "mine", "--facts", str(HOSTS / f"{host}.json"), "--json")
    assert answer.code == 0, answer.err
    assert answer.data["files"] == ["envs/mine.yaml", "provision.yaml", ".gitignore"]
    text = (lab.root / "envs" / "mine.yaml").read_text()
    assert f"\nextends: {extends}\n" in text
    assert said in " ".join(text.replace("\n#", " ").split())
    shown = lab.run("show", "mine", "--json")
    assert shown.code == 0, shown.err


@pytest.mark.parametrize(
    ("folder", "name"),
    [("Büro Straße", "buro-strasse"), ("Ōsaka 大阪 2", "osaka-2"), ("naïve.app", "naive.app")],
)
def test_a_folder_with_letters_of_any_language_gives_a_name(folder: str, name: str, lab: Lab) -> None:
    """Marks fall off letters, and the description says the folder's name as people write it."""
    place = lab.root / folder
    place.mkdir()
    with lab.start("init", "--extends", "llama3-torch-cpu", "--json", cwd=place) as process:
        out, _ = process.communicate(timeout=60)
    assert json.loads(out)["data"]["profile"] == name
    text = (place / "envs" / f"{name}.yaml").read_text(encoding="utf-8")
    assert f"description: 'What the folder {folder} needs'\n" in text
    shown = lab.run("show", name, "--envs", str(place / "envs"), "--json")
    assert shown.data["description"] == f"What the folder {folder} needs"


def test_a_name_that_means_something_already_is_told(lab: Lab) -> None:
    """An environment of another folder would be replaced; a built-in profile stands behind the new one."""
    assert lab.run("init", "mine", "--json").data["notes"] == []
    (lab.data / "environments" / "llama3-arc").mkdir(parents=True)
    for path in (lab.root / "provision.yaml", lab.envs / "mine.yaml"):
        path.unlink()
    shown = lab.run("init", "llama3-arc", "--extends", "llama3-torch-cpu")
    assert shown.code == 0
    assert "note: an environment `llama3-arc` is there already" in shown.out
    assert "elsewhere the one that came with provision" in shown.out


@pytest.mark.parametrize(("extends", "device"), [("llama3-xpu", "cpu"), ("llama3-torch-cpu", None)])
def test_the_next_command_works_on_this_machine(extends: str, device: str | None, lab: Lab) -> None:
    """Without a GPU, `create` of a profile for one wants `--device cpu`, and `init` says so."""
    answer = lab.run("init", "mine", "--extends", extends, "--json")
    assert answer.data["device"] == device
    for path in (lab.root / "provision.yaml", lab.envs / "mine.yaml"):
        path.unlink()
    shown = lab.run("init", "mine", "--extends", extends).out.splitlines()[-1]
    assert shown.startswith("  next: provision create --lock" + (" --device cpu " if device else ""))


def test_verbs_without_a_name_mean_the_folders_profile(lab: Lab) -> None:
    """`lock --check`, `create` and `run --` take the name that `init` wrote."""
    assert lab.run("run", "--", "true", "--json").err.startswith("error: no name was given")
    assert lab.run("init", "mine").code == 0
    assert "mine.conda-lock.yml" in lab.run("lock", "--check").err
    assert "mine.conda-lock.yml" in lab.run("create").err
    assert "there is no environment `mine`" in lab.run("run", "--", "python", "-c", "0").err
    assert "there is no environment `other`" in lab.run("run", "other", "--", "python").err


def test_the_folders_environment_runs(tiny: Lab) -> None:
    """In a folder whose profile is built, `create` has nothing to do and `run -- PROGRAM` runs in it."""
    (tiny.root / "provision.yaml").write_text("profile: tiny\n")
    assert tiny.run("create", "--no-validate").code == 0
    shown = tiny.spawn("run", "--", "python", "-c", "import tinyapp; print('inside')")
    assert (shown.code, shown.out) == (0, "inside\n"), shown.err


@pytest.mark.parametrize("verb", ["validate", "repair", "show", "rollback", "doctor", "verify"])
def test_every_verb_that_destroys_nothing_knows_the_folders_profile(verb: str, lab: Lab) -> None:
    """Without a name, a verb answers as with the folder's, and not of whatever else is there."""
    for name in ("mine", "other"):
        lab.write_profile(name)
        (lab.data / "environments" / name).mkdir(parents=True)
    layer = ("--layer", "gpu") if verb == "doctor" else ()
    before = lab.run(verb, *layer)
    (lab.root / "provision.yaml").write_text("profile: mine\n")
    without = lab.run(verb, *layer)
    assert without == lab.run(verb, "mine", *layer)
    assert without != before


def test_remove_and_add_want_their_names(lab: Lab) -> None:
    """`remove` takes no folder's environment; `add` with one word says which other it needs."""
    (lab.root / "provision.yaml").write_text("profile: mine\n")
    lab.write_profile("mine")
    assert lab.run("remove").code == 2
    answer = lab.run("add", "cowsay", "--json")
    assert answer.error["hints"] == ["in this folder: `provision add mine cowsay`"]
    assert lab.run("add", "mine", "--json").error["hints"] == ["run `provision add mine PACKAGE`"]


def test_verify_all_leaves_none_out(tiny: Lab) -> None:
    """In a folder with a profile of its own, `verify --all` compares every environment."""
    (tiny.root / "provision.yaml").write_text("profile: mine\n")
    tiny.write_profile("mine")
    tiny.build_tiny()
    assert tiny.run("verify", "--json").code == 2
    found = tiny.run("verify", "--all", "--json").data["environments"]
    assert [each["environment"] for each in found] == ["tiny"]
    assert tiny.run("verify", "tiny", "--all", "--json").error["code"] == "usage.verify_what"


def test_nothing_that_is_there_is_written_over(lab: Lab) -> None:
    """A second `init` is refused, and every file stays."""
    (lab.root / ".gitignore").write_text("mine\n")
    assert lab.run("init", "mine").code == 0
    before = {path: path.read_bytes() for path in lab.root.rglob("*") if path.is_file()}
    again = lab.run("init", "mine", "--json")
    assert again.error["code"] == "usage.init_exists"
    unnamed = lab.run("init", "--json")
    assert unnamed.error["code"] == "usage.init_exists"
    assert "`provision init NAME`" in unnamed.error["hints"][0]
    assert {path: path.read_bytes() for path in lab.root.rglob("*") if path.is_file()} == before


def test_a_folder_gets_a_second_profile_by_name(lab: Lab) -> None:
    """What is there stays, and verbs without a name go on to mean the first."""
    assert lab.run("init", "mine").code == 0
    before = {path: path.read_bytes() for path in lab.root.rglob("*") if path.is_file()}
    other = lab.run("init", "other", "--extends", "llama3-torch-cpu", "--json")
    assert other.data["files"] == ["envs/other.yaml"]
    assert (
        before.items() <= {path: path.read_bytes() for path in lab.root.rglob("*") if path.is_file()}.items()
    )
    assert lab.run("show", "--json").data["name"] == "mine"
    third = lab.run("init", "third", "--extends", "llama3-torch-cpu")
    assert third.out.splitlines()[-1] == "  next: provision create third --lock"


@pytest.mark.parametrize(
    ("file", "text", "named", "name"),
    [
        ("environment.yml", "name: chat\ndependencies: [pip]\n", (), "chat"),
        ("environment.yml", "name: chat\ndependencies: [pip]\n", ("mine",), "mine"),
        ("environment.yml", "name: Chat GPT\ndependencies: [pip]\n", (), "folder"),
        ("environment.yml", "name: base\ndependencies: [pip]\n", (), "folder"),
        ("pyproject.toml", "[project]\nname = 'web-ui'\n", (), "web-ui"),
        ("requirements.txt", "markdown\n", (), "folder"),
    ],
)
def test_a_file_names_the_profile(file: str, text: str, named: tuple[str, ...], name: str, lab: Lab) -> None:
    """The user's name goes first, then the file's where a profile may have it, then the folder's."""
    place = lab.root / "folder"
    place.mkdir()
    (place / file).write_text(text)
    arguments = ("init", *named, "--from", file, "--extends", "llama3-torch-cpu", "--json")
    with lab.start(*arguments, cwd=place) as process:
        out, _ = process.communicate(timeout=60)
    answer = json.loads(out)["data"]
    assert (answer["profile"], answer["files"][0]) == (name, f"envs/{name}.yaml")
    reasons = [each["text"] for each in answer["not_taken"]]
    assert ("name" in reasons) == (file == "environment.yml" and name != "chat")


def test_an_imported_file_is_answered_line_by_line(lab: Lab) -> None:
    """The profile has what was taken, the answer names every other line with its reason."""
    source = lab.root / "requirements.txt"
    source.write_text("markdown==3.6\nflash-attn\ntransformers==4.30\n-e .\n")
    answer = lab.run("init", "mine", "--from", "requirements.txt", "--extends", "llama3-torch-cpu", "--json")
    assert answer.code == 0, answer.err
    assert answer.data["taken"] == [{"line": 1, "text": "markdown==3.6"}]
    assert [each["line"] for each in answer.data["not_taken"]] == [2, 3, 4]
    assert (
        "requirements.txt:2: flash-attn: it needs an NVIDIA GPU"
        in (lab.root / "envs" / "mine.yaml").read_text()
    )
    assert lab.run("show", "mine").code == 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("./x-1.0-py3-none-any.whl", "names a file"),
        ("./x-1.0-py3-none-any.whl[a]; python_version > '3'", "names a file"),
        ("x @ file:///w/x-1.0-py3-none-any.whl", "names a file"),
        (".", "names a file"),
        ("--no-deps", "leaves out what a package needs"),
        ("x==1.0 --no-deps", "leaves out what a package needs"),
    ],
)
def test_an_import_says_of_wheels_and_no_deps_what_a_profile_says(line: str, reason: str, lab: Lab) -> None:
    """Where pip's words have no place in a profile, both doors name the cause and what to write."""
    (lab.root / "requirements.txt").write_text(f"{line}\n", encoding="utf-8")
    answer = lab.run("init", "mine", "--from", "requirements.txt", "--json")
    (left,) = answer.data["not_taken"]
    assert reason in left["reason"]
    assert "`name==version`" in left["reason"] or "`pip.overrides`" in left["reason"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.toml", b"x = "),
        ("a.yml", b"a: 1\na: 2\n"),
        ("a.txt", b"\xff"),
        ("a.cfg", b""),
        ("none.txt", None),
        ("a.toml", b"a = " + b"[" * 100_000),
    ],
)
def test_a_file_that_cannot_be_read_leaves_nothing(name: str, content: bytes | None, lab: Lab) -> None:
    """The error names the file, and nothing was written."""
    if content is not None:
        (lab.root / name).write_bytes(content)
    before = sorted(lab.root.rglob("*"))
    answer = lab.run("init", "mine", "--from", name, "--json")
    assert answer.code == 2
    assert name in answer.error["message"]
    assert sorted(lab.root.rglob("*")) == before


def test_hostile_lines_stay_comments(lab: Lab) -> None:
    """A line of another tool's file cannot add a key to the profile."""
    Path(lab.root / "r.txt").write_text("evil @ x\\\ny: z\n# c\nbad\x85env: {A: b}\n")
    assert lab.run("init", "mine", "--from", "r.txt").code == 0
    shown = lab.run("show", "mine")
    assert shown.code == 0, shown.err
    assert "env: {A: b}" not in shown.out
