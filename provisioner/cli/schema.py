"""``provision schema``: print the JSON Schema of profiles."""

import json

import click

from provisioner.cli.options import settings_flags
from provisioner.pipeline.settings import Settings
from provisioner.profile.schema import json_schema
from provisioner.render.result import Result


@click.command("schema")
@settings_flags
def command(*, settings: Settings) -> Result:
    """Print the JSON Schema of profiles, for editors."""
    del settings
    schema = json_schema()
    return Result(data={"schema": schema}, text=json.dumps(schema, indent=2))
