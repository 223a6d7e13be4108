"""What a build takes of the disk, and whether there is room for it."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from provisioner.engines.store.file import StoredFile
from provisioner.engines.store.store import Package, measure_stored
from provisioner.errors import InstallError
from provisioner.install.generations import EnvironmentHome, Generation


def measure_installed(packages: Iterable[Package], stored: Mapping[str, StoredFile]) -> int:
    """Return the bytes that packages take once they are installed, at the least.

    Args:
        packages: What is installed.
        stored: Files of the store by sha256; a package without one is counted with its own size, packed.
    """
    return sum(
        stored[package.sha256].unpacked_bytes if package.sha256 in stored else package.size or 0
        for package in packages
    )


def find_free_bytes(folder: Path) -> int:
    """Return the free bytes where a folder is or would be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def check_room(
    what: str,
    folder: Path,
    needed_bytes: int,
    *,
    advice: str = "free some space (`provision clean`), or choose another data folder with `--data-dir`",
) -> None:
    """Refuse to write more than the disk of a folder has room for.

    Args:
        what: Who needs the room, for the error.
        folder: Where it is or would be.
        needed_bytes: How much.
        advice: What to do where there is less.

    Raises:
        InstallError: ``install.disk_full``.
    """
    free_bytes = find_free_bytes(folder)
    if needed_bytes > free_bytes:
        raise InstallError(
            "install.disk_full",
            f"{what} needs {needed_bytes / 1e6:,.0f} MB, and the disk of `{folder}` has"
            f" {free_bytes / 1e6:,.0f} MB free",
            hints=[advice],
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
