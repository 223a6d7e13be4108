"""What tests of the command line share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.lab import Lab
from tests.loopback import serve


@pytest.fixture
def lab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Lab]:
    """Yield folders, an index and an environment for one test."""
    with serve() as server:
        yield Lab(root=tmp_path, server=server, capsys=capsys)
