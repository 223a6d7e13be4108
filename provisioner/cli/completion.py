"""``provision completion``: print the completion script of a shell."""

import os
from collections.abc import Mapping

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from provisioner.cli.main import COMPLETE_VARIABLE, root
from provisioner.cli.options import settings_flags, verb
from provisioner.pipeline.settings import Settings
from provisioner.render.result import Result


class PowerShellComplete(ShellComplete):
    """PowerShell, which click does not know: a line for each answer, its parts with tabs between."""

    name = "powershell"
    source_template = """\
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $Env:%(complete_var)s = 'powershell_complete'
    $Env:COMP_WORDS = $commandAst.ToString()
    $Env:COMP_CWORD = $wordToComplete
    try {
        %(prog_name)s | ForEach-Object {
            $kind, $value, $told = $_ -split "`t", 3
            if ($kind -eq 'plain') {
                [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $told)
            }
        }
    } finally {
        Remove-Item Env:%(complete_var)s, Env:COMP_WORDS, Env:COMP_CWORD -ErrorAction SilentlyContinue
    }
}
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is completed, and that one."""
        words, incomplete = split_arg_string(os.environ["COMP_WORDS"])[1:], os.environ.get("COMP_CWORD", "")
        return words[:-1] if incomplete and words[-1:] == [incomplete] else words, incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """Return one answer's line; the tip of PowerShell's menu must not be empty."""
        return f"{item.type}\t{item.value}\t{item.help or item.value}"


add_completion_class(PowerShellComplete)
SHELLS: Mapping[str, type[ShellComplete]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
    "powershell": PowerShellComplete,
}


@verb("completion")
@click.argument("shell", type=click.Choice(list(SHELLS)))
@settings_flags
def command(*, settings: Settings, shell: str) -> Result:
    """Print the completion script of SHELL; evaluate it in the shell's start-up file."""
    del settings
    completion = SHELLS[shell](root, {}, "provision", COMPLETE_VARIABLE)
    # Not its `source()`: that starts a bash to ask for its version.
    script = completion.source_template % completion.source_vars()
    return Result(data={"shell": shell, "script": script}, text=script, verbatim=True)
