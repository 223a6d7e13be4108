"""What `provision add` answers: the change, the lockfile, and the environment as `create` tells it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from provisioner.profile.model import Profile
from provisioner.render.result import Result


def render_changed(
    profile: Profile, packages: Sequence[str], *, done: str, lockfile: Path, kept: bool, built: Result
) -> Result:
    """Return what was changed; where validation failed, why, and that all is as it was.

    Args:
        profile: What was changed.
        packages: As the user wrote them.
        done: ``added`` or ``removed``.
        lockfile: What was written.
        kept: Whether the change was kept.
        built: What `create` answers; an empty result where nothing was built.
    """
    names = ", ".join(f"`{package}`" for package in packages)
    data = {
        "profile": profile.name,
        "file": profile.file,
        "packages": list(packages),
        "change": done,
        "lockfile": str(lockfile),
        "kept": kept,
        "environment": dict(built.data) or None,
    }
    line = f"{profile.name}: {done} {names} in {profile.file}"
    if not kept:
        line = f"{profile.name}: {names} not {done}: the validation fails with it; all is as it was"
    text = f"{built.text.rstrip()}\n{line}" if built.text else line
    return replace(built, data=data, text=text)
