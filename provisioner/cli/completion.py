"""``provision completion``: print the completion script of a shell."""

import click
from click.shell_completion import get_completion_class

from provisioner.cli.main import root
from provisioner.cli.options import settings_flags
from provisioner.errors import UsageError
from provisioner.pipeline.settings import Settings
from provisioner.render.result import Result


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@settings_flags
def command(*, settings: Settings, shell: str) -> Result:
    """Print the completion script of SHELL; evaluate it in the shell's start-up file."""
    del settings
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(
            "usage.shell", f"there is no completion for `{shell}`", hints=["name bash, zsh or fish"]
        )
    completion = kind(root, {}, "provision", "_PROVISION_COMPLETE")
    # Not its `source()`: that starts a bash to ask for its version.
    script = completion.source_template % completion.source_vars()
    return Result(data={"shell": shell, "script": script}, text=script)
