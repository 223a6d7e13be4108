"""The inventory knows every file of a package, whatever spelling its list has."""

import json
import os
import sys
from pathlib import Path

import pytest

from provisioner.errors import InstallError
from provisioner.install.file_lists import BYTECODE_NAME, find_lists
from provisioner.install.inventory import (
    digest_file,
    find_list_digests,
    format_inventory,
    load_inventory,
    make_inventory,
)
from provisioner.install.receipt import INVENTORY_NAME
from provisioner.install.verify import Change, compare_files


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def make_windows(prefix: Path) -> None:
    """Write an environment as engines do on Windows: lists with backslashes, in other letters."""
    module = write(prefix / "Lib/site-packages/Demo/__init__.py", "ONE = 1\n")
    script = write(prefix / "Scripts/demo.exe", "MZ")
    rows = [
        f"demo\\__init__.py,{digest_file(module)},8",
        f"..\\..\\Scripts\\Demo.exe,{digest_file(script)},2",
        "demo-1.0.dist-info\\RECORD,,",
    ]
    write(prefix / "Lib/site-packages/demo-1.0.dist-info/RECORD", "\r\n".join(rows) + "\r\n")
    write(prefix / "Library/bin/uv.dll", "MZ")
    path = {"_path": "Library\\bin\\uv.dll", "path_type": "hardlink", "sha256": "0" * 64}
    write(prefix / "conda-meta/libuv-1.48.0-h1_0.json", json.dumps({"paths_data": {"paths": [path]}}))


def test_lists_of_windows_are_read(tmp_path: Path) -> None:
    """Backslashes and the case of letters do not matter there, and every file has its package."""
    make_windows(tmp_path)
    inventory = make_inventory(tmp_path)
    owners = {name: file.owner.rsplit("/", 2)[-2] for name, file in inventory.items()}
    assert owners == {
        "Lib/site-packages/Demo/__init__.py": "demo-1.0.dist-info",
        "Lib/site-packages/demo-1.0.dist-info/RECORD": "demo-1.0.dist-info",
        "Scripts/demo.exe": "demo-1.0.dist-info",
        "Library/bin/uv.dll": "conda-meta",
        "conda-meta/libuv-1.48.0-h1_0.json": "conda-meta",
    }
    lists = {"Lib/site-packages/demo-1.0.dist-info/RECORD", "conda-meta/libuv-1.48.0-h1_0.json"}
    assert set(find_list_digests(inventory)) == set(find_lists(tmp_path)) == lists
    (seen,) = compare_files(tmp_path, inventory, fast=False).differences
    assert (seen.file, seen.change, seen.package) == ("Library/bin/uv.dll", Change.CHANGED, "libuv")
    write(tmp_path / "Lib/site-packages/Demo/__init__.py", "ONE = 2\n")
    write(tmp_path / "Scripts/new.exe", "MZ")
    found = compare_files(tmp_path, inventory, fast=False).differences
    assert {(each.file, each.change, each.package) for each in found} == {
        ("Lib/site-packages/Demo/__init__.py", Change.CHANGED, "demo"),
        ("Library/bin/uv.dll", Change.CHANGED, "libuv"),
        ("Scripts/new.exe", Change.ADDED, "demo"),
    }


def test_a_file_that_two_lists_name_is_hashed(tmp_path: Path) -> None:
    """Where a wheel has replaced a conda package's file, what is there counts and not either list."""
    module = write(tmp_path / "lib/python3.11/site-packages/both.py", "TWO = 2\n")
    for name, digest in (("one", "sha256=x"), ("two", digest_file(module))):
        folder = f"lib/python3.11/site-packages/{name}-1.0.dist-info"
        write(tmp_path / folder / "RECORD", f"both.py,{digest},8\n")
    inventory = make_inventory(tmp_path)
    assert compare_files(tmp_path, inventory, fast=False).differences == ()


def test_bytecode_counts_where_the_build_put_it(tmp_path: Path) -> None:
    """A compiled module of the build is compared, and none is missed: Python writes them again."""
    cache = "lib/python3.11/site-packages/__pycache__"
    ours = write(tmp_path / cache / "ours.cpython-311.pyc", "compiled by the build")
    gone = write(tmp_path / cache / "gone.cpython-311.pyc", "compiled by the build")
    write(tmp_path / cache / "later.cpython-311.pyc", "compiled by Python")
    rows = [f"{cache}/{path.name},{digest_file(path)},21\n" for path in (ours, gone)]
    write(tmp_path / BYTECODE_NAME, "".join(rows))
    inventory = make_inventory(tmp_path)
    for path in ours.parent.iterdir():
        write(path, "something else")
    gone.unlink()
    (seen,) = compare_files(tmp_path, inventory, fast=True).differences
    assert (seen.file, seen.change, seen.origin) == (f"{cache}/{ours.name}", Change.CHANGED, BYTECODE_NAME)


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes")
def test_a_pipe_in_a_files_place_is_told_and_not_read(tmp_path: Path) -> None:
    """Opening a pipe would wait for ever."""
    path = write(tmp_path / "pyvenv.cfg", "home = x\n")
    inventory = make_inventory(tmp_path)
    path.unlink()
    if sys.platform != "win32":
        os.mkfifo(path)
    (seen,) = compare_files(tmp_path, inventory, fast=False).differences
    assert (seen.change, seen.detail) == (Change.CHANGED, "it is a pipe or a device")


def test_an_inventory_is_read_as_it_was_written(tmp_path: Path) -> None:
    """And what is no inventory is named, with what to do."""
    make_windows(tmp_path)
    inventory = make_inventory(tmp_path)
    path = tmp_path / INVENTORY_NAME
    path.write_text(format_inventory(inventory), encoding="utf-8")
    assert load_inventory(tmp_path) == inventory
    for text in (
        "{",
        "[]",
        '{"schema": "other/9"}',
        '{"schema": "provision.inventory/1", "files": {"a": 1}}',
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InstallError) as caught:
            load_inventory(tmp_path)
        assert caught.value.code == "install.inventory"
        assert str(path) in caught.value.message
    for name in ("/etc/passwd", "../../other", "lib/../../x", "C:/x", "lib\\..\\..\\x"):
        outside = {name: inventory["Scripts/demo.exe"]}
        path.write_text(format_inventory(outside), encoding="utf-8")
        with pytest.raises(InstallError, match="outside of the environment"):
            load_inventory(tmp_path)
    path.unlink()
    with pytest.raises(InstallError, match="older version"):
        load_inventory(tmp_path)
