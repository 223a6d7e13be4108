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
CATALOGUE = load_catalogue()
UNUSED = REPORTS / "fresh-2.yaml"  # measured only: no signature was written from it


def read(path: Path) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = yaml.safe_load(path.read_text("utf-8"))
    return cases


CASES = [case for path in sorted(REPORTS.glob("*.yaml")) if path != UNUSED for case in read(path)]
UNUSED_CASES = read(UNUSED)


def explain(case: dict[str, Any]) -> tuple[Match, ...]:
    return explain_text(decode_stream([case["log"].encode()]), CATALOGUE)


def test_the_reports_name_what_the_catalogue_has() -> None:
    """Every id that counts as right exists, and every Intel report has one that is right or partly so."""
    cases = CASES + UNUSED_CASES
    named = {name for case in cases for name in (*case["right"], *case.get("partly", ()))}
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


def test_the_unused_reports_are_answered_no_worse_than_when_measured() -> None:
    """Right and partly right answers do not become fewer, nor answers that lead astray more."""
    first = {case["id"]: [match.id for match in explain(case)][:1] for case in UNUSED_CASES}
    intel = [case for case in UNUSED_CASES if case["intel"]]
    right = [case for case in intel if set(first[case["id"]]) & set(case["right"])]
    helped = [case for case in intel if set(first[case["id"]]) & {*case["right"], *case.get("partly", ())}]
    astray = [case for case in UNUSED_CASES if first[case["id"]] and not case["intel"]]
    assert (len(UNUSED_CASES), len(intel)) == (122, 76)
    assert len(right) >= 21
    assert len(helped) >= 39
    assert len([case for case in astray if not set(first[case["id"]]) & set(case["right"])]) <= 3
