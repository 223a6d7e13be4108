"""Recognised failures in words: each with its cause and its cure, wrapped to the terminal."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from provisioner.diagnose.failures.answer import Match, Surroundings
from provisioner.diagnose.failures.model import Confidence, Language, Severity
from provisioner.render.columns import fill, find_width
from provisioner.render.create import list_runs, name_device
from provisioner.render.result import Result
from provisioner.validate.checks.finding import REBUILD_HINT, name_environment
from provisioner.validate.model import Report, Verdict

_COLUMNS = 80
_STEP = re.compile(r"\s+(?=\(\d\) )")  # before `(2) ` in a fix that is a list of steps
_UNKNOWN = {
    Language.EN: (
        "no known failure was recognised\n"
        "hint: paste the whole output, from the command to the last line\n"
        "hint: run `provision doctor --save facts.json` and send that file with the log"
    ),
    Language.ZH: (
        "没有认出已知的故障\n"
        "提示：请贴出完整的输出，从命令到最后一行\n"  # noqa: RUF001 # Chinese
        "提示：运行 `provision doctor --save facts.json`，把该文件与日志一起发出"  # noqa: RUF001 # Chinese
    ),
}
_EMPTY = {
    Language.EN: (
        "the log is empty\n"
        "hint: write both streams of the program into it, errors go to the second: `PROGRAM > log.txt 2>&1`"
    ),
    Language.ZH: (
        "日志是空的\n提示：把程序的两个输出流都写进去，错误信息在第二个流里：`PROGRAM > log.txt 2>&1`"  # noqa: RUF001 # Chinese
    ),
}
# Words around an answer; what stands beside them is data.
_LABELS = {
    Language.EN: {
        "line": " (line {})",
        "stage": "stage",
        "confidence": "confidence",
        "seen": "seen",
        "cause": "cause",
        "fix": "fix",
        "log": "the log is of {}",
    },
    Language.ZH: {
        "line": "（第 {} 行）",  # noqa: RUF001 # Chinese
        "stage": "阶段",
        "confidence": "把握",
        "seen": "日志",
        "cause": "原因",
        "fix": "办法",
        "log": "日志出自 {}",
    },
}

# Answers of `--exit-code`, beside the exit codes of every command (errors.ExitCode).
_KNOWN, _LIKELY, _HARMLESS = 10, 11, 12


def render_log(
    matches: Iterable[Match],
    surroundings: Surroundings | None = None,
    *,
    source: str,
    language: Language = Language.EN,
    empty: bool = False,
) -> Result:
    """Return what is known of a log; an unknown one is no error, and the text says what to collect."""
    found = list(matches)
    text = "\n\n".join(describe_match(match, language) for match in found)
    if not found:
        text = (_EMPTY if empty else _UNKNOWN)[language]
    if found and surroundings and (seen := _describe_surroundings(surroundings)):
        text = f"{text}\n\n{_LABELS[language]['log'].format(seen)}"
    return Result(data={"source": source, "matches": [asdict(match) for match in found]}, text=text)


def with_exit_code(result: Result) -> Result:
    """Return the result with an exit code for scripts: 10 known, 11 likely, 12 harmless, 0 nothing found."""
    matches = result.data["matches"]
    fatal = [match for match in matches if match["severity"] is Severity.FATAL]
    broken = result.data.get("damage") or result.data.get("failure")
    if broken or any(match["confidence"] is not Confidence.LOW for match in fatal):
        return replace(result, exit_code=_KNOWN)
    if fatal:
        return replace(result, exit_code=_LIKELY)
    return replace(result, exit_code=_HARMLESS if matches else 0)


def _describe_surroundings(seen: Surroundings) -> str:
    """Return the program, versions, card and system that the log names."""
    programs = [program.title for program in seen.programs[:1]]
    versions = [f"{name} {version}" for name, version in seen.versions.items()]
    return ", ".join([*programs, *versions, *filter(None, [seen.card, seen.system])])


def render_environment(
    matches: Iterable[Match],
    damage: Sequence[str],
    reports: Sequence[Report],
    *,
    device: str,
    name: str,
    language: Language = Language.EN,
) -> Result:
    """Return what is known of an environment.

    Args:
        matches: Known failures in its reports, and those that its packages and files show.
        damage: What is wrong with its files.
        reports: Of its validations, the newest first.
        device: Kind of device that its profile is for.
        name: Its name.
        language: Of the matches.
    """
    known = render_log(matches, source=f"environment {name}", language=language)
    data: dict[str, Any] = {
        **known.data,
        "damage": list(damage),
        "failure": None,
        "validations": list_runs(reports),
    }
    parts = []
    if damage:
        hints = name_environment((REBUILD_HINT,), name)
        parts.append(_with_hints("\n".join(f"damage: {each}" for each in damage), hints))
    passed, is_asked = [], False
    for report in reports:
        told = _describe_run(report, is_last=report is reports[0])
        is_asked = is_asked or name_device(report).partition(":")[0] == device
        if report.verdict is Verdict.PASSED:
            passed.append(told)
            continue
        hints = _find_hints(report)
        parts.append(_with_hints(told, hints))
        data["failure"] = data["failure"] or {
            "stage": report.stage,
            "reason": report.reason,
            "hints": list(hints),
        }
    if not is_asked:
        passed.append(f"it was not validated on `{device}`, which its profile is for")
    hint = f"run `provision validate {name}`"
    if is_asked:
        hint = "if a program fails in it all the same, run `provision explain FILE` with its output"
    if not parts and not data["matches"]:
        text = "; ".join(["nothing known is wrong with what is installed", *passed])
        return Result(data=data, text=_with_hints(text, [hint]))
    if passed:
        parts.append("; ".join(passed))
    if data["matches"]:
        parts.append(known.text)
    else:
        parts.append("no known failure explains it")
    return Result(data=data, text="\n\n".join(parts))


def _with_hints(text: str, hints: Iterable[str]) -> str:
    return "\n".join([text, *(f"hint: {hint}" for hint in hints)])


def _describe_run(report: Report, *, is_last: bool) -> str:
    """Return how a validation ended; only the newest of all devices is the last one."""
    day, device = report.created_at[:10], name_device(report)
    made = f"of {day} on `{device}`"
    run = f"the last validation, {made}," if is_last else f"the validation {made}"
    if report.verdict is Verdict.PASSED:
        return f"{run} passed"
    return f"{run} did not pass stage {report.stage}: {report.reason}"


def _find_hints(report: Report) -> tuple[str, ...]:
    hints = name_environment(report.hints, report.environment)
    if report.verdict is Verdict.FAILED and not any("provision repair" in hint for hint in hints):
        hints = (*hints, f"run `provision repair {report.environment}` to put back what its lock says")
    return hints


def describe_match(match: Match, language: Language = Language.EN) -> str:
    """Return a match as a person reads it: each cause and step on its own lines."""
    width = _text_width()
    labels = _LABELS[language]
    place = labels["line"].format(match.line) if match.line else ""
    facts = f"id: {match.id}, {labels['stage']}: {match.stage}, {labels['confidence']}: {match.confidence}"
    return "\n".join(
        [
            f"{match.title}{place}",
            fill(facts, width, first="  "),
            *([_cut(f"  {labels['seen']}: {match.evidence}", width)] if match.line else []),
            *_described(labels["cause"], match.cause.strip().splitlines(), width),
            *_described(labels["fix"], _STEP.split(match.fix.strip()), width),
        ]
    )


def _text_width() -> int:
    """Return the terminal's width, 80 columns where the text goes elsewhere."""
    return max(find_width() or _COLUMNS, _COLUMNS // 2)


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"


def _described(name: str, parts: list[str], width: int) -> list[str]:
    """Return one line for a single part, a heading and indented items for several."""
    if len(parts) == 1:
        return [fill(parts[0], width, first=f"  {name}: ")]
    return [f"  {name}:", *(fill(part, width, first="    ", rest="        ") for part in parts)]
