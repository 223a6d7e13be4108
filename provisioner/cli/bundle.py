"""``provision bundle``: everything that profiles need in one file, for machines without a network."""

from pathlib import Path

import click

from provisioner.cli.named_files import check_output
from provisioner.cli.options import argument, flag, settings_flags, verb
from provisioner.errors import UsageError
from provisioner.ground.names import PLATFORMS
from provisioner.pipeline.bundle import BundleChoices, bundle
from provisioner.pipeline.bundle_check import check_bundle, list_bundle
from provisioner.pipeline.settings import Settings, host_platform
from provisioner.render.bundle import render_bundle, render_checked_bundle, render_members
from provisioner.render.progress import show_progress
from provisioner.render.result import Result


@verb("bundle")
@argument("names", nargs=-1, required=True, metavar="PROFILE...|FILE")
@flag("-o", "--output", metavar="FILE", help="The bundle to write.")
@flag(
    "--platform",
    "platforms",
    multiple=True,
    type=click.Choice(PLATFORMS),
    help="What it shall be installed on; repeatable. Default: this machine's.",
)
@flag("--no-tool", is_flag=True, help="Leave out provision itself.")
@flag(
    "--tool-python",
    "tool_pythons",
    multiple=True,
    metavar="X.Y",
    help="Also for this Python on the other machine, beside the profiles' own; repeatable.",
)
@flag(
    "--managed-python",
    is_flag=True,
    help="Also the Python that `create --managed-python` makes virtual environments of.",
)
@flag("--list", "list_only", is_flag=True, help="List what the bundle FILE holds.")
@flag("--check", is_flag=True, help="Compare every byte of the bundle FILE with its manifest and lockfiles.")
@settings_flags
def command(
    *,
    settings: Settings,
    names: tuple[str, ...],
    output: str | None,
    platforms: tuple[str, ...],
    no_tool: bool,
    tool_pythons: tuple[str, ...],
    managed_python: bool,
    list_only: bool,
    check: bool,
) -> Result:
    """Put everything that PROFILE needs into one file, for `provision create --bundle FILE`.

    With --list or --check it looks into the bundle FILE instead.
    """
    if list_only or check:
        return _look(settings, names, output, check=check)
    if output is None:
        raise UsageError(
            "usage.bundle_output", "name the bundle to write", hints=["add `--output FILE` (`-o FILE`)"]
        )
    check_output(output, "--output")
    choices = BundleChoices(
        platforms=platforms or (host_platform(),),
        tool=not no_tool,
        tool_pythons=tool_pythons,
        managed_python=managed_python,
    )
    profiles = [settings.load_profile(name) for name in dict.fromkeys(names)]
    with show_progress(settings.environ) as listener:
        written = bundle(settings, profiles, Path(output), choices, on_event=listener)
    return render_bundle(written.path, written.manifest, size=written.size, sha256=written.sha256)


def _look(settings: Settings, names: tuple[str, ...], output: str | None, *, check: bool) -> Result:
    if len(names) != 1 or output is not None:
        raise UsageError(
            "usage.bundle_file",
            "`--list` and `--check` look into one bundle, and write none",
            hints=["name one file, without `--output`"],
        )
    path = Path(names[0])
    if not check:
        return render_members(path, list_bundle(path))
    with show_progress(settings.environ) as listener:
        checked = check_bundle(path, on_event=listener)
    return render_checked_bundle(path, checked.manifest, packages=checked.packages)
