"""``provision create``: build the locked environment of a profile and prove it with a real model."""

from pathlib import Path

from provisioner.cli.options import argument, flag, lock_timeout_flag, settings_flags, target_flags, verb
from provisioner.cli.unfinished import undo_killed_changes
from provisioner.errors import UsageError
from provisioner.install.tools import Tools
from provisioner.pipeline.bundle_use import hold_bundle
from provisioner.pipeline.create import CreateChoices, create
from provisioner.pipeline.integrate import integrate
from provisioner.pipeline.settings import Settings
from provisioner.render.create import render_environment
from provisioner.render.progress import show_progress
from provisioner.render.result import Result
from provisioner.validate.model import Verdict


@verb("create")
@argument("profile_name", metavar="[PROFILE]", required=False)
@flag("--bundle", metavar="FILE", help="Take profile, lock and files from this bundle; no network is used.")
@flag("--name", metavar="ENVIRONMENT", help="Name of the environment; the profile's by default.")
@target_flags
@flag("--width/--no-width", default=None, help="Also run layers of the real model's size (default on a GPU).")
@flag("--no-validate", is_flag=True, help="Build only; the environment stays unvalidated.")
@flag("--rebuild", is_flag=True, help="Build anew although the environment is up to date.")
@flag(
    "--lock/--locked",
    "lock_first",
    default=False,
    help="Resolve and write the lockfile first if it is missing or stale; --locked: never.",
)
@flag(
    "--managed-python",
    is_flag=True,
    help="Make a virtual environment of a Python that is fetched, not of one on this machine.",
)
@flag("--jupyter", is_flag=True, help="Also write a kernel into your Jupyter's data folder.")
@flag("--vscode", is_flag=True, help="Also write the interpreter into ./.vscode/settings.json.")
@flag("--dry-run", is_flag=True, help="Tell what would be fetched and built; make nothing.")
@lock_timeout_flag
@settings_flags
def command(
    *,
    settings: Settings,
    profile_name: str | None,
    bundle: str | None,
    name: str | None,
    device: str | None,
    width: bool | None,
    no_validate: bool,
    no_gate: bool,
    rebuild: bool,
    lock_first: bool,
    managed_python: bool,
    jupyter: bool,
    vscode: bool,
    dry_run: bool,
    lock_timeout: float,
) -> Result:
    """Build the locked environment of PROFILE and prove it with a real model.

    With nothing to do it says so and touches nothing. Without a name the folder's profile is meant; a bundle
    with one profile needs none.
    """
    choices = CreateChoices(
        name=name,
        device=device,
        width=width,
        validate=not no_validate,
        gate=not no_gate,
        rebuild=rebuild,
        lock=lock_first,
        managed_python=managed_python,
        tools=Tools(jupyter=jupyter, vscode=vscode) if jupyter or vscode else None,
        lock_timeout_s=lock_timeout,
    )
    if bundle is None:
        return _create(settings, settings.choose_name(profile_name), choices, dry_run=dry_run)
    if lock_first:
        raise UsageError(
            "usage.bundle_lock",
            "`--bundle` brings its own lock, and `--lock` cannot go with it",
            hints=["leave one of them out"],
        )
    with hold_bundle(settings, Path(bundle), profile_name) as (held, name_in_bundle):
        return _create(held, name_in_bundle, choices, dry_run=dry_run)


def _create(settings: Settings, profile_name: str, choices: CreateChoices, *, dry_run: bool) -> Result:
    undo_killed_changes(settings)
    profile = settings.load_profile(profile_name)
    if dry_run:
        from provisioner.cli.dry_run import preview  # noqa: PLC0415 - 60 ms that other runs save

        return preview(settings, profile, choices)
    with show_progress(settings.environ) as listener:
        created = create(settings, profile, choices, on_event=listener)
    failed = created.report is not None and created.report.verdict is Verdict.FAILED
    tools = None if failed else choices.tools
    return render_environment(
        created.profile,
        created.generation,
        created.report,
        elsewhere=created.elsewhere,
        matches=created.matches,
        up_to_date=created.up_to_date,
        integrated=(tools, integrate(settings, created.generation, tools)) if tools else None,
    )
