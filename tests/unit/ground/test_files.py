"""Files: what is read is a regular file, and what is written is there as a whole or not at all."""

import os
import sys
from pathlib import Path

import pytest

from provisioner.errors import InstallError
from provisioner.ground.files import (
    NotRegularError,
    is_temporary,
    make_private_folder,
    read_file,
    write_atomically,
)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("follow_links", [True, False])
def test_what_is_not_a_regular_file_is_refused_at_once(tmp_path: Path, follow_links: bool) -> None:  # noqa: FBT001 # drawn by pytest
    """A pipe would wait for its writer, and a device never ends."""
    if sys.platform == "win32":
        return
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(NotRegularError):
            read_file(path, max_bytes=10, follow_links=follow_links)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_a_link_is_followed_only_where_that_is_asked(tmp_path: Path) -> None:
    """A configuration may be a link; a profile may not lead out of its folder."""
    (tmp_path / "file").write_bytes(b"text")
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "link", max_bytes=10) == b"text"
    with pytest.raises(NotRegularError):
        read_file(tmp_path / "link", max_bytes=10, follow_links=False)


def test_no_more_than_a_byte_beyond_the_limit_is_read(tmp_path: Path) -> None:
    """The caller sees that a file is too large without reading it."""
    (tmp_path / "file").write_bytes(b"x" * 100)
    assert read_file(tmp_path / "file", max_bytes=10) == b"x" * 11


@pytest.mark.parametrize("sync", [True, False])
def test_a_file_is_replaced_as_a_whole(tmp_path: Path, sync: bool) -> None:  # noqa: FBT001 # drawn by pytest
    """Text and bytes get the permissions that were asked for, and no temporary file remains."""
    path = tmp_path / "file"
    write_atomically(path, "größe\n", sync=sync)
    assert path.read_bytes() == "größe\n".encode()
    write_atomically(path, b"\r\n", mode=0o644, sync=sync)
    assert path.read_bytes() == b"\r\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    if sys.platform != "win32":
        assert path.stat().st_mode & 0o777 == 0o644


def test_our_temporary_files_are_known_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever cleans up after a killed process deletes these and nothing of the user's."""
    names: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: names.extend(entry.name for entry in tmp_path.iterdir()))
    write_atomically(tmp_path / "file", "x")
    assert [is_temporary(name) for name in names] == [True, False]
    assert not any(is_temporary(name) for name in ("file", ".file", "file.tmp", ".file.provision", ".git"))


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path) -> None:
    """Beside a lockfile of the user's nobody else looks for it; a writer that lives keeps its own."""
    dead, young, other = (tmp_path / f".{name}.provision-tmp" for name in ("a[1].x", "a[1].y", "b.x"))
    for path in (dead, young, other):
        path.write_text("half", encoding="utf-8")
    os.utime(dead, (1, 1))
    os.utime(other, (1, 1))
    write_atomically(tmp_path / "a[1]", "whole")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a[1]", young, other])


@pytest.mark.parametrize("place", ["file/below", "file/below/more"])
def test_a_folder_that_cannot_be_made_is_not_told_to_be_removed(tmp_path: Path, place: str) -> None:
    """It is not there: the error names what is in the way, and the hint what to do about that."""
    (tmp_path / "file").touch()
    with pytest.raises(InstallError) as caught:
        make_private_folder(tmp_path / place)
    assert f"cannot be made in `{tmp_path / 'file'}`" in caught.value.message
    assert not any("remove" in hint for hint in caught.value.hints)


def test_a_file_that_cannot_be_written_is_named_itself(tmp_path: Path) -> None:
    """The error does not name the temporary file beside it."""
    with pytest.raises(FileNotFoundError) as caught:
        write_atomically(tmp_path / "nowhere" / "a.yaml", "text")
    assert caught.value.filename == str(tmp_path / "nowhere" / "a.yaml")
