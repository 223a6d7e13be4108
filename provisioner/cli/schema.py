"""``provision schema``: print the JSON Schema of profiles."""

import json

import click

from provisioner.cli.options import settings_flags
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings


@click.command("schema")
@settings_flags
def command(*, settings: Settings) -> Result:
    """Print the JSON Schema of profiles, for editors."""
    from provisioner.profile.schema import json_schema  # noqa: PLC0415 - `--help` stays fast

    del settings
    schema = json_schema()
    return Result(data={"schema": schema}, text=json.dumps(schema, indent=2))
