"""What `provision bundle` answers."""

from pathlib import Path
from typing import Any

from provisioner.engines.archive.bundle_manifest import Manifest
from provisioner.ground.text import as_word, count_of
from provisioner.render.amounts import format_bytes
from provisioner.render.result import Result


def render_bundle(path: Path, manifest: Manifest, *, size: int, sha256: str) -> Result:
    """Return what was written, and its digest for the other side."""
    lines = [
        f"{path}: {_describe(manifest)}, {format_bytes(size)}",
        f"  sha256: {sha256}",
        f"  on the other machine: provision create --bundle {as_word(path.name)}",
    ]
    return Result(data=_facts(path, manifest) | {"bytes": size, "sha256": sha256}, text="\n".join(lines))


def render_members(path: Path, manifest: Manifest) -> Result:
    """Return every member with its size and digest, as the manifest says them."""
    members = [{"path": file.path, "bytes": file.size, "sha256": file.sha256} for file in manifest.files]
    lines = [f"{file.sha256}  {file.size:>12}  {file.path}" for file in manifest.files]
    return Result(data=_facts(path, manifest) | {"members": members}, text="\n".join(lines))


def render_checked_bundle(path: Path, manifest: Manifest, *, packages: int) -> Result:
    """Return that a bundle is what it says."""
    text = f"{path}: every byte is as its manifest says, and {packages} packages are as its lockfiles say"
    return Result(
        data=_facts(path, manifest) | {"packages": packages}, text=f"{text} ({_describe(manifest)})"
    )


def _facts(path: Path, manifest: Manifest) -> dict[str, Any]:
    return {
        "path": str(path),
        "tool": manifest.tool,
        "profiles": list(manifest.profiles),
        "platforms": list(manifest.platforms),
        "files": len(manifest.files),
    }


def _describe(manifest: Manifest) -> str:
    profiles, platforms = ", ".join(manifest.profiles), ", ".join(manifest.platforms)
    return f"{profiles} for {platforms}, {count_of(len(manifest.files), 'file')}"
