"""Deleting: read-only folders go, links lead nowhere, and what is freed is told before."""

import os
import shutil
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from provisioner.ground.deletion import measure_tree, remove_among_others, remove_tree


def test_read_only_trees_can_be_deleted(tmp_path: Path) -> None:
    """Packages bring folders without write permission."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "f").write_text("x", encoding="utf-8")
    (deep / "f").chmod(0o400)
    deep.chmod(0o500)
    remove_tree(tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="such places are the user's own there")
def test_where_others_write_a_link_in_the_folders_place_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody puts a link to our files there as soon as the first file is deleted."""
    victim, scratch = tmp_path / "victim", tmp_path / "scratch"
    for file in (victim / "b" / "file", scratch / "a" / "deep" / "file", scratch / "b" / "file"):
        file.parent.mkdir(parents=True)
        file.touch()
    unlink = os.unlink

    def swap(*arguments: Any, **words: Any) -> None:
        unlink(*arguments, **words)
        if not scratch.is_symlink():
            scratch.rename(tmp_path / "moved")
            scratch.symlink_to(victim)

    monkeypatch.setattr(os, "unlink", swap)
    with suppress(OSError):  # the folder is not there any more
        remove_among_others(scratch)
    assert scratch.is_symlink()
    assert (victim / "b" / "file").exists()


def test_what_deleting_frees_leaves_out_what_others_link_to(tmp_path: Path) -> None:
    """A file with another link outside frees nothing; one that is linked twice inside counts once."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "own").write_bytes(b"x" * 100)
    os.link(tree / "own", tree / "again")
    (tmp_path / "shared").write_bytes(b"x" * 1000)
    os.link(tmp_path / "shared", tree / "linked")
    assert measure_tree(tree) == 100


def test_a_tree_is_measured_while_others_delete_there(tmp_path: Path) -> None:
    """A folder that goes meanwhile counts as nothing."""
    for _ in range(5):
        for number in range(400):
            (tmp_path / "tree" / str(number) / "deep").mkdir(parents=True)
        deleting = threading.Thread(target=shutil.rmtree, args=(tmp_path / "tree",))
        deleting.start()
        while deleting.is_alive():
            measure_tree(tmp_path / "tree")
        deleting.join()
    assert measure_tree(tmp_path / "tree") == 0
