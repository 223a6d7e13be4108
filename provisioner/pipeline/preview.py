"""What a build would fetch, and from where: for the space check, `create --dry-run` and `doctor`."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.engines.net.addresses import host_and_port, local_path
from provisioner.engines.store.store import Package, Store
from provisioner.errors import InstallError
from provisioner.install.plan import InstallPlan
from provisioner.pipeline.engines import Engines
from provisioner.resolve.model import PipPackage


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """One file that is not in the store yet.

    Attributes:
        source: The bundle or the wheelhouse that has it, else the index or the channel's host that it would
            come from.
        remote: Whether it would come over the network.
    """

    package: Package
    source: str
    remote: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What a build would do.

    Attributes:
        wanted: Files to bring into the store.
        fetch_bytes: Their bytes, as far as the lock says them; ``unsized`` counts the others.
        disk_bytes: What download and installation need at the least.
        free_bytes: What the disk of the data folder has.
    """

    plan: InstallPlan
    wanted: tuple[Wanted, ...]
    fetch_bytes: int
    unsized: int
    disk_bytes: int
    free_bytes: int


def preview(plan: InstallPlan, engines: Engines) -> Preview:
    """Compare a plan with the store and the disk; nothing is made and no host is asked."""
    wanted = tuple(find_wanted(engines, plan.files))
    sizes = [each.package.size for each in wanted]
    fetch_bytes = sum(size or 0 for size in sizes)
    # A file unpacks to more than its own size, by how much nobody says.
    installed = sum(p.size or 0 for p in plan.conda) + sum(p.size or 0 for p in plan.wheels)
    return Preview(
        plan=plan,
        wanted=wanted,
        fetch_bytes=fetch_bytes,
        unsized=sum(size is None for size in sizes),
        disk_bytes=fetch_bytes + installed,
        free_bytes=_find_free_bytes(engines.settings.data),
    )


def find_wanted(engines: Engines, files: Sequence[Package]) -> Iterator[Wanted]:
    """Yield the files that are not in the store, each with where it would come from."""
    # Asking makes no folders.
    store = Store(engines.home.store) if engines.home.store.is_dir() else None
    wheelhouses = [
        local_path(place) if place.startswith("file:") else Path(place)
        for place in (*engines.settings.find_links, *engines.packages.find_links)
        if place.startswith("file:") or "://" not in place
    ]
    for package in files:
        if store is not None and store.find(package) is not None:
            continue
        if engines.bundle is not None and engines.bundle.find(package.sha256) is not None:
            yield Wanted(package=package, source=str(engines.bundle.path), remote=False)
            continue
        if not isinstance(package, PipPackage):
            yield Wanted(package=package, source=host_and_port(package.url), remote=True)
            continue
        house = next((folder for folder in wheelhouses if (folder / package.filename).is_file()), None)
        source = package.index if house is None else str(house)
        yield Wanted(package=package, source=source, remote=house is None)


def check_space(plan: InstallPlan, engines: Engines) -> None:
    """Refuse a build that the disk has no room for, before the first byte is fetched.

    Raises:
        InstallError: ``install.disk_full``.
    """
    seen = preview(plan, engines)
    if seen.disk_bytes > seen.free_bytes:
        folder = engines.settings.data
        raise InstallError(
            "install.disk_full",
            f"`{plan.environment}` needs more than {seen.disk_bytes / 1e9:.1f} GB, and the disk of `{folder}`"
            f" has {seen.free_bytes / 1e9:.1f} GB free",
            hints=["free some space (`provision clean`), or choose another data folder with `--data-dir`"],
            context={"path": str(folder), "needed": seen.disk_bytes, "free": seen.free_bytes},
        )


def _find_free_bytes(folder: Path) -> int:
    """Return the free bytes where a folder is or would be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
