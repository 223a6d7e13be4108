"""A report as JUnit XML, which CI systems show: one test case per check."""

import re
from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

from provisioner.validate.model import CheckRecord, Report, Status

_UNSPEAKABLE = re.compile("[^\\t\\n\\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {Status.FAILED: "failure", Status.ERROR: "error", Status.SKIPPED: "skipped"}


def write_junit(report: Report) -> str:
    """Return the report as one ``testsuite``; an absent device is an error, not a failure."""
    counts = {status: sum(record.status is status for record in report.records) for status in Status}
    name = f"provision validate {report.environment}"
    attributes = {
        "name": name,
        "tests": len(report.records),
        "failures": counts[Status.FAILED],
        "errors": counts[Status.ERROR],
        "skipped": counts[Status.SKIPPED],
        "time": f"{report.seconds:.3f}",
        "timestamp": report.created_at.removesuffix("+00:00"),
    }
    properties = {
        "verdict": report.verdict.value,
        "family": report.family,
        "precision": report.precision,
        "backend": report.backend,
        "device": str(report.device.get("asked", "")),
        "device name": str(report.device.get("name", "")),
        **{f"version {package}": version for package, version in report.versions.items()},
    }
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuite{_attributes(attributes)}>",
        "  <properties>",
        *(
            f"    <property{_attributes({'name': key, 'value': value})}/>"
            for key, value in properties.items()
        ),
        "  </properties>",
        *(line for record in report.records for line in _case(record, name)),
        f"  <system-err>{_clean(escape(report.output))}</system-err>",
        "</testsuite>",
    ]
    return "\n".join(lines) + "\n"


def _case(record: CheckRecord, suite: str) -> list[str]:
    attributes = {"classname": suite, "name": record.name, "time": f"{record.seconds:.3f}"}
    if record.status is Status.PASSED:
        return [f"  <testcase{_attributes(attributes)}/>"]
    tag = _TAGS[record.status]
    message = {"message": record.reason or ""} | ({"type": record.code} if record.code else {})
    hints = _clean(escape("\n".join(f"hint: {hint}" for hint in record.hints)))
    return [
        f"  <testcase{_attributes(attributes)}>",
        f"    <{tag}{_attributes(message)}>{hints}</{tag}>",
        "  </testcase>",
    ]


def _attributes(values: Mapping[str, object]) -> str:
    return "".join(f" {name}={quoteattr(_clean(str(value)))}" for name, value in values.items())


def _clean(text: str) -> str:
    """Drop the characters that XML 1.0 cannot carry at all."""
    return _UNSPEAKABLE.sub("", text)
