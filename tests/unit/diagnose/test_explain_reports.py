"""Public reports are answered rightly: the totals of scripts/explain-accuracy, which must not fall."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.diagnose.failures.answer import Match
from provisioner.diagnose.failures.catalogue import load_catalogue
from provisioner.diagnose.failures.explain import explain_text
from provisioner.diagnose.failures.logtext import decode_stream
from provisioner.diagnose.failures.model import Confidence, IntelSign

REPORTS = Path(__file__).parents[2] / "data" / "reports"
USED = (
    "field",
    "fresh",
    "fresh-second",
    "fresh-2",
)  # signatures were written from them; others are measured only
CATALOGUE = load_catalogue()


def read(path: Path) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = yaml.safe_load(path.read_text("utf-8"))
    return cases


CASES = [case for name in USED for case in read(REPORTS / f"{name}.yaml")]


def explain(case: dict[str, Any]) -> tuple[Match, ...]:
    return explain_text(decode_stream([case["log"].encode()]), CATALOGUE)


def test_the_reports_name_what_the_catalogue_has() -> None:
    """Every id that counts as right exists, and every Intel report has one that is right or partly so."""
    named = {name for case in CASES for name in (*case["right"], *case.get("partly", ()))}
    assert named <= CATALOGUE.failures.keys()
    assert all(case["right"] or case.get("partly") for case in CASES if case["intel"])


@pytest.mark.parametrize("case", [case for case in CASES if case["intel"]], ids=lambda case: str(case["id"]))
def test_a_report_of_an_intel_gpu_gets_its_cause(case: dict[str, Any]) -> None:
    """The first answer is one that the thread confirms."""
    assert explain(case)[0].id in (*case["right"], *case.get("partly", ()))


@pytest.mark.parametrize(
    "case", [case for case in CASES if not case["intel"]], ids=lambda case: str(case["id"])
)
def test_a_report_of_other_hardware_gets_no_intel_answer(case: dict[str, Any]) -> None:
    """Silence, or what holds on any hardware."""
    for match in explain(case):
        assert match.id in case["right"]
        is_general = CATALOGUE.failures[match.id].intel is IntelSign.IRRELEVANT
        assert is_general or match.confidence is Confidence.LOW
