"""``provision explain``: the cause and the cure of a failure in a log, or of an environment."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import click

from provisioner.cli.options import settings_flags
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings
from provisioner.diagnose.failures.model import Match
from provisioner.errors import UsageError
from provisioner.install.home import EnvironmentHome, Generation, find_environment
from provisioner.profile.rules import check_profile_name

_CHUNK_BYTES = 1 << 20
_COLUMNS = 80
_STEP = re.compile(r"\s+(?=\(\d\) )")  # before `(2) ` in a fix that is a list of steps
_UNKNOWN = (
    "no known failure was recognised\n"
    "hint: paste the whole output, from the command to the last line\n"
    "hint: run `provision doctor --save facts.json` and send that file with the log"
)


@click.command("explain")
@click.argument("source", metavar="[FILE | ENVIRONMENT]", required=False)
@settings_flags
def command(*, settings: Settings, source: str | None) -> Result:
    """Recognise known failures in FILE, standard input or an ENVIRONMENT; the root cause comes first."""
    from provisioner.diagnose.failures.catalogue import load_catalogue  # noqa: PLC0415 - `explain --help` stays fast
    from provisioner.diagnose.failures.explain import explain_text  # noqa: PLC0415 - the same
    from provisioner.diagnose.failures.logtext import decode_stream  # noqa: PLC0415 - the same

    catalogue = load_catalogue()
    if source is not None and source != "-" and not _is_log(source):
        return _explain_environment(settings, source, catalogue)
    with _open(source) as stream:
        matches = explain_text(decode_stream(_read(stream)), catalogue)
    return _result(matches, source=source or "standard input")


def _is_log(source: str) -> bool:
    """Tell a file from an environment's name; a pipe (`<(dmesg)`) is a file, too.

    Raises:
        UsageError: It can be neither.
    """
    path = Path(source)
    if path.exists() and not path.is_dir():
        return True
    if check_profile_name(source) is not None:
        raise _no_log(source)
    return False


def _no_log(source: str) -> UsageError:
    return UsageError(
        "usage.no_log",
        f"there is no file and no environment `{source}`",
        hints=["name a log file or an environment, or pipe the log in"],
    )


def _open(source: str | None) -> IO[bytes]:
    if source is None or source == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError(
                "usage.no_log",
                "`explain` reads a log, and nothing was given",
                hints=["name a file, or pipe the log: `provision explain < log.txt`"],
            )
        return sys.stdin.buffer
    try:
        return Path(source).open("rb")
    except OSError as error:
        raise UsageError(
            "usage.no_log",
            f"`{source}` cannot be read: {(error.strerror or str(error)).lower()}",
            hints=["name a file that you may read"],
        ) from error


def _read(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK_BYTES):
        yield chunk


def _explain_environment(settings: Settings, name: str, catalogue: Any) -> Result:
    from provisioner.diagnose.failures.installed import explain_environment  # noqa: PLC0415 - not for logs
    from provisioner.diagnose.failures.model import Platform  # noqa: PLC0415 - not for logs
    from provisioner.engines.machine.environment import gather_environment  # noqa: PLC0415 - not for logs

    generation = find_environment(EnvironmentHome(data=settings.data), name)
    if generation is None:
        raise _no_log(name)
    facts = gather_environment(generation.prefix, platform=generation.receipt.platform)
    windows = generation.receipt.platform == "win-64"
    matches = explain_environment(
        facts.distributions or {}, catalogue, platform=Platform.WINDOWS if windows else Platform.LINUX
    )
    result = _result(matches, source=f"environment {name}")
    failure = _find_failure(generation)
    text = result.text
    if failure is not None:
        hints = "".join(f"\nhint: {hint}" for hint in failure["hints"])
        known = text if matches else "no known failure was recognised beside it"
        said = f"the last validation did not pass stage {failure['stage']}: {failure['reason']}"
        text = f"{said}{hints}\n\n{known}"
    return Result(data={**result.data, "failure": failure}, text=text)


def _find_failure(generation: Generation) -> dict[str, Any] | None:
    """Return stage, reason and hints of a stored report that did not pass."""
    from provisioner.pipeline import read_report  # noqa: PLC0415 - not for logs
    from provisioner.validate.checks.finding import name_environment  # noqa: PLC0415 - not for logs
    from provisioner.validate.model import Verdict  # noqa: PLC0415 - not for logs

    report = read_report(generation)
    if report is None or report.verdict is Verdict.PASSED:
        return None
    hints = list(name_environment(report.hints, report.environment))
    if report.verdict is Verdict.FAILED and not any("provision repair" in hint for hint in hints):
        hints.append(f"run `provision repair {report.environment}` to build it again from its lock")
    return {"stage": report.stage, "reason": report.reason, "hints": hints}


def _result(matches: Iterable[Match], *, source: str) -> Result:
    rows = [match_row(match) for match in matches]
    text = "\n\n".join(describe_match(row) for row in rows) if rows else _UNKNOWN
    return Result(data={"source": source, "matches": rows}, text=text)


def match_row(match: Match) -> dict[str, Any]:
    """Return a match as the envelope holds it."""
    return {
        "id": match.id,
        "title": match.title,
        "stage": match.stage.value,
        "severity": match.severity.value,
        "confidence": match.confidence.value,
        "cause": match.cause,
        "fix": match.fix,
        "line": match.line,
        "evidence": match.evidence,
    }


def describe_match(row: dict[str, Any]) -> str:
    """Return a match as a person reads it: wrapped to the terminal, each cause and step on its own lines."""
    width = _text_width()
    place = f" (line {row['line']})" if row.get("line") else ""
    facts = f"id: {row['id']}, stage: {row['stage']}, confidence: {row['confidence']}"
    return "\n".join(
        [
            f"{row['title']}{place}",
            _wrapped(facts, width, first="  "),
            *_described("cause", row["cause"].strip().splitlines(), width),
            *_described("fix", _STEP.split(row["fix"].strip()), width),
        ]
    )


def _text_width() -> int:
    """Return the terminal's width, 80 columns where the text goes elsewhere."""
    columns = shutil.get_terminal_size((_COLUMNS, 24)).columns if sys.stdout.isatty() else _COLUMNS
    return max(columns, _COLUMNS // 2)


def _described(name: str, parts: list[str], width: int) -> list[str]:
    """Return one line for a single part, a heading and indented items for several."""
    if len(parts) == 1:
        return [_wrapped(parts[0], width, first=f"  {name}: ")]
    return [f"  {name}:", *(_wrapped(part, width, first="    ", rest="        ") for part in parts)]


def _wrapped(text: str, width: int, *, first: str, rest: str = "    ") -> str:
    """Fill to ``width``; addresses and commands' options are never cut."""
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
