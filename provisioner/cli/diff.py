"""``provision diff``: compare two lockfiles, or one lockfile at two revisions."""

import click

from provisioner.cli.options import flag, settings_flags
from provisioner.pipeline.diff import diff
from provisioner.pipeline.settings import Settings
from provisioner.render.lock_diff import as_json, as_markdown, as_text
from provisioner.render.result import Result


@click.command("diff")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="[NEW]", required=False)
@flag("--markdown", is_flag=True, help="Write Markdown for a pull request.")
@settings_flags
def command(*, settings: Settings, old: str, new: str | None, markdown: bool) -> Result:
    """Compare lockfiles: files, profiles' names, or git's REVISION:PATH.

    With OLD alone, it is compared with its last commit (HEAD).
    """
    difference = diff(settings, old, new)
    text = as_markdown(difference) if markdown else as_text(difference)
    return Result(data=as_json(difference), text=text)
