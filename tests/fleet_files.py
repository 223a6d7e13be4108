"""Files of a fleet's hosts, of what the commands themselves answer."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from provisioner.diagnose.fleet.host_file import SCHEMA
from provisioner.install.generations import Generation
from provisioner.install.receipt import Receipt
from provisioner.profile.load import load_profile
from provisioner.render.create import render_environment
from provisioner.render.output import SCHEMA as RESULT_SCHEMA
from provisioner.render.result import Result
from provisioner.validate.model import CheckRecord, Report, Status, Verdict

ROOT = Path(__file__).parents[1]
HOSTS = ROOT / "tests" / "data" / "hosts"
PASSED = Report(
    verdict=Verdict.PASSED,
    environment="llama3-cpu",
    family="llama3",
    backend="ipex-llm",
    precision="sym_int8",
    device={"asked": "cpu", "kind": "cpu", "name": "A Processor"},
    records=(
        CheckRecord(name="forward", status=Status.PASSED, seconds=1.0),
        CheckRecord(
            name="speed",
            status=Status.PASSED,
            seconds=1.0,
            measured={"warm": {"prefill_tokens_per_second": 410.0, "decode_tokens_per_second": 35.94}},
        ),
    ),
    lock_fingerprint="ab" * 32,
    created_at="2026-11-26T07:30:00+00:00",
    tool_version="0.1.0",
)
FAILED = replace(
    PASSED,
    verdict=Verdict.FAILED,
    stage="forward",
    reason="the driver lost the device",
    code="device_lost",
    hints=("restart the machine",),
    output="RuntimeError: Native API failed. Native API returns: 20 (UR_RESULT_ERROR_DEVICE_LOST)",
    records=(CheckRecord(name="forward", status=Status.FAILED, seconds=1.0, reason="device lost"),),
)


def answer(result: Result, command: str = "create") -> dict[str, Any]:
    """Return the document that `--json` prints of a result."""
    document = {
        "schema": RESULT_SCHEMA,
        "command": command,
        "exit_code": int(result.exit_code),
        "data": dict(result.data),
        "errors": [error.as_json() for error in result.errors],
    }
    read: dict[str, Any] = json.loads(json.dumps(document, default=str))
    return read


def describe(report: Report, profile: str = "llama3-cpu") -> dict[str, Any]:
    """Return what `create --json` prints where a validation ended like this."""
    prefix = Path("/opt/provision/environments", profile, "generations", "1-00000000")
    receipt = Receipt(
        environment=profile,
        profile=profile,
        fingerprint=report.lock_fingerprint or "",
        platform="linux-64",
        base="venv",
        python="3.11.7",
        prefix=str(prefix),
        created_at="2026-11-26T07:00:00+00:00",
    )
    generation = Generation(number=1, prefix=prefix, receipt=receipt)
    loaded = load_profile(profile, folders=[ROOT / "envs"])
    return answer(render_environment(loaded, generation, report, matches=(), up_to_date=False))


def host_document(host: str, report: Report | None, **changes: Any) -> dict[str, Any]:
    """Return a host's file; without a report the machine answered nothing."""
    profile = changes.get("profile", "llama3-cpu")
    result = describe(report, profile) if report else None
    document = {
        "schema": SCHEMA,
        "host": host,
        "profile": profile,
        "status": report.verdict.value if report else "unreachable",
        "exit_code": result["exit_code"] if result else None,
        "changed": False,
        "gathered_at": "2026-11-26T07:31:00Z",
        "result": result,
        "doctor": None,
        "errors": [],
    }
    return document | changes


def put_host(folder: Path, host: str, report: Report | None, **changes: Any) -> Path:
    """Write a host's file."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{host}.json"
    path.write_text(json.dumps(host_document(host, report, **changes)), encoding="utf-8")
    return path
