"""``provision fleet``: many machines, through Ansible."""

from pathlib import Path

import click

from provisioner.cli.options import argument, flag, settings_flags
from provisioner.cli.output import check_output, write_output
from provisioner.pipeline.fleet_report import read_fleet
from provisioner.pipeline.settings import Settings
from provisioner.render.fleet import render_fleet
from provisioner.render.fleet_html import write_html
from provisioner.render.fleet_junit import write_junit
from provisioner.render.result import Result


@click.group("fleet")
def command() -> None:
    """Build and prove an environment on many machines, and read what they answered."""


@command.command("report")
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
    files = {"html": html} if html else {}
    if html:
        write_output(html, write_html(fleet.machines, fleet.rows), "--html")
    result = render_fleet(fleet.machines, fleet.rows, files=files)
    if form == "text":
        return result
    return Result(
        data=result.data,
        text=write_junit(fleet.machines).rstrip(),
        exit_code=result.exit_code,
        errors=result.errors,
    )
