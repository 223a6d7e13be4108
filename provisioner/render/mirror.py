"""What `provision mirror --export` did, in words and as a document."""

from collections.abc import Sequence

from provisioner.ground.text import as_word, count_of
from provisioner.render.amounts import format_bytes
from provisioner.render.result import Result


def render_export(
    folder: str, *, files: int, size: int, copied: int, removed: int, left_out: Sequence[str]
) -> Result:
    """Return what is in the folder now: ``files`` of ``size`` bytes; the rest as in the document."""
    text = (
        f"{folder}: {count_of(files, 'file')}, {format_bytes(size)} ({copied} copied, {removed} removed)\n"
        f"  show it: provision mirror --folder {as_word(folder)}"
    )
    data = {
        "folder": folder,
        "files": files,
        "bytes": size,
        "copied": copied,
        "removed": removed,
        "left_out": list(left_out),
    }
    return Result(data=data, text=text)
