"""``provision schema``: print the JSON Schema of profiles, or of another document."""

import json

import click

from provisioner.cli.options import flag, settings_flags, verb
from provisioner.diagnose.evidence import form
from provisioner.pipeline.settings import Settings
from provisioner.profile.schema import json_schema
from provisioner.render.result import Result

_SCHEMAS = {"profile": json_schema, "evidence": form.json_schema}


@verb("schema")
@flag(
    "--of",
    "kind",
    type=click.Choice(tuple(_SCHEMAS)),
    default="profile",
    help="What `report` writes: evidence.",
)
@settings_flags
def command(*, settings: Settings, kind: str) -> Result:
    """Print the JSON Schema of profiles, for editors, or of the files that `provision report` writes."""
    del settings
    schema = _SCHEMAS[kind]()
    return Result(data={"schema": schema}, text=json.dumps(schema, indent=2), verbatim=True)
