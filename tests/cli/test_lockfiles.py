"""`lock`, `diff` and `export` through the command line."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest

from tests.cli.lab import Lab
from tests.repositories import git

FORMATS = ("conda-lock", "requirements", "pip", "pylock", "environment")


def test_locking_twice_gives_the_same_bytes(tiny: Lab) -> None:
    """The second run changes no byte and says so; without the cache and the old file it is the same."""
    before = tiny.lockfile.read_bytes()
    again = tiny.run("lock", "tiny", "--json")
    assert again.data["profiles"][0]["changed"] is False
    assert tiny.lockfile.read_bytes() == before
    shutil.rmtree(tiny.data)
    tiny.lockfile.unlink()
    assert tiny.run("lock", "tiny", "--json").data["profiles"][0]["changed"] is True
    assert tiny.lockfile.read_bytes() == before


def test_check_is_offline_and_writes_nothing(tiny: Lab) -> None:
    """A fresh lockfile is fresh without a network, a data folder or a changed byte."""
    asked = len(tiny.server.requests)
    shown = tiny.run("lock", "--check", "tiny")
    assert (shown.code, shown.out) == (0, "tiny: fresh (lockfiles/tiny.conda-lock.yml)\n")
    assert len(tiny.server.requests) == asked
    assert not tiny.data.exists()


def test_check_does_not_mind_comments_and_order(tiny: Lab) -> None:
    """Comments and the order of keys are no change."""
    path = tiny.envs / "tiny.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(["# a comment", *lines[1:5], lines[0], *lines[5:]]) + "\n", encoding="utf-8")
    assert tiny.run("lock", "--check", "tiny").code == 0


@pytest.mark.parametrize(
    ("old", "new", "key", "place"),
    [
        ("- tinyapp", "- tinyapp>=1", "linux-64 pip", "envs/tiny.yaml:12"),
        (
            "    torch: pytorch-cpu",
            "    torch: pytorch-cpu\n    tinyapp: pytorch-cpu",
            "linux-64 routes",
            ":15",
        ),
        ("[linux-64]", "[linux-64, win-64]", "platforms", "envs/tiny.yaml:6"),
    ],
)
def test_check_names_the_key_that_changed(old: str, new: str, key: str, place: str, tiny: Lab) -> None:
    """A stale lockfile is exit 4 with the key, and where the profile says it."""
    tiny.write_profile(changes={old: new})
    shown = tiny.run("lock", "--check", "--all", "--json")
    assert shown.code == 4
    (row,) = shown.data["profiles"]
    assert not row["fresh"]
    assert [change["key"] for change in row["changes"]] == [key]
    assert place in (row["changes"][0]["origin"] or "")
    assert place in shown.err


def test_all_means_the_first_folder_with_profiles(tiny: Lab) -> None:
    """`--all` handles the user's profiles, not the built-in ones beside them."""
    rows = tiny.run("lock", "--check", "--all", "--json").data["profiles"]
    assert [row["profile"] for row in rows] == ["tiny"]


def test_one_bad_profile_does_not_keep_the_others_from_locking(tiny: Lab) -> None:
    """`lock` goes on after a failure and answers with the first one's code."""
    tiny.write_profile("apart", changes={"- tinyapp": "- tinyapp==9"})
    shown = tiny.run("lock", "apart", "tiny", "--json")
    assert shown.code == 3
    assert [row["profile"] for row in shown.data["profiles"]] == ["tiny"]
    assert not tiny.lockfile.with_name("apart.conda-lock.yml").exists()


def test_create_can_lock_first(lab: Lab) -> None:
    """`create --lock` resolves where there is no fresh lockfile."""
    lab.offer("torch", "2.13.0+cpu", index="torch")
    lab.offer("tinyapp", "1.0")
    lab.write_profile()
    assert lab.run("create", "tiny", "--lock", "--no-validate").code == 0
    assert lab.lockfile.is_file()


def test_diff_of_files_revisions_and_formats(lab: Lab) -> None:
    """Two files, or a file and its last commit: the same differences as words, Markdown and data."""
    lab.offer("tinyapp", "2.0")
    lab.lock_tiny(changes={"- tinyapp": "- tinyapp<2"})
    git(lab.root, "init", "-q", environ=lab.environ)
    git(lab.root, "add", "lockfiles", environ=lab.environ)
    git(lab.root, "commit", "-q", "-m", "lock", environ=lab.environ)
    old = lab.root / "old.yml"
    shutil.copy(lab.lockfile, old)
    lab.write_profile(changes={"- tinyapp": "- tinyapp>=2"})
    assert lab.run("lock", "tiny").code == 0
    path = "lockfiles/tiny.conda-lock.yml"
    shown = lab.run("diff", "old.yml", path)
    assert shown.code == 0
    assert "tinyapp" in shown.out
    assert lab.run("diff", path).out == shown.out
    assert lab.run("diff", str(lab.lockfile)).out == shown.out
    assert lab.run("diff", f"HEAD:{path}", path).out == shown.out
    assert lab.run("diff", path, "--json").data == lab.run("diff", "old.yml", path, "--json").data
    assert "| " in lab.run("diff", path, "--markdown").out
    assert "2.0" not in lab.run("diff", path, f"HEAD:{path}", "--json").data["platforms"][0].get("added", [])
    git(lab.root, "add", "lockfiles", environ=lab.environ)
    git(lab.root, "commit", "-q", "-m", "again", environ=lab.environ)
    assert "tinyapp" not in lab.run("diff", path).out
    assert lab.run("diff", f"HEAD~1:{path}", f"HEAD:{path}").out == shown.out


def test_all_takes_profiles_that_extend_a_builtin(lab: Lab) -> None:
    """`--all` handles a user's profile whose stack lies in another folder."""
    (lab.envs / "mine.yaml").write_text(
        "extends: llama3-cpu\ndescription: A profile of mine\n", encoding="utf-8"
    )
    shown = lab.run("lock", "--check", "--all", "--json")
    assert [row["profile"] for row in shown.data["profiles"]] == ["mine"]
    assert shown.error["code"] != "profile.not_found"


def test_update_of_a_package_that_is_not_locked_is_refused(tiny: Lab) -> None:
    """A typing mistake in `--update` is a usage error before anything is solved; another spelling is none."""
    before = tiny.lockfile.read_bytes()
    shown = tiny.run("lock", "tiny", "--update", "tinyap", "--json")
    assert (shown.code, shown.error["code"]) == (2, "usage.lock_update")
    assert "did you mean `tinyapp`" in shown.error["message"]
    assert tiny.lockfile.read_bytes() == before
    assert tiny.run("lock", "tiny", "--update", "TinyApp").code == 0


def test_diff_takes_profiles_names(tiny: Lab) -> None:
    """A profile's name stands for its lockfile; what is neither a file nor a profile is named."""
    assert tiny.run("diff", "tiny", "tiny", "--json").data == (
        tiny.run("diff", str(tiny.lockfile), str(tiny.lockfile), "--json").data
    )
    missing = tiny.run("diff", "tiny", "nothing", "--json")
    assert missing.code != 0
    assert "nothing" in missing.error["message"]


def test_diff_of_a_new_file_shows_all_of_it(lab: Lab) -> None:
    """A lockfile that the revision did not have is added, not an error."""
    lab.lock_tiny()
    git(lab.root, "init", "-q", environ=lab.environ)
    git(lab.root, "commit", "-q", "--allow-empty", "-m", "nothing", environ=lab.environ)
    shown = lab.run("diff", "lockfiles/tiny.conda-lock.yml")
    assert shown.code == 0
    assert "torch" in shown.out


@pytest.mark.parametrize("revision", ["--help", "-x", "nowhere", "HEAD; touch evil"])
def test_diff_never_takes_a_revision_for_an_option(revision: str, lab: Lab) -> None:
    """Whatever stands before the colon is a revision or an error."""
    lab.lock_tiny()
    git(lab.root, "init", "-q", environ=lab.environ)
    shown = lab.run("diff", "--json", "--", f"{revision}:lockfiles/tiny.conda-lock.yml", str(lab.lockfile))
    assert (shown.code, shown.error["code"]) == (2, "usage.revision")
    assert not lab.root.joinpath("evil").exists()


def test_without_git_files_are_compared_and_a_revision_is_refused(tiny: Lab, tmp_path: Path) -> None:
    """A machine without git compares files, and is told what a revision needs."""
    nothing = str(tmp_path / "nothing")
    assert tiny.run("diff", "tiny", "tiny", PATH=nothing).code == 0
    for place in ("HEAD", "HEAD:lockfiles/tiny.conda-lock.yml", "tiny"):
        shown = tiny.run("diff", place, "--json", PATH=nothing)
        assert (shown.code, shown.error["code"]) == (2, "usage.no_git"), shown.err


@pytest.mark.parametrize("form", FORMATS)
def test_export_names_absolute_addresses_and_digests(form: str, built: Lab, tmp_path: Path) -> None:
    """Every format of a pip profile has every file's address and digest."""
    shown = built.run("export", "tiny", "--format", form)
    assert shown.code == 0
    for filename in ("torch-2.13.0+cpu-py3-none-any.whl", "tinyapp-1.0-py3-none-any.whl"):
        if form != "environment":
            assert f"{built.server.url}/ok/files/" in shown.out
            assert filename in shown.out.replace("%2B", "+")
    assert "pypi:" not in shown.out
    (text,) = built.run("export", "tiny", "--format", form, "--json").data["files"].values()
    assert text == shown.out
    written = built.run(
        "export", "tiny", "--format", form, "--output", str(tmp_path / "new" / "out"), "--json"
    ).data
    (path,) = written["files"]
    assert Path(path).read_text(encoding="utf-8") == shown.out
    if form == "pylock":
        assert tomllib.loads(text)["lock-version"] == "1.0"


def test_export_of_several_platforms_wants_a_folder_or_one(lab: Lab) -> None:
    """Without a platform it is this machine's; two files do not go to one stdout."""
    lab.lock_tiny(changes={"[linux-64]": "[linux-64, win-64]"})
    both = ("--platform", "linux-64", "--platform", "win-64")
    shown = lab.run("export", "tiny", "--format", "requirements", *both, "--json")
    assert (shown.code, shown.error["code"]) == (2, "usage.export_one")
    (name,) = lab.run("export", "tiny", "--format", "requirements", "--json").data["files"]
    assert name == "tiny.linux-64.requirements.txt"
    assert lab.run("export", "tiny", "--format", "requirements", "--platform", "win-64").code == 0
    missing = lab.run("export", "tiny", "--format", "requirements", "--platform", "osx-64", "--json")
    assert missing.code == 2
    assert "win-64" in missing.error["message"]
    assert "osx-64" in missing.error["message"]


def test_verify_urls_finds_what_is_gone(lab: Lab) -> None:
    """`lock --verify-urls` asks for every locked file; what is gone is exit 8 and named."""
    lab.lock_tiny()
    assert lab.run("lock", "--verify-urls", "tiny", "--json").data == {
        "profiles": [{"profile": "tiny", "files": 2, "problems": 0}]
    }
    del lab.server.files["files/tinyapp-1.0-py3-none-any.whl"]
    shown = lab.run("lock", "--verify-urls", "tiny", "--json")
    assert shown.code == 8
    assert "tinyapp-1.0-py3-none-any.whl" in json.dumps(shown.document["errors"])


def test_check_without_a_name_means_all(tiny: Lab) -> None:
    """`lock --check` is `lock --check --all`."""
    assert tiny.run("lock", "--check", "--json").data == tiny.run("lock", "--check", "--all", "--json").data


def test_profiles_in_the_working_folder_keep_their_lockfiles_beside_it(tiny: Lab) -> None:
    """`cd envs; provision lock --envs .` writes where `provision lock` beside the folder does."""
    tiny.lockfile.unlink()
    shown = tiny.spawn("lock", "tiny", "--envs", ".", cwd=tiny.envs)
    assert shown.code == 0, shown.err
    assert tiny.lockfile.is_file()
    assert not (tiny.envs / "lockfiles").exists()


def test_a_profile_is_named_by_the_path_of_its_file_too(tiny: Lab) -> None:
    """`lock` and `create` take `envs/tiny.yaml` for `tiny`, and a file in any other folder."""
    assert tiny.run("lock", "--check", "envs/tiny.yaml").code == 0
    other = tiny.root / "drafts" / "mine.yaml"
    other.parent.mkdir()
    shutil.copy(tiny.envs / "tiny.yaml", other)
    assert tiny.run("lock", "drafts/mine.yaml").code == 0
    assert tiny.run("create", "drafts/mine.yaml", "--no-validate").code == 0
    for verb in ("lock", "create"):
        missing = tiny.run(verb, "envs/nope.yaml", "--json")
        assert (missing.code, missing.error["message"]) == (2, "there is no file `envs/nope.yaml`")


def test_diff_of_a_revision_compares_all_its_lockfiles(lab: Lab) -> None:
    """`diff HEAD` shows what differs from today's lockfiles, two revisions what differs between them."""
    lab.offer("tinyapp", "2.0")
    lab.lock_tiny(changes={"- tinyapp": "- tinyapp<2"})
    git(lab.root, "init", "-q", environ=lab.environ)
    git(lab.root, "add", "lockfiles", environ=lab.environ)
    git(lab.root, "commit", "-q", "-m", "lock", environ=lab.environ)
    assert lab.run("diff", "HEAD").out == "no lockfile has changed\n"
    lab.write_profile(changes={"- tinyapp": "- tinyapp>=2"})
    assert lab.run("lock", "tiny").code == 0
    shown = lab.run("diff", "HEAD", "--json").data
    assert shown == {"profiles": [lab.run("diff", "tiny", "--json").data]}
    git(lab.root, "add", "lockfiles", environ=lab.environ)
    git(lab.root, "commit", "-q", "-m", "again", environ=lab.environ)
    assert lab.run("diff", "HEAD~1", "HEAD", "--json").data == shown


def test_diff_takes_a_profiles_name_for_the_profile_beside_a_folder_of_that_name(tiny: Lab) -> None:
    """A folder called like the profile is no lockfile and does not hide it."""
    (tiny.root / "tiny").mkdir()
    assert tiny.run("diff", "tiny", "tiny").code == 0
