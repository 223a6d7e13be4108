"""``provision lock``: resolve profiles into lockfiles, or check that lockfiles are fresh."""

from provisioner.cli.options import argument, flag, settings_flags, verb
from provisioner.cli.unfinished import undo_killed_changes
from provisioner.errors import ProvisionError, UsageError
from provisioner.pipeline.attestations import verify_attestations as attest
from provisioner.pipeline.export import verify_urls as verify
from provisioner.pipeline.lock import check_lockfile, load_all_profiles, lock_profiles
from provisioner.pipeline.settings import Settings
from provisioner.render.lock import render_attested, render_checked, render_locked, render_verified
from provisioner.render.progress import show_progress
from provisioner.render.result import Result


@verb("lock")
@argument("profiles", nargs=-1, metavar="[PROFILE]...")
@flag("--all", "every", is_flag=True, help="Every profile of the first folder that has any.")
@flag(
    "--check",
    is_flag=True,
    help="Write nothing; exit 4 where a lockfile is missing or stale; without names: all.",
)
@flag("--update", multiple=True, metavar="PACKAGE", help="Let this package move; repeatable.")
@flag("--upgrade", is_flag=True, help="Let every package move.")
@flag("--verify-urls", is_flag=True, help="Ask for every locked file whether it can still be fetched.")
@flag(
    "--verify-attestations",
    is_flag=True,
    help="Check who signed every locked file, where its index has attestations.",
)
@settings_flags
def command(
    *,
    settings: Settings,
    profiles: tuple[str, ...],
    every: bool,
    check: bool,
    update: tuple[str, ...],
    upgrade: bool,
    verify_urls: bool,
    verify_attestations: bool,
) -> Result:
    """Resolve profiles into lockfiles; what a profile still allows of its old lockfile stays.

    With --check nothing is written and no network is used.
    """
    if check and (update or upgrade):
        raise UsageError(
            "usage.lock_check",
            "`--check` writes nothing and cannot go with `--update` or `--upgrade`",
            hints=["leave one of them out"],
        )
    if not every and not profiles and settings.profile:
        profiles = (settings.profile,)
    every = every or (check and not profiles)
    if every == bool(profiles):
        raise UsageError(
            "usage.lock_what",
            "name the profiles to lock, or `--all`, not both" if every else "name a profile, or `--all`",
            hints=["`provision list` shows the profiles"],
        )
    undo_killed_changes(settings)
    named = [settings.load_profile(name) for name in profiles]
    wanted = load_all_profiles(settings) if every else named
    if check:
        checked = [check_lockfile(settings, profile) for profile in wanted]
        return render_checked((each.profile, each.path, each.problem) for each in checked)
    if verify_urls:
        return render_verified((each.profile, each.files, each.problems) for each in verify(settings, wanted))
    if verify_attestations:
        attested = attest(settings, wanted)
        return render_attested(
            (each.profile, each.publishers, each.silent, each.problems) for each in attested
        )
    with show_progress(settings.environ) as listener:
        outcomes = lock_profiles(settings, wanted, update=update, upgrade=upgrade, on_event=listener)
    return render_locked(
        (profile.name, each if isinstance(each, ProvisionError) else (each.path, each.lock, each.changed))
        for profile, each in zip(wanted, outcomes, strict=True)
    )
