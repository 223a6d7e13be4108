"""A built environment and its validation, as words, as data and as an exit code."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from provisioner.errors import ExitCode, ProvisionError, UnvalidatedError, ValidateError
from provisioner.install.generations import Generation
from provisioner.install.tools import Integrated, Tools
from provisioner.profile.model import Profile, State, TorchVariant
from provisioner.render.columns import hang
from provisioner.render.integrate import as_data, describe_integrated
from provisioner.render.result import Result
from provisioner.validate.model import CheckRecord, Report, Status, Verdict

if TYPE_CHECKING:  # as in pipeline/create.py
    from provisioner.diagnose.failures.answer import Match

_ERRORS: Mapping[Verdict, type[ProvisionError]] = {
    Verdict.FAILED: ValidateError,
    Verdict.UNVALIDATED: UnvalidatedError,
}
_LEADS = {
    Verdict.PASSED: "use it",
    Verdict.FAILED: "it is kept; put back what was changed in it",
    Verdict.UNVALIDATED: "it is kept; prove it where the device is",
}
_MARKS = {Status.PASSED: "ok", Status.FAILED: "FAILED", Status.SKIPPED: "skipped", Status.ERROR: "ERROR"}


def render_environment(
    profile: Profile,
    generation: Generation,
    report: Report | None,
    *,
    elsewhere: Report | None = None,
    matches: "Sequence[Match]",
    up_to_date: bool,
    integrated: tuple[Tools, Integrated] | None = None,
) -> Result:
    """Return what `create` and `repair` answer.

    ``elsewhere`` is what is known of another device than the profile's, where there is no ``report``;
    ``matches`` are recognised failures, the root first; ``integrated`` the tools that start it now.
    """
    receipt = generation.receipt
    data: dict[str, Any] = {
        "environment": receipt.environment,
        "profile": profile.name,
        "prefix": str(generation.prefix),
        "python": str(generation.python),
        "generation": generation.number,
        "platform": receipt.platform,
        "fingerprint": receipt.fingerprint,
        "packages": {
            kind: sum(package.kind == kind for package in receipt.packages)
            for kind in ("conda", "wheel", "asset")
        },
        "upstream": {"state": profile.status.state.value, "since": profile.status.since},
        "up_to_date": up_to_date,
        "verdict": report.verdict.value if report else "unvalidated",
        **(summarise_report(report, profile) if report else {}),
        "report": report.as_json() if report else None,
        "matches": [asdict(match) for match in matches],
        **({"integrated": as_data(integrated[1])} if integrated else {}),
    }
    return Result(
        data=data,
        text=describe_environment(
            profile,
            generation,
            report,
            elsewhere=elsewhere,
            new=not up_to_date,
            known=matches,
            integrated=integrated,
        ),
        exit_code=exit_code_of(report) if report else ExitCode.OK,
        errors=report_errors(report) if report else (),
    )


def exit_code_of(report: Report) -> ExitCode:
    """Return the contract's code for a verdict."""
    return _ERRORS[report.verdict].exit_code if report.verdict in _ERRORS else ExitCode.OK


def report_errors(report: Report) -> tuple[ProvisionError, ...]:
    """Return the error of a verdict other than passed."""
    if report.verdict not in _ERRORS:
        return ()
    what = "failed" if report.verdict is Verdict.FAILED else "is installed and could not be validated"
    return (
        _ERRORS[report.verdict](
            f"validate.{report.code or report.verdict.value}",
            f"environment `{report.environment}` {what} at stage {report.stage}: {report.reason}",
            hints=report.hints,
            context={"stage": report.stage, "environment": report.environment},
        ),
    )


def summarise_report(report: Report, profile: Profile) -> dict[str, Any]:
    """Return what scripts ask for first: prompt, continuation, agreement, seconds per stage."""
    generation = report.find_record("generation")
    comparison = report.find_record("comparison")
    return {
        "device": dict(report.device),
        "precision": report.precision,
        "prompt": _prompt(generation, profile),
        "continuation": generation.measured.get("text") if generation else None,
        "relative_difference": comparison.measured.get("relative_difference") if comparison else None,
        "seconds": {record.name: round(record.seconds, 3) for record in report.records},
    }


def _prompt(generation: CheckRecord | None, profile: Profile) -> str | None:
    if generation is None or generation.measured.get("text") is None:
        return None
    prompt: str | None = generation.measured.get("prompt", profile.validation.prompt)
    return prompt


def describe_environment(
    profile: Profile,
    generation: Generation,
    report: Report | None,
    *,
    new: bool,
    elsewhere: Report | None = None,
    known: "Sequence[Match]" = (),
    integrated: tuple[Tools, Integrated] | None = None,
    own_model: bool = False,
) -> str:
    """Return what `create` and `validate` print.

    ``known`` are recognised failures, the root first; with ``own_model`` it was not the profile's model.
    """
    # The verdict last, where the eye is.
    lines = [
        *_lines(profile, generation, report, elsewhere, new=new, own_model=own_model),
        *_known_lines(known),
    ]
    lines += describe_integrated(*integrated) if integrated else ()
    if report is not None and new:
        lines.append(f"{report.environment}: {report.verdict.value} on {describe_device(report)}")
    return "\n".join(lines)


def list_notices(profile: Profile, known: "Sequence[Match]") -> list[str]:
    """Return what a reader of the verdict has to know besides: the stack's life, a recognised failure."""
    notice = _archive_notice(profile)
    recognised = [
        f"recognised: {match.title} (`{match.id}`, confidence {match.confidence}): {match.cause} {match.fix}"
        for match in known[:1]
    ]
    return [*([notice] if notice else []), *recognised]


def list_uses(
    name: str, profile: Profile, report: Report | None = None, *, own_model: bool = False
) -> list[str]:
    """Return the commands that use an environment; after a verdict other than passed, what comes first."""
    if report is not None and report.verdict is not Verdict.PASSED:
        broken = report.verdict is Verdict.FAILED and not own_model and not _is_for_another(profile, report)
        asked = name_device(report)
        device = f" --device {asked}" if own_model and asked != profile.device.value else ""
        return [f"provision repair {name}" if broken else f"provision validate {name}{device}"]
    module = "openvino_genai" if profile.torch is TorchVariant.NONE else "torch"
    program = f"python -c 'import {module}; print({module}.__version__)'"
    return [f"provision run {name} -- {program}", f"provision shell {name}"]


def _known_lines(known: "Sequence[Match]") -> Iterator[str]:
    for match in known[:1]:
        yield f"  recognised: {match.title} (`{match.id}`, confidence {match.confidence})"
        yield f"    cause: {match.cause.replace(chr(10), chr(10) + '    ')}"
        yield f"    fix: {match.fix.replace(chr(10), chr(10) + '    ')}"


def _lines(
    profile: Profile,
    generation: Generation,
    report: Report | None,
    elsewhere: Report | None,
    *,
    new: bool,
    own_model: bool,
) -> Iterator[str]:
    """Yield what was done, where it is and how to use it."""
    name = generation.receipt.environment
    if report is None:
        where = f" on {profile.device.value}; {_describe_proof(elsewhere)}" if elsewhere else ""
        yield f"{name}: built, not validated{where}"
        yield f"  validate it: provision validate {name}"
    elif not new:
        yield f"{name}: up to date, {_describe_proof(report)}"
    else:
        yield f"{name}: checks on {describe_device(report)}"
        yield from _stage_lines(report, profile)
    if new and (notice := _archive_notice(profile)):
        yield f"  notice: {notice}"
    yield f"  folder: {generation.prefix}"
    first, *others = list_uses(name, profile, report, own_model=own_model)
    lead = _LEADS[report.verdict if report else Verdict.PASSED]
    if report is not None and own_model and report.verdict is Verdict.FAILED:
        lead = "it is kept; prove it with the profile's own model, to see whether yours is to blame"
    if report is not None and _is_for_another(profile, report):
        lead = f"it is kept; prove it on {profile.device.value}, which it is for"
    yield f"  {lead}: {first}"
    yield from (f"          {each}" for each in others)


def _is_for_another(profile: Profile, report: Report) -> bool:
    """Tell whether a device was asked for that the profile is not for, and was not had."""
    return report.stage == "device" and name_device(report).partition(":")[0] != profile.device.value


def _describe_proof(report: Report) -> str:
    return f"{report.verdict.value} on {describe_device(report)} at {report.created_at}"


def _archive_notice(profile: Profile) -> str | None:
    if profile.status.state is not State.ARCHIVED:
        return None
    since = f" since {profile.status.since}" if profile.status.since else ""
    instead = f"; `{profile.status.replaced_by}` replaces it" if profile.status.replaced_by else ""
    return f"this stack is archived upstream{since}{instead}"


def _stage_lines(report: Report, profile: Profile) -> Iterator[str]:
    facts = summarise_report(report, profile)
    yield f"  precision: {report.precision} through {report.backend}"
    if facts["prompt"] is not None:
        yield f"  prompt: {facts['prompt']!r} -> {facts['continuation']!r}"
    if facts["relative_difference"] is not None:
        difference = f"{facts['relative_difference']:.3g}"
        yield f"  agreement: logits differ from the fp32 reference by {difference} (relative norm)"
    after_failure = [record for record in report.records if _is_after_failure(record, report)]
    for record in report.records:
        if record in after_failure:
            continue
        head = f"  {record.name:<12} {_MARKS[record.status]:<8} {record.seconds:7.2f} s  "
        yield hang(head, record.reason or "")
    if after_failure:
        yield f"  not run after `{report.stage}`: {', '.join(record.name for record in after_failure)}"
    for sentence in report.not_proven:
        yield f"  not proven: {sentence}"


def _is_after_failure(record: CheckRecord, report: Report) -> bool:
    if record.status is not Status.SKIPPED or report.stage is None:
        return False
    return (record.reason or "").startswith(f"`{report.stage}` came first")


def list_runs(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """Return the validations of an environment for scripts, in their order."""
    return [
        {"device": name_device(each), "verdict": each.verdict.value, "validated_at": each.created_at}
        for each in reports
    ]


def name_device(report: Report) -> str:
    """Return the device that was asked for, as ``--device`` takes it."""
    return str(report.device.get("asked"))


def describe_device(report: Report) -> str:
    """Return the device's name, with its kind."""
    name = report.device.get("name")
    kind = report.device.get("device") or report.device.get("kind") or report.device.get("asked")
    return f"{kind} ({name})" if name and name != kind else str(kind)
