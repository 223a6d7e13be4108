"""``provision audit``: known vulnerabilities and ends of life of locked versions."""

from pathlib import Path

import click

from provisioner.cli.named_files import check_output, write_output
from provisioner.cli.options import argument, flag, format_flag, settings_flags, verb
from provisioner.diagnose.advisories.recorded import write_answers
from provisioner.errors import UsageError
from provisioner.ground.names import PLATFORMS
from provisioner.pipeline.audit import audit
from provisioner.pipeline.lock import load_all_profiles
from provisioner.pipeline.settings import Settings
from provisioner.render.audit import render_audited, with_exit_code
from provisioner.render.result import Result
from provisioner.render.sarif import audit_as_sarif


@verb("audit")
@argument("profiles", nargs=-1, metavar="[PROFILE]...")
@flag("--all", "every", is_flag=True, help="Every profile of the first folder that has any.")
@flag(
    "--platform",
    "platforms",
    multiple=True,
    type=click.Choice(PLATFORMS),
    help="Only this platform; repeatable. Default: all of the lock.",
)
@flag("--answers", metavar="FILE", help="Use what `--save` wrote in place of OSV.")
@flag("--save", metavar="FILE", help="Write what OSV answered, for `--answers`.")
@flag(
    "--exit-code",
    is_flag=True,
    help="Exit 10 for a known vulnerability, 12 for what is archived or over alone, 0 for neither.",
)
@format_flag
@settings_flags
def command(
    *,
    settings: Settings,
    profiles: tuple[str, ...],
    every: bool,
    platforms: tuple[str, ...],
    answers: str | None,
    save: str | None,
    exit_code: bool,
    form: str,
) -> Result:
    """Name known vulnerabilities of the locked versions, archived projects and ends of life.

    OSV is asked about every wheel and every conda package that holds a Python project; with --offline its
    earlier answers count. What `audit.ignore` in `provision.yaml` names does not count up to its day.
    """
    if not every and not profiles and settings.profile:
        profiles = (settings.profile,)
    if every == bool(profiles):
        raise UsageError(
            "usage.audit_what",
            "name the profiles to audit, or `--all`, not both" if every else "name a profile, or `--all`",
            hints=["`provision list` shows the profiles"],
        )
    check_output(save, "--save")
    wanted = load_all_profiles(settings) if every else [settings.load_profile(name) for name in profiles]
    audited, said = audit(
        settings, wanted, platforms=platforms, answers_file=Path(answers) if answers else None
    )
    if save:
        write_output(save, write_answers(said), "--save")
    result = render_audited(audited)
    if form == "sarif":
        result = audit_as_sarif(result)
    return with_exit_code(result) if exit_code else result
