"""Run failures of our own stages through the catalogue that `explain` uses."""

from typing import Any

from provisioner.cli.explain import match_row
from provisioner.diagnose.failures.catalogue import load_catalogue
from provisioner.diagnose.failures.explain import explain_text
from provisioner.validate.model import Report, Verdict


def recognise_report(report: Report) -> list[dict[str, Any]]:
    """Return the known failures that a report shows, the root first; none for one that passed."""
    if report.verdict is Verdict.PASSED:
        return []
    failed = report.find_record(report.stage) if report.stage else None
    trace = None if failed is None else failed.measured.get("error")
    text = "\n".join(str(part) for part in (report.output, trace, report.reason) if part)
    return [match_row(match) for match in explain_text([text], load_catalogue())]
