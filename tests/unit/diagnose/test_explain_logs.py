from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.diagnose.failures.catalogue import load_catalogue
from provisioner.diagnose.failures.explain import explain_text
from provisioner.diagnose.failures.logtext import decode_stream

LOGS = Path(__file__).parents[2] / "data" / "logs"
INDEX: list[dict[str, Any]] = yaml.safe_load((LOGS / "index.yaml").read_text("utf-8"))
CATALOGUE = load_catalogue()


def test_the_index_names_every_log_once() -> None:
    """The set has at least 60 logs of known failures, 20 of none, and no file beside the index."""
    files = [row["file"] for row in INDEX]
    assert sorted(files) == sorted(path.name for path in LOGS.glob("*.log"))
    assert sum(row["expected"] is not None for row in INDEX) >= 60
    assert sum(row["expected"] is None for row in INDEX) >= 20
    assert {row["expected"] for row in INDEX} - {None} <= CATALOGUE.failures.keys()


@pytest.mark.parametrize("row", INDEX, ids=lambda row: str(row["file"]))
def test_logs_from_public_threads_are_recognised(row: dict[str, Any]) -> None:
    """The first answer is the failure of the thread, and none for threads of other projects."""
    found = [
        match.id for match in explain_text(decode_stream([(LOGS / row["file"]).read_bytes()]), CATALOGUE)
    ]
    assert found[:1] == ([row["expected"]] if row["expected"] else [])
