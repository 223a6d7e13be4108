"""``provision integrate``: let Jupyter and VS Code start an environment."""

from pathlib import Path

from provisioner.cli.options import argument, flag, settings_flags, verb
from provisioner.errors import UsageError
from provisioner.install.tools import Tools
from provisioner.pipeline.integrate import integrate, separate
from provisioner.pipeline.settings import Settings
from provisioner.render.integrate import render_integrated
from provisioner.render.result import Result


@verb("integrate")
@argument("environment", metavar="[ENVIRONMENT]", required=False)
@flag("--jupyter", is_flag=True, help="Write a kernel into your Jupyter's data folder.")
@flag("--vscode", is_flag=True, help="Write the interpreter into the folder's .vscode/settings.json.")
@flag("--folder", metavar="DIR", default=".", help="The folder that VS Code opens; default: this one.")
@flag("--remove", is_flag=True, help="Take back what was written; without a tool, of both.")
@settings_flags
def command(
    *, settings: Settings, environment: str | None, jupyter: bool, vscode: bool, folder: str, remove: bool
) -> Result:
    """Let Jupyter and VS Code start ENVIRONMENT; both keep a path that follows its generations.

    A kernel needs ipykernel in the environment's lock: nothing is installed beside it. Comments in the
    settings stay.
    """
    name = settings.choose_name(environment)
    if remove:
        both = not jupyter and not vscode
        tools = Tools(jupyter=jupyter or both, vscode=vscode or both, folder=Path(folder))
        return render_integrated(name, tools, separate(settings, name, tools), removed=True)
    if not jupyter and not vscode:
        raise UsageError(
            "usage.no_tool", "`integrate` was given no tool", hints=["name `--jupyter`, `--vscode` or both"]
        )
    tools = Tools(jupyter=jupyter, vscode=vscode, folder=Path(folder))
    generation = settings.load_environment(name)
    return render_integrated(name, tools, integrate(settings, generation, tools), removed=False)
