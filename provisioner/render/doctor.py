"""What `provision doctor` answers: one line a layer, and what to do."""

from collections.abc import Mapping, Sequence
from typing import Any

from provisioner.diagnose.machine.doctor import (
    Outcome,
    describe_host,
    describe_layers,
    find_error,
    list_layers,
)
from provisioner.diagnose.machine.facts import HostFacts
from provisioner.diagnose.machine.known import Known, find_stop
from provisioner.diagnose.machine.known_rows import Kind
from provisioner.diagnose.machine.layers.model import LayerResult
from provisioner.errors import ExitCode
from provisioner.render.columns import hang
from provisioner.render.create import list_runs
from provisioner.render.generations import describe_verdict
from provisioner.render.result import Result
from provisioner.validate.checks.finding import name_environment
from provisioner.validate.model import Report


def render_layers() -> Result:
    """Return the layers with what each looks at."""
    rows = [{"name": name, "looks_at": text} for name, text in list_layers()]
    text = "\n".join(f"{row['name']:<14} {row['looks_at']}" for row in rows)
    return Result(data={"layers": rows}, text=text)


def render_diagnosis(
    layers: Mapping[str, LayerResult],
    known: Sequence[Known] = (),
    *,
    reports: Sequence[Report] = (),
    facts: HostFacts,
    subject: str,
    environment: str | None,
    saved: str | None,
) -> Result:
    """Return the table, its data, and the error of the worst layer.

    Args:
        layers: Name to result, in order.
        known: Rows of the ledger that apply.
        reports: Of the environment's validations, on any device.
        facts: What the layers were judged by.
        subject: What was judged, for messages.
        environment: Name for the commands in hints.
        saved: File that the facts were written to.
    """
    data = describe_layers(layers)
    for layer in data["layers"]:
        if layer["hint"]:
            (layer["hint"],) = name_environment((layer["hint"],), environment)
    # A machine of whose layers none fails may still be known to fail with these packages.
    stop = find_stop(known, subject=subject) if data["outcome"] in {Outcome.OK, Outcome.UNKNOWN} else None
    error = stop or find_error(data, subject=subject)
    lines = [
        *_list_lines(data),
        *([hang("validated: ", "; ".join(map(describe_verdict, reports)))] if reports else []),
        *_list_known(known, subject),
        *([f"facts written to {saved}"] if saved else []),
    ]
    return Result(
        data={
            **data,
            "known": [each.as_json() for each in known],
            "host": describe_host(facts),
            "saved": saved,
            "validations": list_runs(reports),
        },
        text="\n".join(lines),
        exit_code=error.exit_code if error else ExitCode.OK,
        errors=(error,) if error else (),
    )


def _list_lines(data: Mapping[str, Any]) -> list[str]:
    lines = []
    for layer in data["layers"]:
        lines.append(hang(f"{layer['name']:<14} {layer['verdict']:<10} ", layer["evidence"]))
        if layer["hint"] and layer["verdict"] in {"fail", "unknown", "not asked"}:
            lines.append(hang(f"{'':<14} {'':<10} ", f"hint: {layer['hint']}"))
    return [*lines, f"outcome: {data['outcome']}"]


def _list_known(known: Sequence[Known], subject: str) -> list[str]:
    lines = []
    for each in known:
        lines.append(f"known: {each.describe(subject)}")
        if each.row.kind is not Kind.GOOD:
            lines.append(f"hint: {each.row.remedy}")
    return lines
