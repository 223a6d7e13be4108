"""A report as JUnit XML, which CI systems show: one test case per check."""

import re
from collections.abc import Mapping
from xml.etree import ElementTree as ET

from provisioner.validate.model import CheckRecord, Report, Status

_NOT_XML = re.compile("[^\\t\\n\\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {Status.FAILED: "failure", Status.ERROR: "error", Status.SKIPPED: "skipped"}


def write_junit(report: Report) -> str:
    """Return the report as one ``testsuite``; an absent device is an error, not a failure."""
    counts = {status: sum(record.status is status for record in report.records) for status in Status}
    attributes = {
        "name": f"provision validate {report.environment}",
        "tests": len(report.records),
        "failures": counts[Status.FAILED],
        "errors": counts[Status.ERROR],
        "skipped": counts[Status.SKIPPED],
        "time": f"{report.seconds:.3f}",
        "timestamp": report.created_at.removesuffix("+00:00"),
    }
    facts = {
        "verdict": report.verdict.value,
        "family": report.family,
        "precision": report.precision,
        "backend": report.backend,
        "device": str(report.device.get("asked", "")),
        "device name": str(report.device.get("name", "")),
        **{f"version {package}": version for package, version in report.versions.items()},
    }
    suite = ET.Element("testsuite", clean_attributes(attributes))
    properties = ET.SubElement(suite, "properties")
    for name, value in facts.items():
        ET.SubElement(properties, "property", clean_attributes({"name": name, "value": value}))
    for record in report.records:
        _add_case(suite, record)
    ET.SubElement(suite, "system-err").text = clean_text(report.output)
    ET.indent(suite)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suite, encoding="unicode")}\n'


def _add_case(suite: ET.Element, record: CheckRecord) -> None:
    attributes = {"classname": suite.get("name"), "name": record.name, "time": f"{record.seconds:.3f}"}
    case = ET.SubElement(suite, "testcase", clean_attributes(attributes))
    if record.status is not Status.PASSED:
        cause = {"message": record.reason or ""} | ({"type": record.code} if record.code else {})
        problem = ET.SubElement(case, _TAGS[record.status], clean_attributes(cause))
        problem.text = clean_text("\n".join(f"hint: {hint}" for hint in record.hints))


def clean_attributes(attributes: Mapping[str, object]) -> dict[str, str]:
    """Return attributes as texts that XML can carry."""
    return {name: clean_text(str(value)) for name, value in attributes.items()}


def clean_text(text: str) -> str:
    """Return a text without the characters that XML 1.0 cannot carry at all."""
    return _NOT_XML.sub("", text)
