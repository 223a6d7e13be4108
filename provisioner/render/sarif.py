"""Findings of `explain`, `doctor` and `audit` as a SARIF log, which editors and code hosts show beside files.

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
# An advisory's word to its level and the lower end of CVSS's band.
_SEVERITIES = {
    "critical": ("error", "9.0"),
    "high": ("error", "7.0"),
    "moderate": ("warning", "4.0"),
    "low": ("note", "0.1"),
    "unknown": ("warning", "4.0"),
}
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
    if damage := result.data.get("damage"):
        place = {"logicalLocations": [{"name": str(result.data["source"]), "kind": "resource"}]}
        results += [
            {"ruleId": "damage", "level": "error", "message": {"text": text}, "locations": [place]}
            for text in damage
        ]
    return replace(result, text=_write(rules, results, language), verbatim=True)


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
    return replace(result, text=_write([{"id": layer["name"]} for layer in layers], results), verbatim=True)


def audit_as_sarif(result: Result) -> Result:
    """Return what `audit` found with a SARIF log as its text: one rule an advisory, at the package's line.

    What is ignored is a suppressed result. ``security-severity`` is what code hosts sort by: of the word that
    the advisory has, the lower end of CVSS's band.
    """
    rules: dict[str, dict[str, Any]] = {}
    results = []
    for row in result.data["profiles"]:
        for each in row["vulnerabilities"]:
            rules.setdefault(each["id"], _advisory_rule(each))
            fixed = f"mended in {each['fixed']}" if each["fixed"] else "no mended version is known"
            text = f"{each['package']} {each['version']}: {each['summary'] or each['id']} ({fixed})"
            results.append(_audit_result(row, each, text, _SEVERITIES[each["severity"]][0]))
        for each in row["endings"]:
            rules.setdefault(each["id"], {"id": each["id"], "helpUri": each["source"]})
            text = f"{each['package']} {each['version']}: {each['state']} {each['date']}: {each['note']}"
            level = "warning" if each["over"] else "note"
            results.append(_audit_result(row, each, f"{text}\n{each['instead']}", level))
    names = list(rules)
    for found in results:
        found["ruleIndex"] = names.index(found["ruleId"])
    return replace(result, text=_write(list(rules.values()), results), verbatim=True)


def _advisory_rule(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": found["id"],
        "shortDescription": {"text": found["summary"] or found["id"]},
        "helpUri": found["address"],
        "properties": {
            "security-severity": _SEVERITIES[found["severity"]][1],
            "tags": ["security", *found["aliases"]],
        },
    }


def _audit_result(row: Mapping[str, Any], found: Mapping[str, Any], text: str, level: str) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": quote(row["lockfile"])},
        "region": {"startLine": found["line"]},
    }
    result: dict[str, Any] = {
        "ruleId": found["id"],
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
        # The line moves with every lock; what was found is the same.
        "partialFingerprints": {"advisory/v1": f"{row['profile']} {found['package']} {found['id']}"},
    }
    if found["ignored"] is not None:
        why = f"{found['ignored']['reason']} (until {found['ignored']['until']})"
        result["suppressions"] = [{"kind": "external", "justification": why}]
    return result


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
