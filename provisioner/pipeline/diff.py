"""The job of `provision diff`: compare lockfiles of profiles, files and git revisions."""

from pathlib import Path

from provisioner.engines.process.become import find_program
from provisioner.engines.process.git import Git
from provisioner.errors import UsageError
from provisioner.ground.names import check_profile_name
from provisioner.ground.scratch import hold_scratch
from provisioner.lock.diff import LockDiff, diff_locks
from provisioner.lock.file import SUFFIX, read_lock
from provisioner.lock.model import Lock
from provisioner.pipeline.settings import Settings

_HINT = "name a lockfile, a profile, a git revision, or REVISION:PATH of a lockfile in this repository"


def diff(settings: Settings, old: str, new: str | None) -> LockDiff | list[LockDiff]:
    """Compare two lockfiles, one with its last commit, or all lockfiles of a revision with others or today's.

    Returns:
        The comparison; for revisions a list of those that found a difference, one a lockfile.

    Raises:
        LockError: A lockfile is missing or damaged.
        UsageError: What was named is no lockfile, or git has no such revision.
    """
    if _is_revision(settings, old) and (new is None or _is_revision(settings, new)):
        return _diff_revisions(settings, old, new)
    old = _find_lockfile(settings, old)
    new = _find_lockfile(settings, new) if new is not None else None
    if new is None:
        old, new = f"HEAD:{old}", old
    before, after = read_lock_of(settings, old), read_lock_of(settings, new)
    if before is None and after is None:
        raise UsageError("usage.no_lockfile", f"neither `{old}` nor `{new}` is a lockfile", hints=[_HINT])
    return diff_locks(before, after)


def _is_revision(settings: Settings, place: str) -> bool:
    """Tell a git revision from a profile's name, a file and ``revision:path``."""
    if ":" in place or place.startswith("-") or Path(place).is_file() or _has_profile(settings, place):
        return False
    program = _find_git(settings)
    if program is None:
        return False
    folder = _lockfile_folder(settings)
    return Git(program=program, folder=folder, environ=settings.environ).is_revision(place)


def _diff_revisions(settings: Settings, old: str, new: str | None) -> list[LockDiff]:
    folder = _lockfile_folder(settings)
    git = Git(program=str(_find_git(settings)), folder=folder, environ=settings.environ)
    today = [path.name for path in folder.iterdir()] if new is None else git.list_files(new)
    names = sorted(name for name in {*git.list_files(old), *today} if name.endswith(SUFFIX))
    found = []
    for name in names:
        before = _read_revision(git, old, name)
        path = folder / name
        if new is not None:
            after = _read_revision(git, new, name)
        else:
            after = read_lock(path) if path.exists() else None
        found.append(diff_locks(before, after))
    return [difference for difference in found if not difference.empty]


def _lockfile_folder(settings: Settings) -> Path:
    folder = settings.lockfiles or Path("lockfiles")
    return folder if folder.is_dir() else Path.cwd()


def _has_profile(settings: Settings, name: str) -> bool:
    return any((folder / f"{name}.yaml").is_file() for folder in settings.profile_folders)


def _find_lockfile(settings: Settings, place: str) -> str:
    """Return the lockfile of a profile's name; anything else is a place already."""
    if Path(place).is_file() or check_profile_name(place) is not None:
        return place
    try:
        profile = settings.load_profile(place)
    except UsageError as error:
        if error.code != "profile.not_found":
            raise
        return place
    return str(settings.find_lockfile(profile))


def read_lock_of(settings: Settings, place: str) -> Lock | None:
    """Return the lock of a file or of ``revision:path``; None where that revision has no such file."""
    path = Path(place)
    revision, separator, inside = place.partition(":")
    # One letter before the colon is a drive of Windows, not a revision.
    if path.exists() or not separator or len(revision) == 1:
        return read_lock(path)
    program = _find_git(settings)
    if program is None:
        raise UsageError(
            "usage.no_git",
            f"`{revision}:{inside}` names a git revision, and git is not installed",
            hints=["install git, or name two files"],
        )
    if revision.startswith("-"):
        raise UsageError("usage.revision", f"`{revision}` is not a git revision", hints=[_HINT])
    # Seen from the file's folder it needs no separators, which differ between git and Windows.
    path = Path(inside).absolute()
    folder, name = (path.parent, path.name) if path.parent.is_dir() else (Path.cwd(), inside)
    return _read_revision(Git(program=program, folder=folder, environ=settings.environ), revision, name)


def _read_revision(git: Git, revision: str, place: str) -> Lock | None:
    content, problem = git.read_file(revision, place)
    if problem:
        raise UsageError("usage.revision", f"git has no `{revision}:{place}`: {problem}", hints=[_HINT])
    if content is None:
        return None
    with hold_scratch("diff") as folder:
        copy = folder / Path(place).name
        copy.write_bytes(content)
        return read_lock(copy)


def _find_git(settings: Settings) -> str | None:
    return find_program("git", settings.environ)
