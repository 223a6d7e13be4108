"""Findings of `explain` and `doctor` as a SARIF log, which editors and code hosts show beside files.

Format: SARIF 2.1.0 (OASIS Standard, 27 March 2020).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from provisioner import __version__
from provisioner.diagnose.failures.model import Language
from provisioner.render.result import Result

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"fatal": "error", "warning": "warning", "benign": "note"}
_LANGUAGES = {Language.EN: "en", Language.ZH: "zh-Hans"}
# Verdict of a layer to kind and level; SARIF knows a level for failures only.
_KINDS = {
    "pass": ("pass", "none"),
    "fail": ("fail", "error"),
    "unknown": ("open", "none"),
    "not needed": ("notApplicable", "none"),
    "not asked": ("open", "none"),
}


def explain_as_sarif(result: Result, language: Language = Language.EN) -> Result:
    """Return what `explain` found with a SARIF log as its text."""
    matches = result.data["matches"]
    rules = [
        {
            "id": match["id"],
            "shortDescription": {"text": match["title"]},
            "fullDescription": {"text": match["cause"]},
            "help": {"text": match["fix"]},
            "defaultConfiguration": {"level": _LEVELS[match["severity"]]},
        }
        for match in matches
    ]
    results = [
        {
            "ruleId": match["id"],
            "ruleIndex": index,
            "level": _LEVELS[match["severity"]],
            "message": {"text": f"{match['title']}\n{match['cause']}\n{match['fix']}"},
            "locations": [_locate(str(result.data["source"]), match)],
            "properties": {"stage": match["stage"], "confidence": match["confidence"]},
        }
        for index, match in enumerate(matches)
    ]
    return replace(result, text=_write(rules, results, language))


def doctor_as_sarif(result: Result) -> Result:
    """Return what `doctor` judged with a SARIF log as its text: one result a layer, passed or not."""
    layers = result.data["layers"]
    results = []
    for index, layer in enumerate(layers):
        kind, level = _KINDS[layer["verdict"]]
        text = "\n".join(filter(None, (layer["evidence"], layer["hint"])))
        results.append(
            {
                "ruleId": layer["name"],
                "ruleIndex": index,
                "kind": kind,
                "level": level,
                "message": {"text": text},
                "locations": [{"logicalLocations": [{"name": layer["name"], "kind": "module"}]}],
            }
        )
    return replace(result, text=_write([{"id": layer["name"]} for layer in layers], results))


def _locate(source: str, match: Mapping[str, Any]) -> dict[str, Any]:
    """Return where a match was found: a line of a file, or a name without one."""
    if match["line"] is None or source == "standard input":
        return {"logicalLocations": [{"name": source, "kind": "resource"}]}
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(source.replace("\\", "/"))},
            "region": {"startLine": match["line"], "snippet": {"text": match["evidence"]}},
        }
    }


def _write(
    rules: Sequence[Mapping[str, Any]],
    results: Sequence[Mapping[str, Any]],
    language: Language = Language.EN,
) -> str:
    run = {
        "tool": {"driver": {"name": "provision", "version": __version__, "rules": rules}},
        "language": _LANGUAGES[language],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1, ensure_ascii=False)
