"""Files that the user names for what a verb writes."""

import os
from pathlib import Path

from provisioner.errors import UsageError


def check_output(path: str | None, flag: str) -> None:
    """Refuse a file whose folder is not there or takes no new file, before work is done for it.

    Raises:
        UsageError: ``usage.output``.
    """
    if path is None:
        return
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise _refused(path, flag, "there is no such folder")
    if not os.path.lexists(path) and not os.access(folder, os.W_OK):
        raise _refused(path, flag, "you may not write into its folder")


def make_output_folder(path: str, flag: str) -> Path:
    """Return a folder that a flag named, made with those above it where it is not there.

    Raises:
        UsageError: ``usage.output``.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(path, flag, (error.strerror or str(error)).lower()) from error
    return Path(path)


def write_output(path: str | Path, text: str, flag: str) -> None:
    """Write a file that a flag named.

    Raises:
        UsageError: ``usage.output``: it cannot be written.
    """
    try:
        Path(path).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise _refused(path, flag, (error.strerror or str(error)).lower()) from error


def _refused(path: str | Path, flag: str, why: str) -> UsageError:
    return UsageError(
        "usage.output",
        f"`{flag}`: `{path}` cannot be written: {why}",
        hints=["name a file in a folder that exists and that you may write to"],
        context={"path": str(path)},
    )
