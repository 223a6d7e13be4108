"""What `provision list` answers: environments with their verdicts, and profiles."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from provisioner.diagnose.evidence.proof import Proof
from provisioner.errors import InstallError
from provisioner.install.generations import Generation
from provisioner.install.stable_path import find_stable
from provisioner.profile.load import ProfileEntry
from provisioner.render.amounts import format_bytes
from provisioner.render.columns import align, hang
from provisioner.render.create import list_runs
from provisioner.render.generations import Kept, generation_lines, kept_row
from provisioner.render.result import Result
from provisioner.validate.model import Report


def render_list(
    entries: Iterable[ProfileEntry],
    environments: Iterable[tuple[str, Generation | InstallError, Report | None, Report | None, int]],
    *,
    proofs: Mapping[str, Proof],
    downloads: Mapping[str, tuple[int, int]],
    kept: Mapping[str, Sequence[Kept]] | None = None,
) -> Result:
    """Return the profiles and the environments, each with its reports, or what is wrong, and its own bytes.

    Of the reports the first is the profile's proof, the second, of another device, none.
    ``proofs`` has for each profile that could be read what the evidence says of it, ``downloads`` the bytes
    of each environment's downloads (all, and those that no other environment has), ``kept`` its generations,
    where they were asked for.
    """
    profiles = [_profile_row(entry, proofs.get(entry.name)) for entry in entries]
    built = [
        _environment_row(*environment, downloads=downloads.get(environment[0], (0, 0)))
        for environment in environments
    ]
    for row in built if kept is not None else ():
        row["generations"] = [kept_row(*each) for each in (kept or {}).get(row["name"], ())]
    return Result(
        data={"profiles": profiles, "environments": built},
        text="\n".join([*_environment_lines(built, kept or {}), "", *_profile_lines(profiles)]),
    )


def _profile_row(entry: ProfileEntry, proof: Proof | None) -> dict[str, Any]:
    profile = entry.profile
    return {
        "name": entry.name,
        "stack": entry.stack,
        "description": entry.description,
        "family": (profile.family or None) if profile else None,
        "device": profile.device.value if profile else None,
        "state": profile.status.state.value if profile else None,
        "since": profile.status.since if profile else None,
        "replaced_by": profile.status.replaced_by if profile else None,
        "file": entry.file,
        "error": entry.error.message if entry.error else None,
        "proof": proof.describe() if proof else None,
        "proven_on": ", ".join(proof.cards) if proof else None,
        "evidence": [asdict(report) for report in proof.reports] if proof else [],
    }


def _environment_row(
    name: str,
    found: Generation | InstallError,
    report: Report | None,
    other: Report | None,
    own_bytes: int,
    *,
    downloads: tuple[int, int],
) -> dict[str, Any]:
    if isinstance(found, InstallError):
        return {"name": name, "verdict": "damaged", "error": found.message}
    stable = find_stable(found)
    return {
        "name": name,
        "profile": found.receipt.profile,
        "generation": found.number,
        "prefix": str(found.prefix),
        "path": str(stable.link),
        "python": str(stable.python),
        "bytes": own_bytes,
        "download_bytes": downloads[0],
        "own_download_bytes": downloads[1],
        "created_at": found.receipt.created_at,
        "verdict": report.verdict.value if report else "unvalidated",
        "validated_at": report.created_at if report else None,
        "device": dict(report.device) if report else None,
        "precision": report.precision if report else None,
        "fingerprint": found.receipt.fingerprint,
        "tool_version": report.tool_version if report else None,
        "versions": dict(report.versions) if report else None,
        "error": report.reason if report else None,
        "elsewhere": list_runs([other])[0] if other else None,
    }


def _profile_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Return a table with a line for each profile."""
    if not rows:
        return ["profiles: none"]
    table = [("NAME", "ON", "UPSTREAM", "PROVEN ON", "WHAT IT IS")]
    for row in rows:
        if row["error"]:
            table.append((row["name"], "", "broken", "", row["error"].splitlines()[0]))
            continue
        state = "stack" if row["stack"] else row["state"] or ""
        table.append((row["name"], row["device"] or "", state, row["proven_on"] or "-", row["description"]))
    return [
        "profiles:",
        *align(table),
        "  `provision show NAME` has its reports: what else passed or failed, and what nobody has run",
    ]


def _environment_lines(rows: list[dict[str, Any]], kept: Mapping[str, Sequence[Kept]]) -> list[str]:
    if not rows:
        return ["environments: none; `provision create PROFILE` builds one"]
    heads = align(
        [
            ("NAME", "VERDICT", "DISK", "DOWNLOADS", "ITS ALONE", "AT (UTC), ON"),
            *(_environment_cells(row) for row in rows),
        ]
    )
    lines = ["environments:", heads[0]]
    for row, head in zip(rows, heads[1:], strict=True):
        lines.append(head)
        if row["verdict"] not in {"passed", "unvalidated"} and row.get("error"):
            lines.append(hang("    ", row["error"]))
        if other := row.get("elsewhere"):
            told = f"{other['verdict']} on {other['device']} at {other['validated_at']}"
            lines.append(hang("    ", f"on another device than its profile's: {told}"))
        lines += generation_lines(kept.get(row["name"], ()))
    return lines


def _environment_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    device = row.get("device") or {}
    on = device.get("name") or device.get("kind") or device.get("asked") or ""
    sizes = [
        format_bytes(row[key]) for key in ("bytes", "download_bytes", "own_download_bytes") if key in row
    ]
    at = (row.get("validated_at") or "")[:16].replace("T", " ")
    return (row["name"], row["verdict"], *sizes, *[""] * (3 - len(sizes)), ", ".join(filter(None, (at, on))))
