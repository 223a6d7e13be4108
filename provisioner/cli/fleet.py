"""``provision fleet``: many machines, through Ansible."""

from pathlib import Path

import click

from provisioner.cli.named_files import check_output, write_output
from provisioner.cli.options import Age, VerbCommand, argument, flag, settings_flags
from provisioner.errors import UsageError
from provisioner.pipeline.fleet_report import Fleet, read_fleet
from provisioner.pipeline.fleet_run import FleetChoices, run_fleet
from provisioner.pipeline.settings import Settings
from provisioner.render.fleet import render_fleet
from provisioner.render.fleet_html import write_html
from provisioner.render.fleet_junit import write_junit
from provisioner.render.progress import show_progress
from provisioner.render.result import Result


@click.group("fleet")
def command() -> None:
    """Build and prove an environment on many machines, and read what they answered."""


@command.command("run", cls=VerbCommand)
@argument("inventory", metavar="INVENTORY")
@argument("profile_name", metavar="PROFILE")
@flag(
    "--forks",
    type=click.IntRange(min=1, max=1000),
    default=5,
    show_default=True,
    metavar="N",
    help="On how many machines at a time.",
)
@flag("--limit", metavar="PATTERN", help="Only these machines and groups, as Ansible writes them.")
@flag("--verdicts", metavar="DIR", help="Where the machines' files go; default: `verdicts/PROFILE`.")
@flag("--all", "every", is_flag=True, help="Ask machines again that are proven already.")
@flag(
    "--max-age",
    type=Age(),
    default="1d",
    show_default=True,
    metavar="AGE",
    help="How old the verdict of a machine that is not asked again may be: `12h`, `8w`.",
)
@flag("--playbook", metavar="FILE", help="A playbook in place of ours; it leaves the same files.")
@flag("--html", metavar="FILE", help="Also write one self-contained page.")
@settings_flags
def run(
    *,
    settings: Settings,
    inventory: str,
    profile_name: str,
    forks: int,
    limit: str | None,
    verdicts: str | None,
    every: bool,
    max_age: float,
    playbook: str | None,
    html: str | None,
) -> Result:
    """Build and prove PROFILE on the machines of an Ansible INVENTORY.

    A run that was stopped goes on: machines that passed with this lock within a day are not asked again.
    """
    check_output(html, "--html")
    if playbook is not None and not Path(playbook).is_file():
        raise UsageError(
            "usage.no_playbook",
            f"`--playbook`: there is no file `{playbook}`",
            hints=["name a playbook of Ansible's"],
        )
    name = Path(profile_name).name.removesuffix(".yaml")
    choices = FleetChoices(
        verdicts=Path(verdicts) if verdicts else Path("verdicts", name),
        forks=forks,
        limit=limit,
        every=every,
        max_age_s=max_age,
        playbook=Path(playbook) if playbook else None,
    )
    with show_progress(settings.environ) as listener:
        fleet = run_fleet(settings, inventory, profile_name, choices, on_event=listener)
    return _answer(fleet, html)


@command.command("report", cls=VerbCommand)
@argument("folders", nargs=-1, required=True, metavar="DIR...")
@flag("--html", metavar="FILE", help="Also write one self-contained page.")
@flag(
    "--format",
    "form",
    type=click.Choice(("text", "junit")),
    default="text",
    show_default=True,
    help="Print words, or JUnit XML with one test case a machine.",
)
@settings_flags
def report(*, settings: Settings, folders: tuple[str, ...], html: str | None, form: str) -> Result:
    """Judge the files that the machines' runs left in DIR: one line a machine, the worst first.

    A machine that DIR/hosts.txt names and that left no file is missing, and never counted as good.
    """
    check_output(html, "--html")
    fleet = read_fleet(settings, [Path(folder) for folder in folders])
    result = _answer(fleet, html)
    if form == "text":
        return result
    return Result(
        data=result.data,
        text=write_junit(fleet.machines).rstrip(),
        exit_code=result.exit_code,
        errors=result.errors,
    )


def _answer(fleet: Fleet, html: str | None) -> Result:
    if html:
        write_output(html, write_html(fleet.machines, fleet.rows), "--html")
    return render_fleet(fleet.machines, fleet.rows, files={"html": html} if html else {})
