"""The command ``provision``: find the verb, run it, and answer with its exit code."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

import click

from provisioner import __version__
from provisioner.cli.signals import EXIT_CODES, find_signal
from provisioner.errors import (
    ErrorList,
    ExitCode,
    InternalError,
    ProvisionError,
    UnavailableError,
    UsageError,
)
from provisioner.ground.refusals import REFUSALS
from provisioner.ground.text import did_you_mean
from provisioner.render.output import Answer
from provisioner.render.result import Result

COMPLETE_VARIABLE = "_PROVISION_COMPLETE"
_TRUE = {"1", "true", "t", "yes", "y", "on"}  # as click reads a flag's variable

# Verb to its one line of help; the module provisioner.cli.<verb> is imported when the verb runs, so that
# `provision --help` loads no engine.
VERBS = {
    "init": "Begin a folder with a profile for what this machine has.",
    "create": "Build the locked environment of a profile and prove it with a real model.",
    "add": "Put packages into a profile, lock it and update its environment; all or nothing.",
    "lock": "Resolve profiles into lockfiles, or check that lockfiles are fresh.",
    "validate": "Run the validation of a built environment again.",
    "doctor": "Judge this machine layer by layer: GPU, driver, libraries, environment.",
    "explain": "Name the cause and the cure of a failure in a log, or of an environment.",
    "report": "Write what was validated on this machine into one file, for sharing.",
    "list": "List profiles and environments.",
    "show": "Show a merged profile and where each value was written.",
    "integrate": "Let Jupyter and VS Code start an environment.",
    "run": "Run a program inside an environment.",
    "shell": "Open a shell inside an environment.",
    "activate": "Print the commands that activate an environment in a shell.",
    "verify": "Name every changed, missing or added file of an environment, and damaged downloads.",
    "repair": "Put back the files of an environment that are not as they were built.",
    "rollback": "Make an older generation of an environment the current one.",
    "bisect": "Find the package change between two locks that broke what worked.",
    "remove": "Remove an environment.",
    "clean": "Remove what no environment needs: generations that are not current, partial files.",
    "diff": "Compare two lockfiles, or one lockfile at two revisions.",
    "export": "Write a lockfile in another tool's format.",
    "audit": "Name known vulnerabilities and ends of life of locked versions.",
    "bundle": "Put everything that profiles need into one file, for machines without a network.",
    "mirror": "Serve locked files as package index and channels, or write them as a folder.",
    "fleet": "Build and prove on many machines through Ansible, and read what they answered.",
    "schema": "Print the JSON Schema of profiles.",
    "completion": "Print the completion script of a shell.",
}
# What other tools call a verb, where no letters are alike.
_NAMES_ELSEWHERE = {
    "install": "create",
    "build": "create",
    "uninstall": "remove",
    "delete": "remove",
    "rm": "remove",
    "exec": "run",
    "test": "validate",
    "prune": "clean",
}


class VerbGroup(click.Group):
    """Loads each verb's module when it is called."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take `help VERB` for `VERB --help`, and `help` for `--help`."""
        return super().parse_args(ctx, [*args[1:2], "--help"] if args[:1] == ["help"] else args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of a first session."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the verb's command; None for an unknown verb."""
        del ctx
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"provisioner.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest verb when there is no such one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if args and not args[0].startswith("-"):
                word = _NAMES_ELSEWHERE.get(args[0], args[0])
                message = f"no such verb `{args[0]}`{did_you_mean(word, VERBS)}"
                raise click.UsageError(message, ctx=ctx) from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs without importing them."""
        del ctx
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.command(
    cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="provision")
def root() -> None:
    """Locked environments for language models on Intel Arc GPUs, proven by a real forward pass."""


class StoppedError(ProvisionError):
    """A signal ended the command."""


def run(arguments: list[str]) -> int:
    """Run the command line and return the exit code; everything is printed."""
    as_json = _wants_json(arguments)
    answer = Answer(command=_verb_of(arguments), as_json=as_json)
    if COMPLETE_VARIABLE in os.environ:
        import_module("provisioner.cli.completion")  # which makes the shells known that click does not know
    elif not arguments and not as_json:
        click.echo(root.get_help(click.Context(root, info_name="provision")), err=True)
    try:
        outcome = root.main(arguments, prog_name="provision", standalone_mode=False)
        if not isinstance(outcome, Result):  # help, version, or the exit code of a program that `run` ran
            return int(outcome or 0)
        return answer.finish(
            outcome.data,
            text=outcome.text,
            code=int(outcome.exit_code),
            errors=outcome.errors,
            verbatim=outcome.verbatim,
        )
    except SystemExit as error:  # click's own, after completion and after help into a closed pipe
        return error.code if isinstance(error.code, int) else 0
    except BaseException as error:  # noqa: BLE001 - the last net: every way to end is told and has its code
        return answer.fail(*_errors_of(error, arguments))


def _errors_of(error: BaseException, arguments: Sequence[str]) -> Sequence[ProvisionError]:
    """Return what to tell of an exception that ended the command."""
    match error:
        case ErrorList():
            return error.errors
        case ProvisionError():
            return (error,)
        case KeyboardInterrupt() | click.Abort():
            return (_stopped("SIGINT"),)
        case click.ClickException():
            return (_usage_error(error),)
    name = find_signal(error)
    told = _system_error(error) or (_stopped(name) if name else None)
    if told is None:
        from provisioner.cli.crash import write_crash_report  # noqa: PLC0415 - 20 ms that every other run saves

        told = write_crash_report(error, arguments)
    return (told,)


def _verb_of(arguments: Sequence[str]) -> str:
    first = next((word for word in arguments if not word.startswith("-")), "")
    return first if first in VERBS else "provision"


def _wants_json(arguments: list[str]) -> bool:
    """Tell it before anything is parsed: a command line that does not parse is answered, too."""
    ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in ours or os.environ.get("PROVISION_JSON", "").lower() in _TRUE


def _usage_error(error: click.ClickException) -> UsageError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "provision"
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return UsageError("usage.no_verb", "no verb was given", hints=[f"run `{path} --help`"])
    if isinstance(error, click.NoSuchOption):
        near = did_you_mean(error.option_name, error.possibilities or ())
        return UsageError(
            "usage.command_line",
            f"no such option `{error.option_name}`{near}",
            hints=[f"run `{path} --help`"],
        )
    # click's sentences in the form of ours
    message = " ".join(re.sub(r"'([^'\n]*)'", r"`\1`", error.format_message().rstrip(".")).split())
    message = message.replace(". Choose", "; choose")
    return UsageError("usage.command_line", message[:1].lower() + message[1:], hints=[f"run `{path} --help`"])


def _stopped(name: str) -> StoppedError:
    code = ExitCode(EXIT_CODES[name])
    error = StoppedError(
        f"signal.{code.name.lower()}",
        f"stopped by {name}; nothing half-made is in use",
        hints=["run the same command again: what was fetched and built is kept, a validation begins anew"],
    )
    error.exit_code = code  # type: ignore[misc] # per instance: that of the signal
    return error


def _system_error(error: BaseException) -> ProvisionError | None:
    """Return the sentence for what the operating system refused; None where it did not."""
    if not isinstance(error, OSError) or not error.strerror:
        return None
    is_refused = error.errno in REFUSALS and error.filename
    kind, code = (UnavailableError, "unavailable.file") if is_refused else (InternalError, "internal.system")
    place = f"`{error.filename}`" if error.filename else "a file"
    return kind(
        code,
        f"{place} could not be read or written: {error.strerror.lower()}",
        hints=["mend its permissions or free some space, and run the same command again"],
        context={"path": str(error.filename or ""), "errno": error.errno},
    )


def mend_streams() -> None:
    """Let no character end a run that a console cannot show (cp1252, ASCII), and no closed stream."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - for the whole run
        reconfigure: Callable[..., None] | None = getattr(getattr(sys, name), "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
