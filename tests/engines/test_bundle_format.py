"""The format of bundles: what is written, and what is refused when it is read."""

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.engines.archive.bundle import BundleReader, Source, measure_bundle, write_bundle
from provisioner.engines.archive.bundle_manifest import BundledFile, Manifest, format_manifest
from provisioner.errors import InstallError, UsageError

LONG = "web/example.org/" + "a" * 120 + "/" + "b" * 120 + ".whl"
FILES = {
    "envs/tiny.yaml": b"description: tiny\n",
    "lockfiles/tiny.conda-lock.yml": b"",
    "pypi/simple/app/app-1.0-py3-none-any.whl": b"w" * 512,
    LONG: b"long" * 300,
}


def describe(files: Mapping[str, bytes]) -> Manifest:
    """Return the manifest of a bundle of these files."""
    listed = [
        BundledFile(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        for path, data in sorted(files.items())
    ]
    return Manifest(tool="1.0", profiles=("tiny",), platforms=("linux-64",), files=tuple(listed))


def make(folder: Path, files: Mapping[str, bytes] = FILES) -> Path:
    """Write a bundle."""
    path = folder / "tiny.tar"
    with path.open("wb") as out:
        write_bundle(out, describe(files), files)
    return path


def read_all(path: Path) -> dict[str, bytes]:
    """Return every file of a bundle."""
    with BundleReader(path) as reader:
        return {file.path: b"".join(reader.stream(file)) for file in reader.manifest.files}


def refusal(path: Path) -> str:
    """Return the sentence with which a bundle is refused."""
    with pytest.raises(InstallError) as caught:
        read_all(path)
    assert caught.value.code == "install.bundle"
    assert len(caught.value.message) < 600
    return caught.value.message


def test_every_reader_of_tars_reads_a_bundle(tmp_path: Path) -> None:
    """Python's tarfile and the system's tar give the files back, those with long names too."""
    path = make(tmp_path)
    with tarfile.open(path) as opened:
        opened.extraction_filter = getattr(tarfile, "data_filter", None)  # none before 3.11.4
        opened.extractall(tmp_path / "python")  # noqa: S202 - of our own making
    (tmp_path / "system").mkdir()
    subprocess.run(["tar", "xf", path, "-C", tmp_path / "system"], check=True)
    for folder in (tmp_path / "python", tmp_path / "system"):
        assert {name: (folder / name).read_bytes() for name in FILES} == FILES
        assert (folder / "manifest.json").read_bytes() == format_manifest(describe(FILES))
    assert read_all(path) == FILES


def test_a_file_of_more_than_8_gib_is_described_as_tars_do() -> None:
    """Ustar has no room for such a size; the pax header has."""
    from provisioner.engines.archive.bundle import _header

    header = _header("web/example.org/large.whl", 9 * 1024**3)
    with tarfile.open(fileobj=io.BytesIO(header + bytes(1024)), mode="r:") as opened:
        first = opened.next()
    assert first is not None
    assert (first.name, first.size) == ("web/example.org/large.whl", 9 * 1024**3)


def test_the_size_is_known_before_it_is_written(tmp_path: Path) -> None:
    """The disk's room is compared with it."""
    assert make(tmp_path).stat().st_size == measure_bundle(describe(FILES))


def test_no_more_than_some_chunks_are_in_memory(tmp_path: Path) -> None:
    """A bundle of a large file is written and read within a few megabytes."""
    large = tmp_path / "large"
    with large.open("wb") as out:
        out.truncate(64 * 1024 * 1024)
    digest = hashlib.sha256(large.read_bytes()).hexdigest()
    files: dict[str, Source] = {**FILES, "tool/large.whl": large}
    manifest = describe(FILES)
    added = BundledFile(path="tool/large.whl", size=large.stat().st_size, sha256=digest)
    manifest = replace(manifest, files=tuple(sorted((*manifest.files, added), key=lambda file: file.path)))
    path = tmp_path / "b.tar"
    tracemalloc.start()
    with path.open("wb") as out:
        write_bundle(out, manifest, files)
    with BundleReader(path) as reader:
        assert sum(len(chunk) for chunk in reader.stream(added)) == added.size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


def test_a_file_that_changed_meanwhile_is_told(tmp_path: Path) -> None:
    """The manifest stands first, so a file that is another one when its turn comes ends the writing."""
    with pytest.raises(InstallError) as caught:
        write_bundle(io.BytesIO(), describe(FILES), {**FILES, "envs/tiny.yaml": b"description: evil\n"})
    assert caught.value.code == "install.hash_mismatch"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [0, 1, 511, 512, 700, 3000, -1, -512, -10240])
def test_a_cut_bundle_is_refused(tmp_path: Path, count: int) -> None:
    """Wherever it ends, and before any of its files is used."""
    path = make(tmp_path)
    data = path.read_bytes()[:count]
    path.write_bytes(data)
    assert "is cut off" in refusal(path) or "does not begin with a manifest" in refusal(path)


@pytest.mark.parametrize("added", [b"\0", b"x", bytes(10240), b"PK\x05\x06" + bytes(18)])
def test_appended_bytes_are_refused(tmp_path: Path, added: bytes) -> None:
    """Also zeros, and what would make it a zip for another reader."""
    path = make(tmp_path)
    with path.open("ab") as out:
        out.write(added)
    assert f"{len(added)} bytes follow its end" in refusal(path)


def test_every_byte_counts(tmp_path: Path) -> None:
    """Whichever byte is changed, of a header, of padding, of a file or of the end, the bundle is refused."""
    path = make(tmp_path, {name: FILES[name] for name in list(FILES)[:2]})
    data = path.read_bytes()
    for at in (*range(0, 4096, 37), len(data) - 1):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert refusal(path), at


def _as_link(data: bytes) -> bytes:
    at = data.index(b"envs/tiny.yaml", 1024)
    return data[: at + 156] + b"2" + data[at + 157 :]


def _swapped(data: bytes) -> bytes:
    one, other = data.index(b"envs/tiny.yaml", 1024), data.index(b"pypi/simple", 1024)
    return data[:one] + data[other : other + 1024] + data[one:other] + data[other + 1024 :]


@pytest.mark.parametrize("change", [_as_link, _swapped, gzip.compress, lambda _: b"not a tar" * 2000])
def test_another_archive_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    """A link instead of a file, another order, a compressed one, and what is no archive."""
    path = make(tmp_path)
    path.write_bytes(change(path.read_bytes()))
    assert refusal(path)


@pytest.mark.parametrize(
    "name",
    [
        *("web/../../x", "/web/x", "web//x", "web/./x", "web/x/", "web/a\\..\\x", "web/c:x", "web/con"),
        *(
            "web/x ",
            "web/x\n",
            "web/é",
            "other/x",
            "manifest.json",
            "README.txt/x",
            "envs",
            "web/" + "x" * 999,
        ),
        *("ENVS/TINY.yaml", "envs/Tiny.yaml", "envs/tiny.yaml/x"),
    ],
)
def test_a_member_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    """Out of the folder, into another place on Windows, to a second file of that name, or into a file."""
    assert "member" in refusal(make(tmp_path, {**FILES, name: b"x"}))


def _edit(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(format_manifest(describe(FILES)))
    change(document)
    return (json.dumps(document, indent=1) + "\n").encode()


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]\n",
        b"[" * 100_000,
        b'{"schema": "provision.bundle/1"}\n',
        format_manifest(describe(FILES)).replace(b'"tool"', b'"tool": "0", "tool"'),
        format_manifest(describe(FILES)) + b" ",
        _edit(lambda document: document.update(schema="provision.bundle/2")),
        _edit(lambda document: document.update(more=1)),
        _edit(lambda document: document.update(tool=[])),
        _edit(lambda document: document.update(profiles=[])),
        _edit(lambda document: document.update(profiles=["../x"])),
        _edit(lambda document: document.update(profiles=["other"])),
        _edit(lambda document: document.update(platforms=["osx-64"])),
        _edit(lambda document: document["files"].reverse()),
        _edit(lambda document: document["files"].append(document["files"][-1])),
        _edit(lambda document: document["files"][0].update(size=1.0)),
        _edit(lambda document: document["files"][0].update(size=True)),
        _edit(lambda document: document["files"][0].update(size=-1)),
        _edit(lambda document: document["files"][0].update(size=1 << 60)),
        _edit(lambda document: document["files"][0].update(sha256="0")),
        _edit(lambda document: document["files"][0].update(path=7)),
    ],
)
def test_a_manifest_that_we_do_not_write_is_refused(tmp_path: Path, manifest: bytes) -> None:
    """Keys that are unknown or come twice, values of other kinds, names that cannot be, another order."""
    path = tmp_path / "tiny.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as out:
        member = tarfile.TarInfo("manifest.json")
        member.size, member.mtime, member.mode = len(manifest), 315_532_800, 0o644
        out.addfile(member, io.BytesIO(manifest))
    assert refusal(path)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe, a folder or nothing at all is a mistake of the command line."""
    subprocess.run(["mkfifo", tmp_path / "pipe"], check=True)
    for name in ("pipe", ".", "nothing"):
        with pytest.raises(UsageError) as caught:
            BundleReader(tmp_path / name)
        assert caught.value.code == "usage.no_bundle"


def test_ranges_of_a_file_can_be_read(tmp_path: Path) -> None:
    """A web server answers requests for parts of a file; nothing beyond the file's end is given."""
    with BundleReader(make(tmp_path)) as reader:
        file = reader.find_path(LONG)
        assert file is not None
        assert reader.read_range(file, 2, 5) == b"nglon"
        assert reader.read_range(file, file.size - 1, 99) == b"g"
        assert reader.read_range(file, file.size, 99) == b""
        assert reader.find(file.sha256) == file


def test_a_bundle_that_is_repacked_is_refused_and_says_so(tmp_path: Path) -> None:
    """`tar cf` over the unpacked folder has another order and other headers."""
    path = make(tmp_path)
    folder = tmp_path / "unpacked"
    folder.mkdir()
    subprocess.run(["tar", "xf", path, "-C", folder], check=True)
    shutil.rmtree(folder / "web")
    subprocess.run(["tar", "cf", path, "-C", folder, "manifest.json", "envs"], check=True)
    assert "does not begin with a manifest, as what `provision bundle` writes does" in refusal(path)
