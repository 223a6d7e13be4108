"""``provision export``: write a lockfile in another tool's format."""

from contextlib import closing
from pathlib import Path

import click

from provisioner.cli.options import flag, settings_flags
from provisioner.cli.output import check_output, write_output
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings
from provisioner.errors import UsageError
from provisioner.lock.store import lockfile_path, read_lock
from provisioner.profile.load import load_profile
from provisioner.profile.model import PLATFORMS

_FORMATS = ("conda-lock", "requirements", "pylock", "explicit", "environment", "pip")
_ALIASES = {"pip": "requirements"}


@click.command("export")
@click.argument("profile_name", metavar="PROFILE")
@flag(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    required=True,
    help="The other tool's format; pip is requirements.",
)
@flag(
    "--platform",
    "platforms",
    multiple=True,
    type=click.Choice(PLATFORMS),
    help="Only this platform; repeatable. Default: all.",
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
    """Write the lockfile of PROFILE for another tool, with absolute addresses."""
    from provisioner.cli.addresses import IndexAddresses  # noqa: PLC0415 - `export --help` stays fast
    from provisioner.cli.wiring import Engines  # noqa: PLC0415 - the same
    from provisioner.lock.export import Format, export_lock  # noqa: PLC0415 - the same

    form = _ALIASES.get(form, form)
    profile = load_profile(profile_name, folders=settings.profile_folders)
    lock = read_lock(lockfile_path(settings.find_lockfile_folder(profile.file), profile.name))
    with closing(Engines(settings)) as engines:
        files = export_lock(lock, Format(form), absolute=IndexAddresses(engines), platforms=platforms)
    if output is None:
        if len(files) > 1:
            raise UsageError(
                "usage.export_one",
                f"`--format {form}` gives one file for each of {len(files)} platforms",
                hints=["name one with `--platform`, or a folder with `--output`"],
            )
        name, text = next(iter(files.items()))
        return Result(data={"files": {name: text}}, text=text)
    folder = Path(output)
    check_output(output, "--output")
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        write_output(folder / name, text, "--output")
    written = [(folder / name).as_posix() for name in files]
    return Result(data={"files": written}, text="\n".join(written))
