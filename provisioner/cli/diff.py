"""``provision diff``: compare two lockfiles, or one lockfile at two revisions."""

from dataclasses import asdict

import click

from provisioner.cli.options import flag, settings_flags, verb
from provisioner.pipeline.diff import diff
from provisioner.pipeline.settings import Settings
from provisioner.render.lock_diff import as_markdown, as_text
from provisioner.render.result import Result


@verb("diff")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="[NEW]", required=False)
@flag("--markdown", is_flag=True, help="Write Markdown for a pull request.")
@settings_flags
def command(*, settings: Settings, old: str, new: str | None, markdown: bool) -> Result:
    """Compare lockfiles: files, profiles' names, git's REVISION:PATH, or all lockfiles of a git REVISION.

    With OLD alone, a lockfile is compared with its last commit (HEAD), and a revision's with today's.
    """
    found = diff(settings, old, new)
    tell = as_markdown if markdown else as_text
    if not isinstance(found, list):
        return Result(data=asdict(found), text=tell(found))
    text = "\n".join(tell(each) for each in found) or "no lockfile has changed"
    return Result(data={"profiles": [asdict(each) for each in found]}, text=text)
