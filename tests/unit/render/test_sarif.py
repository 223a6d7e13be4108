import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from provisioner.diagnose.failures.catalogue import load_catalogue
from provisioner.diagnose.failures.explain import explain_text
from provisioner.render.explain import render_log
from provisioner.render.result import Result
from provisioner.render.sarif import doctor_as_sarif, explain_as_sarif

SCHEMA = json.loads((Path(__file__).parents[2] / "data" / "sarif" / "sarif-2.1.0.json").read_text("utf-8"))
LOG = "INFO start\nRuntimeError: No XPU devices are available.\nFailed to load image Python extension\n"


def parse(result: Result) -> Any:
    log = json.loads(result.text)
    jsonschema.validate(log, SCHEMA)
    return log


@pytest.mark.parametrize("source", ["logs/my log.txt", "C:\\logs\\a.txt", "standard input"])
def test_what_explain_found_is_a_sarif_log(source: str) -> None:
    """Each match is a rule with its cure and a result at its line; the log fits the published schema."""
    matches = explain_text([LOG], load_catalogue())
    run = parse(explain_as_sarif(render_log(matches, source=source)))["runs"][0]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [match.id for match in matches]
    first, noise = run["results"]
    assert (first["level"], noise["level"]) == ("error", "note")
    assert matches[0].fix in first["message"]["text"]
    if source == "standard input":
        assert first["locations"][0]["logicalLocations"][0]["name"] == source
    else:
        place = first["locations"][0]["physicalLocation"]
        assert place["region"]["startLine"] == 2
        assert " " not in place["artifactLocation"]["uri"]
        assert "\\" not in place["artifactLocation"]["uri"]


def test_a_log_without_a_known_failure_is_a_run_without_results() -> None:
    """Nothing found is a valid log, too."""
    run = parse(explain_as_sarif(render_log((), source="a.txt")))["runs"][0]
    assert run["results"] == []


@pytest.mark.parametrize("verdict", ["pass", "fail", "unknown", "not needed", "not asked"])
def test_every_verdict_of_a_layer_has_its_kind(verdict: str) -> None:
    """A layer of `doctor` is one result; only one that fails is an error."""
    layer = {"name": "driver", "verdict": verdict, "evidence": "none", "hint": "install it"}
    (found,) = parse(doctor_as_sarif(Result(data={"layers": [layer]})))["runs"][0]["results"]
    assert (found["level"] == "error") is (verdict == "fail")
    assert found["message"]["text"] == "none\ninstall it"
