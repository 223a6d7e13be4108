"""The stored account of a generation's last validation."""

import json

from provisioner.errors import ProvisionError
from provisioner.ground.files import write_atomically
from provisioner.install.generations import Generation
from provisioner.validate.model import Report, parse_report


def read_report(generation: Generation) -> Report | None:
    """Return a generation's stored report; None where there is none, or it is of another lock."""
    try:
        report = parse_report(json.loads(generation.report.read_text(encoding="utf-8")))
    except (OSError, ValueError, ProvisionError):
        return None
    return report if report.lock_fingerprint == generation.receipt.fingerprint else None


def write_report(generation: Generation, report: Report) -> None:
    """Store a report beside the receipt."""
    write_atomically(generation.report, json.dumps(report.as_json(), indent=1) + "\n")
