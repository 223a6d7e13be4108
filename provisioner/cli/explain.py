"""``provision explain``: the cause and the cure of a failure in a log, or of an environment."""

import sys
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import IO

import click

from provisioner.cli.options import argument, flag, format_flag, settings_flags, verb
from provisioner.diagnose.failures.model import Language
from provisioner.errors import UsageError
from provisioner.ground.names import check_profile_name
from provisioner.pipeline.explain import explain_built, explain_log
from provisioner.pipeline.settings import Settings
from provisioner.render.explain import render_environment, render_log, with_exit_code
from provisioner.render.result import Result
from provisioner.render.sarif import explain_as_sarif

_CHUNK_BYTES = 1 << 20


@verb("explain")
@argument("source", metavar="[FILE | ENVIRONMENT]", required=False)
@flag(
    "--exit-code",
    is_flag=True,
    help="Exit 10 for a known failure, 11 for a likely one, 12 for warnings and noise alone, 0 for nothing.",
)
@flag(
    "--lang",
    type=click.Choice([each.value for each in Language]),
    help="Language of causes and cures; default: that of LC_ALL, LC_MESSAGES or LANG.",
)
@format_flag
@settings_flags
def command(
    *, settings: Settings, source: str | None, exit_code: bool, lang: str | None, form: str
) -> Result:
    """Recognise known failures in FILE, standard input or an ENVIRONMENT; the root cause comes first."""
    language = Language(lang) if lang else _guess_language(settings.environ)
    result = _explain(settings, source, language)
    if form == "sarif":
        result = explain_as_sarif(result, language)
    return with_exit_code(result) if exit_code else result


def _guess_language(environ: Mapping[str, str]) -> Language:
    """Return the language that the user's locale names, English for all that there is no text in."""
    locale = next(filter(None, (environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return Language.ZH if locale.lower().startswith("zh") else Language.EN


def _explain(settings: Settings, source: str | None, language: Language) -> Result:
    if source is None or source == "-" or _is_log(source):
        with _open(source) as stream:
            first = stream.read(_CHUNK_BYTES)
            found = explain_log(chain([first], _read(stream)), language)
        return render_log(
            found.matches,
            found.surroundings,
            source=source or "standard input",
            language=language,
            empty=not first,
        )
    built = None if check_profile_name(source) else explain_built(settings, source, language)
    if built is None:
        raise UsageError(
            "usage.no_log",
            f"there is no file and no environment `{source}`",
            hints=["name a log file or an environment, or pipe the log in"],
        )
    return render_environment(
        built.matches,
        built.damage,
        built.reports,
        device=built.device,
        name=source,
        language=language,
    )


def _is_log(source: str) -> bool:
    """Tell a file from an environment's name; a pipe (`<(dmesg)`) is a file, too."""
    path = Path(source)
    return path.exists() and not path.is_dir()


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
