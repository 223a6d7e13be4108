"""The job of `provision diff`: compare lockfiles of profiles, files and git revisions."""

import shutil
import tempfile
from pathlib import Path

from provisioner.engines.process.git import read_revision
from provisioner.errors import UsageError
from provisioner.lock.diff import LockDiff, diff_locks
from provisioner.lock.model import Lock
from provisioner.lock.store import read_lock
from provisioner.pipeline.settings import Settings
from provisioner.profile.rules import check_profile_name

_HINT = "name a lockfile, a profile, or REVISION:PATH of one in this repository"


def diff(settings: Settings, old: str, new: str | None) -> LockDiff:
    """Compare two lockfiles, or one with its last commit.

    Raises:
        LockError: A lockfile is missing or damaged.
        UsageError: What was named is no lockfile, or git has no such revision.
    """
    old = _find_lockfile(settings, old)
    new = _find_lockfile(settings, new) if new is not None else None
    if new is None:
        old, new = f"HEAD:{old}", old
    before, after = _read(settings, old), _read(settings, new)
    if before is None and after is None:
        raise UsageError("usage.no_lockfile", f"neither `{old}` nor `{new}` is a lockfile", hints=[_HINT])
    return diff_locks(before, after)


def _find_lockfile(settings: Settings, place: str) -> str:
    """Return the lockfile of a profile's name; anything else is a place already."""
    if Path(place).exists() or check_profile_name(place) is not None:
        return place
    try:
        profile = settings.load_profile(place)
    except UsageError as error:
        if error.code != "profile.not_found":
            raise
        return place
    return str(settings.find_lockfile(profile))


def _read(settings: Settings, place: str) -> Lock | None:
    """Return the lock of a file or of ``revision:path``; None where that revision has no such file."""
    path = Path(place)
    revision, separator, inside = place.partition(":")
    # One letter before the colon is a drive of Windows, not a revision.
    if path.exists() or not separator or len(revision) == 1:
        return read_lock(path)
    return _read_revision(settings, revision, inside)


def _read_revision(settings: Settings, revision: str, inside: str) -> Lock | None:
    git = shutil.which("git", path=settings.environ.get("PATH"))
    if git is None:
        raise UsageError(
            "usage.no_git",
            f"`{revision}:{inside}` names a git revision, and git is not installed",
            hints=["install git, or name two files"],
        )
    if revision.startswith("-"):
        raise UsageError("usage.revision", f"`{revision}` is not a git revision", hints=[_HINT])
    # Seen from the file's folder it needs no separators, which differ between git and Windows.
    path = Path(inside).absolute()
    folder, place = (path.parent, path.name) if path.parent.is_dir() else (Path.cwd(), inside)
    content, problem = read_revision(git, revision, place, folder=folder, environ=settings.environ)
    if problem:
        raise UsageError("usage.revision", f"git has no `{revision}:{inside}`: {problem}", hints=[_HINT])
    if content is None:
        return None
    with tempfile.TemporaryDirectory(prefix="provision-diff-") as temporary:
        copy = Path(temporary, path.name)
        copy.write_bytes(content)
        return read_lock(copy)
