"""git: files of earlier revisions."""

import time
from collections.abc import Mapping
from pathlib import Path

from provisioner.engines.process.run import start_program

_TIMEOUT_S = 60.0


def read_revision(
    git: str, revision: str, place: str, *, folder: Path, environ: Mapping[str, str]
) -> tuple[bytes | None, str]:
    """Return a file as it was at a revision, or None and in one line why git did not say.

    Args:
        git: Path of the program.
        revision: What git calls a revision; must not begin with ``-``.
        place: The file's path from ``folder``, with ``/``.
        folder: A folder of the repository.
        environ: The process's environment, which git needs whole.

    Returns:
        ``(None, "")`` where that revision has no such file.
    """
    command = [git, "cat-file", "blob", f"{revision}:./{place}"]
    with start_program(command, env={**environ, "LC_ALL": "C"}, cwd=folder) as child:
        lines = [line for source, line in child.lines(time.monotonic() + _TIMEOUT_S) if source == "stdout"]
    if child.exit_code == 0:
        return b"".join(lines), ""
    said = child.stderr.strip().partition("\n")[0].removeprefix("fatal: ").rstrip(".")
    if "does not exist in" in said or "exists on disk, but not in" in said:
        return None, ""
    return None, said or "it did not answer"
