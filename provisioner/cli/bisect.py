"""``provision bisect``: find the package change that broke what worked."""

import click

from provisioner.cli.options import DeviceName, flag, no_gate_flag, settings_flags, verb
from provisioner.pipeline.bisect import bisect
from provisioner.pipeline.bisect_bench import BisectChoices
from provisioner.pipeline.settings import Settings
from provisioner.render.bisect import render_bisect
from provisioner.render.progress import show_progress
from provisioner.render.result import Result


@verb("bisect", context_settings={"ignore_unknown_options": False})
@click.argument("good", metavar="GOOD")
@click.argument("bad", metavar="BAD")
@click.argument("program", metavar="[-- COMMAND [ARGUMENT]...]", nargs=-1, type=click.UNPROCESSED)
@flag("--profile", metavar="PROFILE", help="The profile, where neither GOOD nor BAD is a lockfile.")
@flag("--device", type=DeviceName(), metavar="DEVICE", help="Validate on this device: cpu, xpu, xpu:1, cuda.")
@flag(
    "--command-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="A COMMAND that takes longer is bad.",
)
@no_gate_flag
@flag("--restart", is_flag=True, help="Forget what an earlier run of the same bisection has judged.")
@settings_flags
def command(
    *,
    settings: Settings,
    good: str,
    bad: str,
    program: tuple[str, ...],
    profile: str | None,
    device: str | None,
    command_timeout: float,
    no_gate: bool,
    restart: bool,
) -> Result:
    """Find the smallest set of package changes that turns GOOD into BAD.

    GOOD and BAD are lockfiles, git revisions, or dates as of which the profile is locked. Mixtures of the two
    are built beside the environments, judged by the validation or by COMMAND's exit code (0 is good, 125
    cannot tell, all else is bad), and deleted. The same command goes on where it was stopped.
    """
    choices = BisectChoices(
        profile=profile,
        command=program,
        device=device,
        timeout_s=command_timeout,
        gate=not no_gate,
        restart=restart,
    )
    with show_progress(settings.environ) as listener:
        found = bisect(settings, good, bad, choices, on_event=listener)
    mixture = found.mixture
    return render_bisect(
        found.profile,
        platform=mixture.good.platform,
        sizes=(sum(map(len, mixture.groups)), len(mixture.groups)),
        builds=[(len(each.groups), each.outcome.value, each.reason, each.earlier) for each in found.judged],
        difference=found.difference,
        pins=found.pins,
        unsure=bool(found.culprit.suspects),
    )
