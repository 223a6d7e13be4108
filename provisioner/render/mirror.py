"""What `provision mirror --export` did, in words and as a document."""

from collections.abc import Sequence

from provisioner.pipeline.mirror_export import Exported
from provisioner.render.amounts import format_bytes
from provisioner.render.result import Result


def render_export(folder: str, exported: Exported, *, left_out: Sequence[str]) -> Result:
    """Return what is in the folder now."""
    text = (
        f"{folder}: {exported.files} files, {format_bytes(exported.size)}"
        f" ({exported.copied} copied, {exported.removed} removed)"
    )
    data = {
        "folder": folder,
        "files": exported.files,
        "bytes": exported.size,
        "copied": exported.copied,
        "removed": exported.removed,
        "left_out": list(left_out),
    }
    return Result(data=data, text=text)
