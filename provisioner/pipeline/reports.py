"""The stored accounts of a generation's last validations: on the profile's device, and on another one."""

import json
from pathlib import Path

from provisioner.errors import ProvisionError, UsageError
from provisioner.ground.files import write_atomically
from provisioner.install.generations import Generation
from provisioner.install.receipt import OTHER_REPORT_NAME
from provisioner.profile.model import Profile
from provisioner.validate.model import Report, Verdict, digest_validation, parse_report


def read_report(generation: Generation, *, other: bool = False) -> Report | None:
    """Return a generation's stored report; None where there is none, or it is of another lock.

    Args:
        generation: The generation.
        other: The last one on a device that the profile is not for.
    """
    try:
        report = parse_report(json.loads(_find_path(generation, other=other).read_text(encoding="utf-8")))
    except (OSError, ValueError, ProvisionError):
        return None
    return report if report.lock_fingerprint == generation.receipt.fingerprint else None


def list_reports(generation: Generation) -> tuple[Report, ...]:
    """Return a generation's reports on the profile's device and on another one, the newest first."""
    found = (read_report(generation), read_report(generation, other=True))
    reports = [report for report in found if report is not None]
    return tuple(sorted(reports, key=lambda report: report.created_at, reverse=True))


def is_proven(report: Report | None, profile: Profile) -> bool:
    """Tell whether a report shows what the profile asks for today."""
    return (
        report is not None and report.verdict is Verdict.PASSED and report.asked == digest_validation(profile)
    )


def find_model(profile: Profile) -> Path | None:
    """Return the path of the model that a profile names; None where it names none.

    Raises:
        UsageError: ``usage.no_model``: it is not there.
    """
    named = profile.validation.model
    if named is None:
        return None
    origin = profile.origins["validation.model"]
    path = Path(origin.file).parent / named
    if not path.exists():
        raise UsageError(
            "usage.no_model",
            f"{origin}: there is no folder or file `{named}` for validation",
            hints=["name a folder that holds safetensors and a tokenizer, or a GGUF file"],
        )
    return path


def write_report(generation: Generation, report: Report, *, other: bool) -> None:
    """Store a report beside the receipt; ``other`` as in `read_report`."""
    path = _find_path(generation, other=other)
    write_atomically(path, json.dumps(report.as_json(), indent=1) + "\n")


def forget_failures(generation: Generation) -> None:
    """Delete failed reports before files are put back: they may be of what was changed.

    One that passed stands. Validation compares every package's files with their lists first, so it was of
    the files as they were built, and these are the same to the byte (docs/decisions/0006).
    """
    for other in (False, True):
        report = read_report(generation, other=other)
        if report is None or report.verdict is Verdict.FAILED:
            _find_path(generation, other=other).unlink(missing_ok=True)


def _find_path(generation: Generation, *, other: bool) -> Path:
    return generation.prefix / OTHER_REPORT_NAME if other else generation.report
