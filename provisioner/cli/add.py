"""``provision add``: change a profile's packages, lock and build it, or leave all as it was."""

import click

from provisioner.cli.options import argument, flag, lock_timeout_flag, settings_flags, target_flags, verb
from provisioner.cli.unfinished import undo_killed_changes
from provisioner.errors import UsageError
from provisioner.pipeline.add import Change, change_packages
from provisioner.pipeline.create import CreateChoices
from provisioner.pipeline.settings import Settings
from provisioner.render.add import render_changed
from provisioner.render.create import render_environment
from provisioner.render.progress import show_progress
from provisioner.render.result import Result


@verb("add")
@argument("profile_name", metavar="PROFILE")
@click.argument("packages", metavar="PACKAGE...", nargs=-1)
@flag("--conda", is_flag=True, help="They are conda packages.")
@flag("--remove", is_flag=True, help="Take them out of the profile.")
@flag("--name", metavar="ENVIRONMENT", help="Name of the environment; the profile's by default.")
@target_flags
@flag("--no-create", is_flag=True, help="Change and lock the profile only.")
@flag("--no-validate", is_flag=True, help="Build only; the environment stays unvalidated.")
@lock_timeout_flag
@settings_flags
def command(
    *,
    settings: Settings,
    profile_name: str,
    packages: tuple[str, ...],
    conda: bool,
    remove: bool,
    name: str | None,
    device: str | None,
    no_create: bool,
    no_validate: bool,
    no_gate: bool,
    lock_timeout: float,
) -> Result:
    """Put PACKAGEs into PROFILE, lock it, and update its environment; all of it or nothing.

    The rest of the file stays as it is, comments too, and what was locked stays locked where it still fits.
    When locking, building or validating fails, profile, lockfile and environment are as they were.
    """
    if not packages:
        own = settings.profile
        raise UsageError(
            "usage.no_package",
            "`add` needs a profile and a package, and was given one word",
            hints=[
                f"in this folder: `provision add {own} {profile_name}`"
                if own and own != profile_name
                else f"run `provision add {profile_name} PACKAGE`"
            ],
        )
    change = Change(packages=packages, conda=conda, remove=remove)
    choices = CreateChoices(
        name=name, device=device, validate=not no_validate, gate=not no_gate, lock_timeout_s=lock_timeout
    )
    undo_killed_changes(settings)
    with show_progress(settings.environ) as listener:
        changed = change_packages(
            settings, profile_name, change, None if no_create else choices, on_event=listener
        )
    created, built = changed.created, Result()
    if created is not None:
        built = render_environment(
            changed.profile,
            created.generation,
            created.report,
            elsewhere=created.elsewhere,
            matches=created.matches,
            up_to_date=created.up_to_date,
        )
    return render_changed(
        changed.profile,
        packages,
        done="removed" if remove else "added",
        lockfile=changed.locked.path,
        kept=changed.kept,
        built=built,
    )
