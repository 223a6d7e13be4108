"""What `rollback` and `list --generations` answer: generations with their verdicts and what they changed."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from provisioner.install.generations import Generation
from provisioner.lock.diff import LockDiff
from provisioner.render.columns import hang
from provisioner.render.create import describe_device, list_runs
from provisioner.render.lock_diff import as_text
from provisioner.render.result import Result
from provisioner.validate.model import Report

Kept = tuple[Generation, Report | None, Report | None, bool, LockDiff | None]
"""A generation, its report, that of another device, whether it is current, and what its lock changed."""


def render_rollback(generation: Generation, report: Report | None, other: Report | None) -> Result:
    """Return the answer of a rollback: the generation, and the verdicts that it got with their dates."""
    name = generation.receipt.environment
    lines = [
        f"{name}: generation {generation.number} of {generation.receipt.created_at} is current",
        f"  {_describe_verdicts(report, other)}",
        f"  prove it today: provision validate {name}",
        f"  go forward again: provision rollback {name} --to NUMBER (see provision list --generations)",
    ]
    data = {"environment": name, "profile": generation.receipt.profile} | generation_row(
        generation, report, other
    )
    return Result(data=data, text="\n".join(lines))


def generation_row(generation: Generation, report: Report | None, other: Report | None) -> dict[str, Any]:
    """Return a generation's data."""
    return {
        "generation": generation.number,
        "prefix": str(generation.prefix),
        "fingerprint": generation.receipt.fingerprint,
        "created_at": generation.receipt.created_at,
        "verdict": report.verdict.value if report else "unvalidated",
        "validated_at": report.created_at if report else None,
        "error": report.reason if report else None,
        "elsewhere": list_runs([other])[0] if other else None,
    }


def kept_row(
    generation: Generation,
    report: Report | None,
    other: Report | None,
    current: bool,  # noqa: FBT001 - one of the values of `Kept`
    changes: LockDiff | None,
) -> dict[str, Any]:
    """Return the data of one of several generations."""
    return generation_row(generation, report, other) | {
        "current": current,
        "changes": asdict(changes) if changes else None,
    }


def generation_lines(kept: Iterable[Kept]) -> Iterator[str]:
    """Yield the generations of one environment, oldest first, each with what its lock changed."""
    for generation, report, other, current, changes in kept:
        mark = "*" if current else " "
        made = generation.receipt.created_at
        told = f"built {made}, {_describe_verdicts(report, other)}"
        yield hang(f"  {mark} {generation.number}  ", told)
        if changes is not None:
            changed = ["the same lock"] if changes.empty else as_text(changes).splitlines()
            yield from (f"       {line}" for line in changed)


def _describe_verdicts(report: Report | None, other: Report | None) -> str:
    return "; ".join([describe_verdict(report), *([describe_verdict(other)] if other else [])])


def describe_verdict(report: Report | None) -> str:
    """Return a stored verdict in words, with its date: it says nothing about today."""
    if report is None:
        return "not validated on the device that its profile is for"
    return f"{report.verdict.value} on {describe_device(report)} at {report.created_at}"
