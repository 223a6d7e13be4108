"""The file that a fleet's playbook leaves of each host (``provision.fleet-host/1``), read as hostile.

The control node writes the file, the machine what stands under ``result`` and ``doctor``. A machine may lie,
so its word counts only against it: what is called ``passed`` must be what its own result and report say, and
what they leave open is ``unknown``.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from provisioner.diagnose.fleet.machine import Machine, Status
from provisioner.diagnose.machine.facts import HostFacts
from provisioner.diagnose.machine.facts_json import SCHEMA as FACTS_SCHEMA
from provisioner.diagnose.machine.facts_json import parse_facts
from provisioner.errors import ProvisionError, UsageError
from provisioner.ground.names import check_profile_name
from provisioner.ground.text import shorten
from provisioner.validate.model import Report, Verdict, parse_report, parse_strict_json
from provisioner.validate.model import Status as CheckStatus

SCHEMA = "provision.fleet-host/1"
MAX_BYTES = 4 * 1024 * 1024

_RESULT_SCHEMA = "provision.result/1"
_LOG_CHARS = 256 * 1024
_SENTENCE_CHARS = 600
_NAME_CHARS = 80
_MOST = 20
_ROW_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_CODE = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)*")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_CLAIMS = {status.value for status in Status} - {Status.MISSING.value}
_CLOCK_SLACK = timedelta(minutes=5)


def read_host_file(data: bytes, host: str) -> Machine:  # noqa: PLR0911 # one return per cause
    """Return what a file says of a host; a file that cannot be believed is ``unknown``, never an exception.

    Args:
        data: Of the file, at most one byte more than ``MAX_BYTES``.
        host: As the file's name says.
    """
    if len(data) > MAX_BYTES:
        return _unknown(host, f"its file is larger than {MAX_BYTES >> 20} MiB")
    try:
        document = parse_strict_json(data)
    except RecursionError:
        return _unknown(host, "its file is nested too deeply")
    except (ValueError, TypeError) as error:
        why = str(error) if isinstance(error, json.JSONDecodeError) else "it holds something else"
        return _unknown(host, f"its file is not one JSON object: {_line(why)}")
    if document.get("schema") != SCHEMA:
        return _unknown(host, f"its file is not of schema `{SCHEMA}`")
    if document.get("host") != host:
        return _unknown(host, f"its file speaks of the host `{_line(document.get('host'), _NAME_CHARS)}`")
    profile = document.get("profile")
    if not isinstance(profile, str) or check_profile_name(profile) is not None:
        return _unknown(host, "its file names no profile")
    if str(document.get("status")) not in _CLAIMS:
        return _unknown(host, "its file has no status that there is", profile=profile)
    return _judge(document, host=host, profile=profile)


def missing(host: str, profile: str, reason: str = "no file of it is here") -> Machine:
    """Return a machine that should have answered."""
    return Machine(host=host, profile=profile, status=Status.MISSING, reason=reason)


def _unknown(host: str, reason: str, *, profile: str = "") -> Machine:
    return Machine(host=host, profile=profile, status=Status.UNKNOWN, reason=reason)


def _judge(document: Mapping[str, Any], *, host: str, profile: str) -> Machine:
    result, doctor = _document(document, "result"), _document(document, "doctor")
    data = _object(result.get("data"))
    report = _read_report(data)
    status = Status(str(document["status"]))
    doubt = _find_doubt(document, result, report, profile=profile) if status is Status.PASSED else None
    errors = [*_list_errors(result), *_list_errors(document)]
    first = errors[0] if errors and status is not Status.PASSED else {}
    speed = _object(_object(_find_measured(report, "speed")).get("warm"))
    gathered_at = _time(document.get("gathered_at"))
    return Machine(
        host=host,
        profile=profile,
        status=Status.UNKNOWN if doubt else status,
        reason=doubt or _find_reason(status, report, first),
        code=_match(_CODE, first.get("code")),
        hints=tuple(_lines(first.get("hints"))),
        exit_code=_whole(document.get("exit_code")),
        changed=document.get("changed") is True,
        device=_name(report.device.get("kind") or report.device.get("asked")) if report else None,
        card=_find_card(report, doctor),
        driver=_find_driver(report, doctor),
        prefill_tokens_per_second=_number(speed.get("prefill_tokens_per_second")),
        decode_tokens_per_second=_number(speed.get("decode_tokens_per_second")),
        lock_fingerprint=_match(_FINGERPRINT, report.lock_fingerprint if report else data.get("fingerprint")),
        tool_version=_name(report.tool_version) if report else None,
        gathered_at=gathered_at.isoformat() if gathered_at else None,
        facts=_read_facts(doctor),
        known=tuple(_list_rows(doctor, errors)),
        report=report,
        log="\n".join(str(error.get("message") or "") for error in errors)[:_LOG_CHARS],
        notes=(*_list_notes(report, gathered_at), *_list_asides(document, first)),
    )


def _find_doubt(
    document: Mapping[str, Any], result: Mapping[str, Any], report: Report | None, *, profile: str
) -> str | None:
    """Return why ``passed`` is not to be believed; None where everything agrees."""
    data = _object(result.get("data"))
    if not result:
        return "the file says `passed`, and there is no result of the machine in it"
    if document.get("exit_code") != 0 or result.get("exit_code") != 0 or result.get("errors") != []:
        return "the file says `passed`, and its result did not end with exit code 0 and without errors"
    if data.get("verdict") != Verdict.PASSED or report is None or report.verdict is not Verdict.PASSED:
        return "the file says `passed`, and there is no report of a passed validation in it"
    if data.get("profile") != profile:
        return (
            f"the file speaks of `{profile}`, and its result of `{_line(data.get('profile'), _NAME_CHARS)}`"
        )
    forward = report.find_record("forward")
    if forward is None or forward.status is not CheckStatus.PASSED:
        return "the file says `passed`, and its report has no forward pass"
    bad = [each.name for each in report.records if each.status in {CheckStatus.FAILED, CheckStatus.ERROR}]
    return f"the file says `passed`, and the check `{_line(bad[0], _NAME_CHARS)}` did not" if bad else None


def _find_reason(status: Status, report: Report | None, error: Mapping[str, Any]) -> str | None:
    if status is Status.PASSED:
        return None
    if report is not None and report.verdict is not Verdict.PASSED and report.reason:
        return _line(f"stage {report.stage}: {report.reason}")
    return _line(error.get("message")) or "its file does not say why"


def _read_report(data: Mapping[str, Any]) -> Report | None:
    try:
        return parse_report(_object(data.get("report")))
    except ProvisionError:
        return None


def _find_measured(report: Report | None, name: str) -> Mapping[str, Any]:
    record = report.find_record(name) if report else None
    return record.measured if record else {}


def _find_gpu(doctor: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the GPU that `doctor` saw, a supported one first; nothing where it saw none."""
    gpus = _object(_object(doctor.get("data")).get("host")).get("gpus")
    found = [_object(gpu) for gpu in gpus[:_MOST]] if isinstance(gpus, list) else []
    named = [gpu for gpu in found if gpu.get("product")]
    return next((gpu for gpu in named if gpu.get("gpu_class")), named[0] if named else {})


def _find_card(report: Report | None, doctor: Mapping[str, Any]) -> str | None:
    if report is not None and report.device.get("name"):
        return _name(report.device["name"])
    gpu = _find_gpu(doctor)
    return _name(f"{gpu['product']} ({gpu.get('pci')})") if gpu else None


def _find_driver(report: Report | None, doctor: Mapping[str, Any]) -> str | None:
    """Return the driver of what the model ran on; of a GPU that `doctor` saw Windows' or Level Zero's."""
    if report is not None and (report.device.get("driver") or report.device.get("kind") == "cpu"):
        return _name(report.device.get("driver"))
    libraries = _object(_object(_object(doctor.get("data")).get("host")).get("libraries"))
    gpu = _find_gpu(doctor)
    seen = (gpu.get("driver_version"), libraries.get("gpu-driver"), libraries.get("opencl-driver"))
    return _name(next(filter(None, seen), None)) if gpu else None


def _list_rows(doctor: Mapping[str, Any], errors: list[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the ids of the ledger's rows that the machine is sure apply to it."""
    found = [_object(doctor.get("data")).get("known")]
    found += [_object(error.get("context")).get("known") for error in errors]
    ids = (
        _match(_ROW_ID, row.get("id"))
        for rows in found
        if isinstance(rows, list)
        for row in rows[:_MOST]
        if isinstance(row, dict) and row.get("sure") is True
    )
    yield from dict.fromkeys(name for name in ids if name)


def _list_notes(report: Report | None, gathered_at: datetime | None) -> Iterator[str]:
    validated_at = _time(report.created_at) if report else None
    if gathered_at and validated_at and validated_at - gathered_at > _CLOCK_SLACK:
        ahead = str(validated_at - gathered_at).partition(".")[0]
        said = validated_at.isoformat()
        yield f"its clock is ahead by {ahead} or more: it says that it was validated at {said}"


def _list_asides(document: Mapping[str, Any], reason: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the control node noticed beside the reason: a wrong clock, for example."""
    for error in _list_errors(document):
        if error is not reason and error.get("message"):
            yield _line(error["message"])


def _read_facts(doctor: Mapping[str, Any]) -> HostFacts | None:
    """Return what `doctor` says of the machine in the form that the ledger is asked in; None for nonsense."""
    host = _object(_object(doctor.get("data")).get("host"))
    gpus, libraries = host.get("gpus"), _object(host.get("libraries"))
    displays = []
    for gpu in gpus[:_MOST] if isinstance(gpus, list) else ():
        vendor, _, device = str(_object(gpu).get("pci")).partition(":")
        known = {name: gpu[name] for name in ("driver", "driver_version") if _object(gpu).get(name)}
        displays.append({"vendor": vendor, "device": device, **known})
    document = {
        "schema": FACTS_SCHEMA,
        **{name: host[name] for name in ("os", "release", "kernel") if host.get(name)},
        "displays": displays,
        "libraries": [
            {"kind": kind, "path": "", "version": version} for kind, version in libraries.items() if version
        ],
    }
    try:
        return parse_facts(document)
    except UsageError:
        return None


def _document(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = _object(document.get(key))
    return found if found.get("schema") == _RESULT_SCHEMA else {}


def _list_errors(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a document's errors; one that is a text is its message."""
    errors = document.get("errors")
    listed = errors[:_MOST] if isinstance(errors, list) else []
    return [each if isinstance(each, dict) else {"message": str(each)} for each in listed]


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _lines(value: Any) -> list[str]:
    listed = value[:_MOST] if isinstance(value, list) else []
    return [line for each in listed if (line := _line(each))]


def _line(value: Any, longest: int = _SENTENCE_CHARS) -> str:
    """Return a text as one line of printable characters; nothing for nothing."""
    return shorten(str(value)[: longest * 20], longest) if value is not None else ""


def _name(value: Any) -> str | None:
    return _line(value, _NAME_CHARS) or None


def _match(pattern: re.Pattern[str], value: Any) -> str | None:
    return value if isinstance(value, str) and len(value) <= 100 and pattern.fullmatch(value) else None


def _number(value: Any) -> float | None:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if plain and 0 <= value < 1e9 else None


def _whole(value: Any) -> int | None:
    return value if type(value) is int and abs(value) < 2**31 else None


def _time(value: Any) -> datetime | None:
    """Return a moment in UTC; None where the text is none, or says no zone."""
    try:
        found = datetime.fromisoformat(value)
        return found.astimezone(UTC).replace(microsecond=0) if found.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None
