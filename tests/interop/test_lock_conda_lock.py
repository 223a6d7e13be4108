"""conda-lock's own reader is the oracle of the lockfile's format."""

from pathlib import Path

import pytest

from provisioner.lock.conda_lock_v1 import dump_lock
from provisioner.lock.file import lockfile_path, read_lock, write_lock
from tests.unit.lock.samples import CHANNEL, tiny_lock

COMMITTED = sorted((Path(__file__).resolve().parents[2] / "lockfiles").glob("*.conda-lock.yml"))


@pytest.mark.filterwarnings("ignore")  # conda-lock warns while it is imported
def test_conda_lock_reads_what_is_written(tmp_path: Path) -> None:
    """Every entry arrives with its address, digests, category and dependencies."""
    from conda_lock.lockfile import parse_conda_lock_file

    lock = tiny_lock()
    path = lockfile_path(tmp_path, "tiny")
    write_lock(path, lock)
    read = parse_conda_lock_file(path)
    found = {(entry.platform, entry.manager, entry.name): entry for entry in read.package}
    assert len(found) == sum(len(platform.conda) + len(platform.pip) for platform in lock.platforms)
    for platform in lock.platforms:
        for conda in platform.conda:
            entry = found[platform.platform, "conda", conda.name]
            assert (entry.version, entry.url) == (conda.version, conda.url)
            assert (entry.hash.md5, entry.hash.sha256) == (conda.md5, conda.sha256)
            assert entry.dependencies == dict(conda.dependencies)
            assert entry.to_fetch_action()["fn"] == conda.filename
        for wheel in platform.pip:
            entry = found[platform.platform, "pip", wheel.name]
            assert (entry.version, entry.url, entry.hash.sha256) == (wheel.version, wheel.url, wheel.sha256)
            assert entry.categories == {"validation" if wheel.validation else "main"}
    assert [channel.url for channel in read.metadata.channels] == [CHANNEL]
    assert read.metadata.content_hash == {p.platform: p.fingerprint for p in lock.platforms}


@pytest.mark.filterwarnings("ignore")  # conda-lock warns while it is imported
@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_conda_lock_reads_every_committed_lockfile(path: Path) -> None:
    """The files of this repository have as many entries for it as for us."""
    from conda_lock.lockfile import parse_conda_lock_file

    lock = read_lock(path)
    assert len(parse_conda_lock_file(path).package) == sum(len(p.conda) + len(p.pip) for p in lock.platforms)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_every_committed_lockfile_is_what_would_be_written_and_names_no_mirror(path: Path) -> None:
    """Reading and writing gives the same text, and no address is one of this machine."""
    text = path.read_text(encoding="utf-8")
    assert dump_lock(read_lock(path)) == text
    assert "127.0.0.1" not in text
    assert "localhost" not in text
