"""``provision repair``: put an environment's files back as they were built."""

from provisioner.cli.options import argument, flag, lock_timeout_flag, settings_flags, target_flags, verb
from provisioner.pipeline.create import CreateChoices
from provisioner.pipeline.repair import repair
from provisioner.pipeline.settings import Settings
from provisioner.render.create import render_environment
from provisioner.render.progress import show_progress
from provisioner.render.result import Result
from provisioner.render.verify import render_repair


@verb("repair")
@argument("environment", metavar="[ENVIRONMENT]", required=False)
@flag("--rebuild", is_flag=True, help="Build it anew from the profile's lock, whatever is damaged.")
@target_flags
@flag("--no-validate", is_flag=True, help="Build only; the environment stays unvalidated.")
@lock_timeout_flag
@settings_flags
def command(
    *,
    settings: Settings,
    environment: str | None,
    rebuild: bool,
    device: str | None,
    no_gate: bool,
    no_validate: bool,
    lock_timeout: float,
) -> Result:
    """Put back the files of ENVIRONMENT that are not as they were built, and validate it.

    What was added is deleted. What cannot be put back is built anew, beside the damaged one.
    Without a name the folder's environment is meant.
    """
    environment = settings.choose_name(environment)
    choices = CreateChoices(
        name=environment,
        device=device,
        gate=not no_gate,
        validate=not no_validate,
        rebuild=rebuild,
        lock_timeout_s=lock_timeout,
    )
    with show_progress(settings.environ) as listener:
        repaired, restored = repair(settings, environment, choices, on_event=listener)
    return render_repair(
        render_environment(
            repaired.profile,
            repaired.generation,
            repaired.report,
            elsewhere=repaired.elsewhere,
            matches=repaired.matches,
            up_to_date=repaired.up_to_date,
        ),
        restored,
    )
