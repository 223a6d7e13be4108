"""Validate one environment: start the probe in it, follow it, run the profile's commands, report."""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from provisioner import __version__
from provisioner.events import Listener, StageFinished, StageStarted, ignore_events
from provisioner.ground.scratch import hold_scratch
from provisioner.ground.text import replace_controls, shorten
from provisioner.validate.checks.failure import LONGEST_TEXT, Recogniser, describe_exit
from provisioner.validate.checks.finding import REBUILD_HINT, Finding, name_environment
from provisioner.validate.checks.repetition import check_repetition, measure_repetition
from provisioner.validate.environment import build_environment, find_programs
from provisioner.validate.model import (
    CheckRecord,
    Report,
    Status,
    ValidationRequest,
    Verdict,
)
from provisioner.validate.models.bpe import TOKENIZER_FILE, Tokenizer, load_tokenizer
from provisioner.validate.plan import (
    explain_skip,
    find_impossible,
    is_repeated,
    list_probe_stages,
    list_repeated_stages,
    settle_request,
)
from provisioner.validate.stages import STAGES
from provisioner.validate.watch import ProbeRunner, Watch

PROBE_FOLDER = Path(__file__).parent / "probe"

_OUTPUT_TAIL = 4000
_ASKED = (
    *("prefix", "device", "family", "backend", "precision", "imports", "manifest", "prompt"),
    *("weights_dir", "model_dir", "trust_remote_code", "memory_limit_bytes"),
)
"""What the probe hears of the request."""
_VERDICTS = {
    Status.PASSED: Verdict.PASSED,
    Status.FAILED: Verdict.FAILED,
    Status.ERROR: Verdict.UNVALIDATED,  # the one check that cannot be made is that of an absent device
}


def validate_environment(
    request: ValidationRequest, *, process: ProbeRunner, recognise: Recogniser, on_event: Listener
) -> Report:
    """Check an environment stage by stage and return the account.

    A failing check is a report, not an exception.

    Args:
        request: What to check.
        process: Starts the probe and the profile's commands.
        recognise: Tells what an exception of the probe means.
        on_event: Hears of every stage.

    Raises:
        UsageError: The device, the precision or the family cannot be checked.
    """
    request = settle_request(request)
    with hold_scratch("validate") as scratch:
        folder = scratch / "empty"
        folder.mkdir()
        start = partial(process, env=build_environment(request, str(scratch)), cwd=folder)
        plan = list_probe_stages(request)
        records, output = _run_probe(request, start, plan, recognise=recognise, on_event=on_event)
        if is_repeated(request) and _find_bad(records) is None:
            record, output = _repeat(request, start, records, recognise=recognise, on_event=on_event)
            records.append(record)
        if request.commands and _find_bad(records) is None:
            records.append(_run_commands(request, start, on_event))
    return _write_report(request, records, output)


def _find_bad(records: Sequence[CheckRecord]) -> CheckRecord | None:
    return next((record for record in records if record.status is not Status.PASSED), None)


def _run_probe(
    request: ValidationRequest,
    start: ProbeRunner,
    plan: Sequence[str],
    *,
    recognise: Recogniser,
    on_event: Listener,
) -> tuple[list[CheckRecord], str]:
    """Return a record per stage that the probe reached, and what it printed if one of them did not pass."""
    nonce = secrets.token_hex(16)
    tokenizer = None if request.weights_dir is None else load_tokenizer(request.weights_dir / TOKENIZER_FILE)
    document = _request_document(request, plan, nonce, tokenizer)
    # -I: no PYTHON… variable, no user site, no working directory on the path
    argv: list[str | Path] = [request.interpreter, "-I", "-u", "-X", "utf8", PROBE_FOLDER / "__main__.py"]
    try:
        with start(argv, stdin=document, with_channel=True) as probe:
            watch = Watch(
                probe=probe,
                request=request,
                plan=plan,
                nonce=nonce,
                recognise=recognise,
                on_event=on_event,
                tokenizer=tokenizer,
            )
            watch.follow()
            return watch.records, "" if watch.failure is None else _tail(probe.stdout, probe.stderr)
    except OSError as error:
        return [_unstartable(request, error)], ""


def _repeat(
    request: ValidationRequest,
    start: ProbeRunner,
    records: Sequence[CheckRecord],
    *,
    recognise: Recogniser,
    on_event: Listener,
) -> tuple[CheckRecord, str]:
    """Run the converted model in a second process, and compare what it calculates with the first."""
    on_event(StageStarted(stage="validate", detail=f"repeat: {STAGES['repeat'].doing}"))
    started = time.monotonic()
    plan = list_repeated_stages(request)
    again, output = _run_probe(request, start, plan, recognise=recognise, on_event=ignore_events)
    seconds = time.monotonic() - started
    first = next(record.measured for record in records if record.name == "forward")
    second = next((record.measured for record in again if record.name == "forward"), {})
    measured = measure_repetition(first, second)
    finding = check_repetition(measured, _find_bad(again))
    if finding is not None:
        return finding.as_record("repeat", seconds=seconds, measured=measured), output
    on_event(StageFinished(stage="validate", seconds=seconds, detail="repeat"))
    return CheckRecord(name="repeat", status=Status.PASSED, seconds=seconds, measured=measured), output


def _request_document(
    request: ValidationRequest, plan: Sequence[str], nonce: str, tokenizer: Tokenizer | None
) -> bytes:
    document = {name: getattr(request, name) for name in _ASKED} | {
        "nonce": nonce,
        "stages": plan,
        "locked": sorted(request.locked),
        "prompt_ids": None if tokenizer is None else tokenizer.encode(request.prompt or ""),
    }
    return json.dumps(document, default=_write_path).encode()


def _write_path(path: Path) -> str:
    return str(path.absolute())  # the probe runs in another folder


def _unstartable(request: ValidationRequest, error: OSError) -> CheckRecord:
    finding = Finding(
        code="interpreter",
        message=f"the Python `{request.interpreter}` cannot be started: {error.strerror or error}",
        hints=(REBUILD_HINT,),
    )
    return finding.as_record("packages", seconds=0.0, measured={})


def _run_commands(request: ValidationRequest, start: ProbeRunner, on_event: Listener) -> CheckRecord:
    """Run every command of the profile in the environment until one fails."""
    on_event(StageStarted(stage="validate", detail=f"commands: {STAGES['commands'].doing}"))
    started = time.monotonic()
    outcomes: dict[str, int] = {}
    finding = None
    for command in request.commands:
        finding, exit_code = _run_command(command, request, start)
        outcomes[" ".join(command)] = exit_code
        if finding is not None:
            break
    seconds = time.monotonic() - started
    measured = {"exit_codes": outcomes}
    if finding is not None:
        return finding.as_record("commands", seconds=seconds, measured=measured)
    on_event(StageFinished(stage="validate", seconds=seconds, detail="commands"))
    return CheckRecord(name="commands", status=Status.PASSED, seconds=seconds, measured=measured)


def _run_command(
    command: Sequence[str], request: ValidationRequest, start: ProbeRunner
) -> tuple[Finding | None, int]:
    text = " ".join(command)
    program = next((place for place in find_programs(request, command[0]) if place.is_file()), None)
    if program is None:
        return Finding(
            code="command",
            message=f"`{text}` cannot run: the environment has no program `{command[0]}`",
            hints=("add the package that brings it to the profile",),
        ), -1
    deadline_s = request.deadline_s("commands")
    with start([program, *command[1:]]) as child:
        for _ in child.lines(time.monotonic() + deadline_s):
            pass
        exit_code = child.exit_code
        output = child.stderr or child.stdout
    if exit_code == 0:
        return None, 0
    if exit_code is None:
        message = f"`{text}` did not end within {deadline_s:g} s"
    else:
        name, meaning = describe_exit(exit_code)
        message = f"`{text}` ended with {name}, {meaning}: {shorten(output[-300:], LONGEST_TEXT)}"
    hints = ("run it by hand with `provision run`",)
    return Finding(code="command", message=message, hints=hints), -1 if exit_code is None else exit_code


def _write_report(request: ValidationRequest, records: list[CheckRecord], output: str) -> Report:
    """Put the records together; every stage has one, also those that never ran."""
    records = [
        replace(record, hints=name_environment(record.hints, request.environment)) for record in records
    ]
    reached = {record.name: record for record in records}
    bad = _find_bad(records)
    complete = [reached.get(stage) or explain_skip(stage, request, bad) for stage in STAGES]
    verdict = _VERDICTS[Status.PASSED if bad is None else bad.status]
    packages = reached["packages"].measured if "packages" in reached else {}
    device = reached["device"].measured if "device" in reached else {}
    python = {"python": str(packages["python"])} if "python" in packages else {}
    return Report(
        verdict=verdict,
        stage=None if bad is None else bad.name,
        reason=None if bad is None else bad.reason,
        hints=() if bad is None else bad.hints,
        code=None if bad is None else bad.code,
        records=tuple(_without_inventory(record) for record in complete),
        device={"asked": request.device, **device},
        versions=python | dict(packages.get("installed", {})),
        environment=request.environment or str(request.prefix),
        family=request.family,
        backend=request.backend,
        precision=request.precision,
        lock_fingerprint=request.lock_fingerprint,
        asked=request.asked,
        not_proven=_not_proven(request, reached) if bad is None else (),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        tool_version=__version__,
        output=output,
    )


def _without_inventory(record: CheckRecord) -> CheckRecord:
    """Leave out the list of all packages, which the report has as its versions."""
    measured = {name: value for name, value in record.measured.items() if name != "installed"}
    return replace(record, measured=measured)


def _not_proven(request: ValidationRequest, reached: Mapping[str, CheckRecord]) -> tuple[str, ...]:
    """Say what a reader may expect of a passed report and it does not show."""
    sentences = []
    if request.profile_device is not None and request.device_kind != request.profile_device:
        sentences.append(
            f"the profile is for `{request.profile_device}` and this ran on `{request.device}`: "
            f"no kernel, driver or memory of `{request.profile_device}` was used"
        )
    if request.manifest is None:
        sentences.append(
            "the environment was built before its lists of files were kept: a file that was changed "
            "together with its list is not seen; `provision repair` builds it again"
        )
    if request.weights_dir is None and request.model_dir is None:
        sentences.append(
            "the weights were random: the numbers agree, and no answer was there to be right or wrong"
        )
    own = "reference" in reached and request.backend == "openvino" and request.model_dir is not None
    if own and request.device_kind == "cpu":
        sentences.append(
            "the reference of a folder of your own is OpenVINO in ACCURACY mode on the same CPU: an error "
            "that both modes make is not seen"
        )
    if "forward" not in reached:
        sentences.append("no logits were compared: only the text and the device of the model were judged")
    if "width" not in reached and "width" not in find_impossible(request):
        sentences.append("layers of production size were not run: `--width` does")
    return tuple(sentences)


def _tail(stdout: str, stderr: str) -> str:
    """Return the end of what the probe printed, safe for a terminal."""
    parts = (part[-_OUTPUT_TAIL:].strip() for part in (stdout, stderr))
    return replace_controls("\n".join(part for part in parts if part), keep="\n")
