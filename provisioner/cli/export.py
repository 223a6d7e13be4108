"""``provision export``: write a lockfile in another tool's format."""

import click

from provisioner.cli.named_files import make_output_folder, write_output
from provisioner.cli.options import argument, flag, settings_flags, verb
from provisioner.errors import UsageError
from provisioner.ground.names import PLATFORMS
from provisioner.lock.dockerfile import ContainerForm
from provisioner.lock.export import Format
from provisioner.pipeline.export import export, export_container
from provisioner.pipeline.settings import Settings
from provisioner.render.result import Result

_CONTAINERS = {form.value: form for form in ContainerForm}
_FORMATS = {**{form.value: form for form in Format}, "pip": Format.REQUIREMENTS}


@verb("export")
@argument("profile_name", metavar="PROFILE")
@flag(
    "--format",
    "form",
    type=click.Choice((*_FORMATS, *_CONTAINERS)),
    required=True,
    help="The other tool's format; pip is requirements.",
)
@flag(
    "--platform",
    "platforms",
    multiple=True,
    type=click.Choice(PLATFORMS),
    help="Only this platform; repeatable. Default: this machine's; for conda-lock all.",
)
@flag("--output", metavar="DIR", help="Write files into this folder; without it, one file goes to stdout.")
@settings_flags
def command(
    *,
    settings: Settings,
    profile_name: str,
    form: str,
    platforms: tuple[str, ...],
    output: str | None,
) -> Result:
    """Write the lockfile of PROFILE for another tool, with absolute addresses.

    A Dockerfile and a dev container build the environment of a bundle, which `provision bundle` writes.
    """
    profile = settings.load_profile(profile_name)
    if form in _CONTAINERS:
        files = export_container(settings, profile, _CONTAINERS[form], platforms=platforms)
    else:
        files = export(settings, profile, _FORMATS[form], platforms=platforms)
    if output is None:
        if len(files) > 1:
            raise UsageError(
                "usage.export_one",
                f"`--format {form}` gives {len(files)} files: {', '.join(f'`{name}`' for name in files)}",
                hints=["name a folder for them with `--output`"]
                if form in _CONTAINERS
                else ["name one platform with `--platform`, or a folder with `--output`"],
            )
        name, text = next(iter(files.items()))
        return Result(data={"files": {name: text}}, text=text, verbatim=True)
    folder = make_output_folder(output, "--output")
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        write_output(folder / name, text, "--output")
    written = [str(folder / name) for name in files]
    return Result(data={"files": written}, text="\n".join(written))
