"""``provision lock``: resolve profiles into lockfiles, or check that lockfiles are fresh."""

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provisioner.cli.options import flag, settings_flags
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings
from provisioner.errors import ErrorList, ExitCode, ProvisionError, UsageError
from provisioner.events import Notice
from provisioner.profile.load import list_profiles, load_profile
from provisioner.profile.model import Profile

if TYPE_CHECKING:
    from provisioner.pipeline import Locked

# Each profile already solves its platforms side by side.
_PROFILES_AT_ONCE = 2


@click.command("lock")
@click.argument("profiles", nargs=-1, metavar="[PROFILE]...")
@flag("--all", "every", is_flag=True, help="Every profile of the first folder that has any.")
@flag("--check", is_flag=True, help="Write nothing; exit 4 where a lockfile is missing or stale.")
@flag("--update", multiple=True, metavar="PACKAGE", help="Let this package move; repeatable.")
@flag("--upgrade", is_flag=True, help="Let every package move.")
@flag("--verify-urls", is_flag=True, help="Ask for every locked file whether it can still be fetched.")
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
    wanted = [
        load_profile(name, folders=settings.profile_folders) for name in _names(settings, profiles, every)
    ]
    if check:
        return _check(settings, wanted)
    if verify_urls:
        from provisioner.cli.verify_urls import verify_lockfiles  # noqa: PLC0415 - a nightly job's verb

        return verify_lockfiles(settings, wanted)
    return _lock(settings, wanted, update=update, upgrade=upgrade)


def _names(settings: Settings, profiles: tuple[str, ...], every: bool) -> list[str]:  # noqa: FBT001 - a flag's value
    if every == bool(profiles):
        raise UsageError(
            "usage.lock_what",
            "name the profiles to lock, or `--all`, not both" if every else "name a profile, or `--all`",
            hints=["`provision list` shows the profiles"],
        )
    if not every:
        return list(profiles)
    # `--all` means one folder, not the built-in profiles beside it; what it extends may lie there.
    listed = list_profiles(settings.profile_folders)
    for folder in settings.profile_folders:
        entries = [entry for entry in listed if Path(entry.file).parent == folder]
        broken = [entry.error for entry in entries if entry.error is not None]
        if broken:
            raise broken[0]
        if entries:
            return [entry.name for entry in entries]
    raise UsageError("usage.no_profiles", "no folder holds a profile", hints=["name one with `--envs DIR`"])


def _check(settings: Settings, wanted: list[Profile]) -> Result:
    from provisioner.pipeline import check_lock  # noqa: PLC0415 - after the arguments are known to be good

    lines: list[str] = []
    rows: list[dict[str, Any]] = []
    errors: list[ProvisionError] = []
    for profile in wanted:
        folder = settings.find_lockfile_folder(profile.file)
        path = folder / f"{profile.name}.conda-lock.yml"
        try:
            stale = check_lock(profile, folder=folder)
        except ProvisionError as error:
            found: ProvisionError | None = error
        else:
            found = stale.as_error(path.as_posix()) if stale else None
        rows.append(
            {
                "profile": profile.name,
                "lockfile": path.as_posix(),
                "fresh": found is None,
                "code": found.code if found else None,
                "changes": found.context.get("changes", []) if found else [],
            }
        )
        if found is None:
            lines.append(f"{profile.name}: fresh ({path.as_posix()})")
        else:
            errors.append(found)
    code = errors[0].exit_code if errors else ExitCode.OK
    return Result(data={"profiles": rows}, text="\n".join(lines), exit_code=code, errors=tuple(errors))


def _lock(settings: Settings, wanted: list[Profile], *, update: tuple[str, ...], upgrade: bool) -> Result:
    from provisioner.cli.wiring import Engines  # noqa: PLC0415 - `--check` needs no engine
    from provisioner.pipeline import Locked, lock_profile  # noqa: PLC0415 - the same
    from provisioner.render.progress import show_progress  # noqa: PLC0415 - the same
    from provisioner.resolve.parallel import run_parallel  # noqa: PLC0415 - the same

    with (
        show_progress(settings.environ) as listener,
        closing(Engines(settings, on_event=listener)) as engines,
    ):
        # Made here, by one thread, for all.
        conda, pip = engines.conda_solver, engines.pip_solver

        def lock(profile: Profile) -> Locked | ProvisionError:
            folder = settings.choose_lockfile_folder(profile.file)
            try:
                return lock_profile(
                    profile,
                    folder=folder,
                    conda=conda,
                    pip=pip,
                    update=update,
                    upgrade=upgrade,
                    on_event=listener,
                )
            except ProvisionError as error:
                # The other profiles are locked all the same.
                return error

        tasks = [partial(lock, profile) for profile in wanted]
        outcomes = run_parallel(tasks, workers=_PROFILES_AT_ONCE, stop=engines.close)
        for name in _find_unlocked(update, outcomes):
            listener(Notice(message=f"`--update {name}`: no lockfile has this package", level="warning"))
    rows: list[dict[str, Any]] = []
    lines: list[str] = []
    errors: list[ProvisionError] = []
    for profile, outcome in zip(wanted, outcomes, strict=True):
        if isinstance(outcome, ProvisionError):
            errors.extend(outcome.errors if isinstance(outcome, ErrorList) else [outcome])
            continue
        counts = {
            platform.platform: len(platform.conda) + len(platform.pip) for platform in outcome.lock.platforms
        }
        said = ", ".join(f"{count} files for {name}" for name, count in counts.items())
        state = "written" if outcome.changed else "unchanged"
        lines.append(f"{profile.name}: {_shown(outcome.path)} {state}, {said}")
        rows.append(
            {
                "profile": profile.name,
                "lockfile": _shown(outcome.path),
                "changed": outcome.changed,
                "packages": counts,
                "notes": list(outcome.lock.notes),
            }
        )
    code = errors[0].exit_code if errors else ExitCode.OK
    return Result(data={"profiles": rows}, text="\n".join(lines), exit_code=code, errors=tuple(errors))


def _find_unlocked(update: tuple[str, ...], outcomes: Sequence["Locked | ProvisionError"]) -> list[str]:
    """Return the names to update that no lockfile has; none where one could not be made."""
    from packaging.utils import canonicalize_name  # noqa: PLC0415 - `lock --help` stays fast

    locked: set[str] = set()
    for outcome in outcomes:
        if isinstance(outcome, ProvisionError):
            return []
        for platform in outcome.lock.platforms:
            locked |= {package.name for package in platform.conda}
            locked |= {package.name for package in platform.pip}
    return [name for name in update if canonicalize_name(name) not in locked and name not in locked]


def _shown(path: Path) -> str:
    return path.as_posix()
