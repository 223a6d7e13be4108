"""``provision list``: profiles and environments."""

from typing import Any

import click

from provisioner.cli.options import flag, settings_flags
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings
from provisioner.errors import InstallError
from provisioner.install.home import EnvironmentHome, list_environments
from provisioner.profile.load import ProfileEntry, list_profiles


@click.command("list")
@flag("--stacks", is_flag=True, help="Also the stacks that profiles extend.")
@settings_flags
def command(*, settings: Settings, stacks: bool) -> Result:
    """List the profiles, and the environments with their verdicts."""
    profiles = [_profile_row(entry) for entry in list_profiles(settings.profile_folders, stacks=stacks)]
    environments = _environment_rows(EnvironmentHome(data=settings.data))
    return Result(
        data={"profiles": profiles, "environments": environments},
        text="\n".join([*_profile_lines(profiles), "", *_environment_lines(environments)]),
    )


def _profile_row(entry: ProfileEntry) -> dict[str, Any]:
    upstream = entry.upstream
    return {
        "name": entry.name,
        "stack": entry.stack,
        "description": entry.description,
        "family": entry.family.value if entry.family else None,
        "device": entry.device.value if entry.device else None,
        "state": upstream.state.value if upstream else None,
        "since": upstream.since if upstream else None,
        "replaced_by": upstream.replaced_by if upstream else None,
        "file": entry.file,
        "error": entry.error.message if entry.error else None,
    }


def _environment_rows(home: EnvironmentHome) -> list[dict[str, Any]]:
    from provisioner.pipeline import read_report  # noqa: PLC0415 - `list --help` stays fast

    rows: list[dict[str, Any]] = []
    for name, found in list_environments(home):
        if isinstance(found, InstallError):
            rows.append({"name": name, "verdict": "damaged", "error": found.message})
            continue
        report = read_report(found)
        rows.append(
            {
                "name": name,
                "profile": found.receipt.profile,
                "generation": found.number,
                "prefix": str(found.prefix),
                "created_at": found.receipt.created_at,
                "verdict": report.verdict.value if report else "unvalidated",
                "validated_at": report.created_at if report else None,
                "device": dict(report.device) if report else None,
                "precision": report.precision if report else None,
                "fingerprint": found.receipt.fingerprint,
                "tool_version": report.tool_version if report else None,
                "versions": dict(report.versions) if report else None,
                "error": report.reason if report else None,
            }
        )
    return rows


def _profile_lines(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["profiles:"]
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        if row["error"]:
            lines.append(f"  {row['name']:<{width}}  broken: {row['error'].splitlines()[0]}")
            continue
        state = f" [archived since {row['since']}]" if row["state"] == "archived" else ""
        kind = "stack" if row["stack"] else f"{row['family']} on {row['device']}"
        lines.append(f"  {row['name']:<{width}}  {kind}: {row['description']}{state}")
    return lines if rows else ["profiles: none"]


def _environment_lines(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return ["environments: none; `provision create PROFILE` builds one"]
    lines = ["environments:"]
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        told = row["verdict"]
        if device := row.get("device"):
            name = device.get("name") or device.get("kind") or device.get("asked")
            told += f" on {name} at {row['validated_at']}"
        if row["verdict"] not in {"passed", "unvalidated"} and row.get("error"):
            told += f": {row['error']}"
        lines.append(f"  {row['name']:<{width}}  {told}")
    return lines
