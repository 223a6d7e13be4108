"""What tests of the command line share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.lab import Lab
from tests.loopback import serve


@pytest.fixture(autouse=True)
def _own_temporary_files(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `clean` look for temporary folders of dead processes in a folder of the test's own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("tmp")))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Yield empty folders and an index of its own."""
    with serve() as server:
        yield Lab(root=tmp_path, server=server)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Yield a lab with the profile `tiny`, locked and built; for tests that change nothing in it."""
    with serve() as server:
        lab = Lab(root=tmp_path_factory.mktemp("built"), server=server)
        lab.lock_tiny()
        lab.build_tiny()
        yield lab


@pytest.fixture
def tiny(tmp_path: Path, built: Lab) -> Lab:
    """Return a lab of its own with the profile `tiny`, locked and not built."""
    lab = Lab(root=tmp_path, server=built.server)
    lab.copy_tiny(built)
    return lab
