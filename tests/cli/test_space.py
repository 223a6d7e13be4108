"""What environments have on the disk, and what `clean` leaves of it."""

import os
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from provisioner.install.generations import MARK_NAME, EnvironmentHome
from provisioner.install.in_use import hold_downloads
from tests.cli.lab import Lab

OTHER = "other-1.0-py3-none-any.whl"


def list_stored(lab: Lab) -> list[str]:
    """Return the names of the wheels in the store."""
    return sorted(path.name.split("-")[0] for path in (lab.data / "store").rglob("*.whl"))


def make_older(folder: Path, days: float) -> None:
    """Set the times of a folder, and of all in it, back."""
    then = time.time() - days * 86_400
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (then, then), follow_symlinks=False)


def test_clean_keeps_what_a_profile_needs(tiny: Lab) -> None:
    """`--keep` takes all other downloads; the profile is built again without a network."""
    tiny.build_tiny()
    tiny.offer("other", "1.0")
    tiny.write_profile("more", changes={"- tinyapp": "- other"})
    assert tiny.run("lock", "more").code == 0
    assert tiny.run("create", "more", "--no-validate").code == 0
    assert list_stored(tiny) == ["other", "tinyapp", "torch"]
    shown = tiny.run("clean", "--keep", "tiny", "--json").data
    assert sha256(tiny.server.files[f"files/{OTHER}"]).hexdigest() in {
        Path(path).name for path in shown["removed"]
    }
    assert shown["freed_bytes"] > 0
    assert list_stored(tiny) == ["tinyapp", "torch"]
    assert tiny.run("create", "tiny", "--no-validate", "--rebuild", "--offline").code == 0
    assert tiny.run("clean", "--keep", "nothing").code == 2


def test_clean_takes_what_is_older(tiny: Lab) -> None:
    """`--older-than` takes old generations of that age, and downloads that no environment is built of."""
    old = tiny.build_tiny()
    assert tiny.run("create", "tiny", "--no-validate", "--rebuild").code == 0
    assert tiny.run("clean", "--older-than", "1d", "--json").data["removed"] == []
    make_older(old, days=3)
    make_older(tiny.data / "store", days=3)
    assert tiny.run("clean", "--older-than", "4d", "--json").data["removed"] == []
    assert tiny.run("clean", "--older-than", "2d", "--json").data["removed"] == [str(old)]
    assert list_stored(tiny) == ["tinyapp", "torch"]
    assert tiny.run("remove", "tiny").code == 0
    assert len(tiny.run("clean", "--older-than", "2d", "--json").data["removed"]) == 2
    assert list_stored(tiny) == []
    refused = tiny.run("clean", "--older-than", "soon")
    assert refused.code == 2
    assert "as `30d`" in refused.err


def test_clean_deletes_no_download_from_under_a_build(tiny: Lab) -> None:
    """A process that works with the store keeps its files there; `clean` says so and does the rest."""
    old = tiny.build_tiny()
    assert tiny.run("create", "tiny", "--no-validate", "--rebuild").code == 0
    home = EnvironmentHome(data=tiny.data)
    with hold_downloads(home):
        shown = tiny.run("clean", "--all", "--json").data
        assert shown["removed"] == [str(old)]
        assert shown["in_use"] == ["another process uses downloads: it builds or validates an environment"]
        assert list_stored(tiny) == ["tinyapp", "torch"]
    assert tiny.run("clean", "--all").code == 0
    assert list_stored(tiny) == []


@pytest.mark.skipif(sys.platform == "win32", reason="the folder's access list is the user's there")
def test_clean_deletes_nothing_where_every_user_may_write(lab: Lab) -> None:
    """Somebody could put a link in a folder's place, and `clean` would delete behind it."""
    kept = lab.data / "store" / "sha256" / "00" / "0" / "file"
    kept.parent.mkdir(parents=True)
    kept.touch()
    lab.data.chmod(0o777)
    shown = lab.run("clean", "--all", "--json")
    assert (shown.code, shown.error["code"]) == (5, "install.folder")
    assert "every user may write to it" in shown.error["message"]
    assert kept.exists()
    lab.data.chmod(0o755)
    assert lab.run("clean", "--all").code == 0
    assert not kept.exists()


@pytest.mark.parametrize("words", [(), ("--all",), ("--older-than", "1d")])
def test_a_dry_run_tells_what_clean_does(words: tuple[str, ...], tiny: Lab) -> None:
    """It names what goes and the bytes, as the clean after it, and changes no file."""
    first = tiny.build_tiny()
    tiny.offer("other", "1.0")
    tiny.write_profile(changes={"- tinyapp": "- other"})
    assert tiny.run("create", "tiny", "--no-validate", "--lock").code == 0
    assert tiny.run("rollback", "tiny").code == 0
    for name, left in (("dead", "x"), ("tiny", "generations/9-aaaaaaaa")):  # what killed builders leave
        (tiny.data / "environments" / name / left).mkdir(parents=True)
        (tiny.data / "environments" / name / left / "half").write_bytes(b"x" * 1000)
    (tiny.data / "environments" / "dead" / MARK_NAME).touch()
    make_older(tiny.data, days=3)
    before = tiny.tree()
    told = tiny.run("clean", "--dry-run", *words, "--json").data
    assert {path: data for path, data in tiny.tree().items() if "/locks" not in path} == {
        path: data for path, data in before.items() if "/locks" not in path
    }
    done = tiny.run("clean", *words, "--json").data
    assert told == done | {"dry_run": True, "freed_bytes": told["freed_bytes"]}
    assert (told["incomplete_generations"], len(told["removed"]) > 1) == (1, True)
    assert told["freed_bytes"] == pytest.approx(done["freed_bytes"], rel=0.01)
    assert str(first) not in told["removed"]


def test_a_second_environment_pays_for_its_own_downloads(tiny: Lab) -> None:
    """`list` says what of the downloads nobody else has."""
    tiny.build_tiny()
    tiny.offer("other", "1.0")
    tiny.write_profile("more", changes={"- tinyapp": "- other"})
    assert tiny.run("lock", "more").code == 0
    shown = tiny.run("create", "more", "--dry-run", "--json").data
    assert [row["filename"].split("-")[0] for row in shown["fetch"]] == ["other"]
    torch = next(tiny.data.rglob("torch-*.whl")).stat().st_size
    other = len(tiny.server.files[f"files/{OTHER}"])
    assert shown["stored_bytes"] == torch
    assert tiny.run("create", "more", "--no-validate").code == 0
    rows = {row["name"]: row for row in tiny.run("list", "--json").data["environments"]}
    assert (rows["more"]["download_bytes"], rows["more"]["own_download_bytes"]) == (torch + other, other)
    assert "ITS ALONE" in tiny.run("list").out
