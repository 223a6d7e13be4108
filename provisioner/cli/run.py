"""``provision run``: run a program inside an environment."""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from provisioner.cli.options import VerbCommand, argument, flag, settings_flags, verb
from provisioner.engines.process.become import become_program, find_program
from provisioner.errors import UsageError
from provisioner.install.activation import apply_activation, choose_devices, find_activation
from provisioner.install.generations import EnvironmentHome
from provisioner.install.in_use import hold_generation
from provisioner.pipeline.settings import Settings

# Another Python's would answer for, or change, another environment.
_OWN_ONLY = re.compile(r"(?P<name>python|pip)[w\d.]*?(?:\.exe)?", re.IGNORECASE)


class _RunCommand(VerbCommand):
    """`run -- PROGRAM` names no environment: the folder's is meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put an empty name before a `--` that no name stands before."""
        with_value = {
            name for option in self.params for name in option.opts if not getattr(option, "is_flag", True)
        }
        for number, word in enumerate(args):
            if word == "--":
                return super().parse_args(ctx, [*args[:number], "", *args[number:]])
            if not word.startswith("-") and (number == 0 or args[number - 1] not in with_value):
                break
        return super().parse_args(ctx, args)


@verb(
    "run",
    cls=_RunCommand,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@argument("environment", metavar="[ENVIRONMENT]")
@click.argument(
    "program", metavar="[--] PROGRAM [ARGUMENT]...", nargs=-1, type=click.UNPROCESSED, required=True
)
@flag("--device", metavar="DEVICE", help="Let it see this device only: cpu, xpu:1, xpu:0,xpu:1.")
@settings_flags
def command(*, settings: Settings, environment: str, program: tuple[str, ...], device: str | None) -> Any:
    """Run PROGRAM inside ENVIRONMENT; its exit code is ours. Without a name the folder's is meant."""
    words = program[1:] if program[0] == "--" else program
    if not words:
        raise UsageError("usage.no_program", "`run` was given no program", hints=["name one after `--`"])
    environment = settings.choose_name(environment)
    generation = settings.load_environment(environment)
    activation = find_activation(generation)
    variables = apply_activation(activation, settings.environ, windows=sys.platform == "win32")
    if device is not None:
        variables |= choose_devices(device)
    _refuse_foreign(
        words[0],
        variables,
        own=activation.path[:-1],
        environment=environment,
        profile=generation.receipt.profile,
    )
    home = EnvironmentHome(data=settings.data)
    with hold_generation(home, generation, command=f"provision run {environment}"):
        return become(words, variables, where=f"environment `{environment}`")


def _refuse_foreign(
    program: str, variables: Mapping[str, str], *, own: Sequence[str], environment: str, profile: str
) -> None:
    """Refuse a bare `python` or `pip` that is not the environment's own.

    Raises:
        UsageError: The environment has none.
    """
    named = _OWN_ONLY.fullmatch(program)
    if named is None:
        return
    found = find_program(program, variables)
    if found is not None and Path(found).parent in {Path(folder) for folder in own}:
        return
    if named["name"].lower() == "pip":
        hint = f"run `provision add {profile} PACKAGE`, which locks it: environments have no pip"
    else:
        hint = f"run `provision repair {environment}` if its Python is gone"
    raise UsageError(
        "usage.no_program", f"environment `{environment}` has no program `{program}` of its own", hints=[hint]
    )


def become(words: Sequence[str], variables: Mapping[str, str], *, where: str) -> int:
    """Turn into the program; on Windows, which cannot, wait for it and return its exit code.

    Raises:
        UsageError: There is no such program, or it cannot be started.
    """
    found = find_program(words[0], variables)
    if found is None:
        raise UsageError(
            "usage.no_program",
            f"{where} has no program `{words[0]}`",
            hints=[
                f"run `python {words[0]}` in it"
                if words[0].endswith(".py")
                else "name a program of the environment, or one on `PATH`"
            ],
        )
    try:
        return become_program(found, words, variables)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            "usage.no_program",
            f"`{found}` cannot be started: {why[:1].lower()}{why[1:]}",
            hints=["name a program that this system can run; a script needs its interpreter before it"],
        ) from error
