"""``provision diff``: compare two lockfiles, or one lockfile at two revisions."""

import tempfile
import time
from pathlib import Path

import click

from provisioner.cli.options import flag, settings_flags
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings
from provisioner.errors import UsageError
from provisioner.lock.diff import diff_locks
from provisioner.lock.model import Lock
from provisioner.lock.store import lockfile_path, read_lock
from provisioner.profile.load import load_profile
from provisioner.profile.rules import check_profile_name
from provisioner.render.lock_diff import as_json as diff_as_json
from provisioner.render.lock_diff import as_markdown, as_text

_HINT = "name a lockfile, a profile, or REVISION:PATH of one in this repository"


@click.command("diff")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="[NEW]", required=False)
@flag("--markdown", is_flag=True, help="Write Markdown for a pull request.")
@settings_flags
def command(*, settings: Settings, old: str, new: str | None, markdown: bool) -> Result:
    """Compare lockfiles: files, profiles' names, or git's REVISION:PATH.

    With OLD alone, it is compared with its last commit (HEAD).
    """
    old = _find_lockfile(settings, old)
    new = _find_lockfile(settings, new) if new is not None else None
    if new is None:
        old, new = f"HEAD:{old}", old
    before, after = _read(settings, old), _read(settings, new)
    if before is None and after is None:
        raise UsageError("usage.no_lockfile", f"neither `{old}` nor `{new}` is a lockfile", hints=[_HINT])
    difference = diff_locks(before, after)
    text = as_markdown(difference) if markdown else as_text(difference)
    return Result(data=diff_as_json(difference), text=text)


def _find_lockfile(settings: Settings, place: str) -> str:
    """Return the lockfile of a profile's name; what is none is a place already."""
    if Path(place).exists() or check_profile_name(place) is not None:
        return place
    try:
        profile = load_profile(place, folders=settings.profile_folders)
    except UsageError as error:
        if error.code != "profile.not_found":
            raise
        return place
    return str(lockfile_path(settings.find_lockfile_folder(profile.file), profile.name))


def _read(settings: Settings, place: str) -> Lock | None:
    """Return the lock of a file or of ``revision:path``; None where that revision has no such file.

    Raises:
        LockError: There is no such file, or it is damaged.
    """
    path = Path(place)
    revision, separator, inside = place.partition(":")
    # One letter before the colon is a drive of Windows, not a revision.
    if path.exists() or not separator or len(revision) == 1:
        return read_lock(path)
    return _read_revision(settings, revision, inside)


def _read_revision(settings: Settings, revision: str, inside: str) -> Lock | None:
    import shutil  # noqa: PLC0415 - only for revisions

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
    shown, problem = _ask_git(settings, [git, "cat-file", "blob", f"{revision}:./{place}"], folder)
    if problem and ("does not exist in" in problem or "exists on disk, but not in" in problem):
        return None
    if problem:
        raise UsageError("usage.revision", f"git has no `{revision}:{inside}`: {problem}", hints=[_HINT])
    with tempfile.TemporaryDirectory(prefix="provision-diff-") as temporary:
        copy = Path(temporary, path.name)
        copy.write_bytes(shown)
        return read_lock(copy)


def _ask_git(settings: Settings, command: list[str], folder: Path) -> tuple[bytes, str]:
    """Return what git printed, or in one line why it did not."""
    from provisioner.engines.process.run import start_program  # noqa: PLC0415 - only for revisions

    env = {**settings.environ, "LC_ALL": "C"}
    with start_program(command, env=env, cwd=folder) as git:
        lines = [line for source, line in git.lines(time.monotonic() + 60.0) if source == "stdout"]
    if git.exit_code == 0:
        return b"".join(lines), ""
    said = git.stderr.strip().partition("\n")[0]
    return b"", said.removeprefix("fatal: ").rstrip(".") or "it did not answer"
