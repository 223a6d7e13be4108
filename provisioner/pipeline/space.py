"""What a build needs of the disk, against what there is."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from provisioner.engines.store.store import measure_stored
from provisioner.errors import InstallError
from provisioner.install.generations import EnvironmentHome, Generation


def find_free_bytes(folder: Path) -> int:
    """Return the free bytes where a folder is or would be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def check_room(environment: str, folder: Path, needed_bytes: int) -> None:
    """Refuse to write more than the disk of a folder has room for.

    Raises:
        InstallError: ``install.disk_full``.
    """
    free_bytes = find_free_bytes(folder)
    if needed_bytes > free_bytes:
        raise InstallError(
            "install.disk_full",
            f"`{environment}` needs more than {needed_bytes / 1e9:.1f} GB, and the disk of `{folder}`"
            f" has {free_bytes / 1e9:.1f} GB free",
            hints=["free some space (`provision clean`), or choose another data folder with `--data-dir`"],
            context={"path": str(folder), "needed": needed_bytes, "free": free_bytes},
        )


def measure_downloads(
    home: EnvironmentHome, environments: Sequence[Generation]
) -> dict[str, tuple[int, int]]:
    """Return the bytes of the downloads of each environment: all, and those that no other environment has."""
    digests = {
        each.receipt.environment: {package.sha256 for package in each.receipt.packages}
        for each in environments
    }
    sizes = {digest: measure_stored(home.store, digest) for digest in set().union(*digests.values())}
    return {
        name: (
            sum(sizes[digest] for digest in own),
            sum(
                sizes[digest]
                for digest in own.difference(*(other for each, other in digests.items() if each != name))
            ),
        )
        for name, own in digests.items()
    }
