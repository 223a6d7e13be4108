"""``provision diff``: compare two lockfiles, or one lockfile at two revisions."""

import tempfile
from pathlib import Path

import click

from provisioner.cli.options import flag, settings_flags
from provisioner.cli.result import Result
from provisioner.cli.settings import Settings
from provisioner.errors import UsageError
from provisioner.lock.diff import diff_locks
from provisioner.lock.diff_report import as_json as diff_as_json
from provisioner.lock.diff_report import as_markdown, as_text
from provisioner.lock.model import Lock
from provisioner.lock.store import read_lock

_HINT = "name a lockfile, or REVISION:PATH of one in this repository"


@click.command("diff")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="[NEW]", required=False)
@flag("--markdown", is_flag=True, help="Write Markdown for a pull request.")
@settings_flags
def command(*, settings: Settings, old: str, new: str | None, markdown: bool) -> Result:
    """Compare lockfiles: files, or git's REVISION:PATH.

    With OLD alone, a file is compared with its last commit (HEAD).
    """
    if new is None:
        old, new = f"HEAD:{old}", old
    before, after = _read(settings, old), _read(settings, new)
    if before is None and after is None:
        raise UsageError("usage.no_lockfile", f"neither `{old}` nor `{new}` is a lockfile", hints=[_HINT])
    difference = diff_locks(before, after)
    text = as_markdown(difference) if markdown else as_text(difference)
    return Result(data=diff_as_json(difference), text=text)


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

    from provisioner.engines.process import run_program  # noqa: PLC0415 - only for revisions

    git = shutil.which("git", path=settings.environ.get("PATH"))
    if git is None:
        raise UsageError(
            "usage.no_git",
            f"`{revision}:{inside}` names a git revision, and git is not installed",
            hints=["install git, or name two files"],
        )
    if revision.startswith("-"):
        raise UsageError("usage.revision", f"`{revision}` is not a git revision", hints=[_HINT])
    spec = f"{revision}:./{inside}" if not inside.startswith("/") else f"{revision}:{inside}"
    shown = run_program([git, "show", spec], env=settings.environ, cwd=Path.cwd(), timeout_s=60.0)
    if shown.exit_code != 0:
        if "does not exist in" in shown.stderr or "exists on disk, but not in" in shown.stderr:
            return None
        raise UsageError(
            "usage.revision",
            f"git cannot show `{spec}`: {shown.stderr.strip()}",
            hints=[_HINT],
        )
    with tempfile.TemporaryDirectory(prefix="provision-diff-") as folder:
        copy = Path(folder, Path(inside).name)
        copy.write_text(shown.stdout, encoding="utf-8")
        return read_lock(copy)
