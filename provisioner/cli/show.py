"""``provision show``: a merged profile and where each value was written."""

import click

from provisioner.cli.options import argument, settings_flags
from provisioner.pipeline.settings import Settings
from provisioner.render.profile import as_dict, show_rows
from provisioner.render.result import Result


@click.command("show")
@argument("profile_name", metavar="PROFILE")
@settings_flags
def command(*, settings: Settings, profile_name: str) -> Result:
    """Show PROFILE as its stacks and sections make it, and where each value was written."""
    profile = settings.load_profile(profile_name)
    rows = show_rows(profile)
    key_width = max(len(row.key) for row in rows)
    value_width = min(max(len(row.value) for row in rows), 48)
    lines = [
        f"{row.key:<{key_width}}  {row.value:<{value_width}}  {row.origin or 'default'}".rstrip()
        for row in rows
    ]
    return Result(data=as_dict(profile), text="\n".join(lines))
