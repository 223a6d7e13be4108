"""The command ``provision``: find the verb, run it, and answer with its exit code."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from provisioner import __version__
from provisioner.cli.result import Result
from provisioner.errors import ErrorList, ExitCode, ProvisionError, UsageError

# Verb to its one line of help; the module provisioner.cli.<verb> is imported when the verb runs, so that
# `provision --help` loads no engine.
VERBS = {
    "create": "Build the locked environment of a profile and prove it with a real model.",
    "lock": "Resolve profiles into lockfiles, or check that lockfiles are fresh.",
    "validate": "Run the validation of a built environment again.",
    "doctor": "Judge this machine layer by layer: GPU, driver, libraries, environment.",
    "explain": "Name the cause and the cure of a failure in a log, or of an environment.",
    "list": "List profiles and environments.",
    "show": "Show a merged profile and where each value was written.",
    "run": "Run a program inside an environment.",
    "shell": "Open a shell inside an environment.",
    "activate": "Print the commands that activate an environment in a shell.",
    "repair": "Build a damaged environment again from its lock.",
    "remove": "Remove an environment.",
    "clean": "Remove what no environment needs: old generations, partial files.",
    "diff": "Compare two lockfiles, or one lockfile at two revisions.",
    "export": "Write a lockfile in another tool's format.",
    "schema": "Print the JSON Schema of profiles.",
    "completion": "Print the completion script of a shell.",
}


class VerbGroup(click.Group):
    """Loads each verb's module when it is called."""

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
            from difflib import get_close_matches  # noqa: PLC0415 - only after a typing mistake

            near = get_close_matches(args[0], VERBS, n=1) if args else []
            if near:
                raise click.UsageError(f"no such verb `{args[0]}`; did you mean `{near[0]}`?") from error
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


class SignalledError(BaseException):
    """A signal asked us to stop; its number is the first argument."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with the contract's exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _make_output_lenient()
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _raise_signal)
    code = run(arguments)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        # The reader of a pipe has gone; that is its choice, and nobody is left to tell.
        pass
    except OSError:
        code = code or int(ExitCode.INTERNAL)
    # Engines' native threads may crash an orderly exit after everything is done (see docs/decisions).
    os._exit(code)


def run(arguments: list[str]) -> int:  # noqa: PLR0911 - one return for each way to end
    """Run the command line and return the exit code; everything is printed."""
    from provisioner.render.answer import Answer  # noqa: PLC0415 - after --help has answered

    answer = Answer(command=_verb_of(arguments), as_json="--json" in _before_separator(arguments))
    try:
        outcome = root.main(arguments, prog_name="provision", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        return answer.fail(_usage_error(error))
    except ErrorList as error:
        return answer.fail(*error.errors)
    except ProvisionError as error:
        return answer.fail(error)
    except (KeyboardInterrupt, click.Abort):
        return answer.stopped(ExitCode.INTERRUPTED, "interrupted")
    except SignalledError as error:
        code = {signal.SIGTERM: ExitCode.TERMINATED}.get(error.args[0], ExitCode.HANGUP)
        return answer.stopped(code, f"stopped by signal {error.args[0]}")
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.OK)
    except Exception as error:  # noqa: BLE001 - the last net: a report file, one sentence and exit 1
        from provisioner.cli.crash import write_crash_report  # noqa: PLC0415 - only when we crash

        return answer.fail(write_crash_report(error, arguments))
    if isinstance(outcome, Result):
        return answer.finish(
            outcome.data, text=outcome.text, code=int(outcome.exit_code), errors=outcome.errors
        )
    return int(outcome or 0)


def _verb_of(arguments: Sequence[str]) -> str:
    return next((word for word in arguments if word in VERBS), "provision")


def _before_separator(arguments: list[str]) -> list[str]:
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _usage_error(error: click.ClickException) -> UsageError:
    message = error.format_message().rstrip(".")
    message = message[:1].lower() + message[1:]
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "provision"
    return UsageError("usage.command_line", message, hints=[f"run `{path} --help`"])


def _raise_signal(number: int, frame: Any) -> None:
    del frame
    raise SignalledError(number)


def _make_output_lenient() -> None:
    """Let no character that a console cannot show end a run: cp1252 and ASCII terminals exist."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Callable[..., None] | None = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
