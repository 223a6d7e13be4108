"""What a build needs, for it, its dry run and `doctor`: files to fetch, from where, and bytes of the disk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provisioner.engines.net.addresses import host_and_port
from provisioner.engines.store.store import Package, Store
from provisioner.install.plan import InstallPlan
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.space import check_room, find_free_bytes, measure_installed
from provisioner.pipeline.wheelhouses import list_wheelhouses
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
        stored_bytes: Bytes of the files that the store has already; nobody pays for them again.
        disk_bytes: What download and installation need at the least: a file that is in the store is counted
            as what it unpacks to, another one with its own size twice.
        free_bytes: What the disk of the data folder has.
    """

    plan: InstallPlan
    wanted: tuple[Wanted, ...]
    fetch_bytes: int
    unsized: int
    stored_bytes: int
    disk_bytes: int
    free_bytes: int


def preview(plan: InstallPlan, engines: Engines) -> Preview:
    """Compare a plan with the store and the disk; nothing is made and no host is asked."""
    wanted = tuple(find_wanted(engines, plan.files))
    sizes = [each.package.size for each in wanted]
    fetch_bytes = sum(size or 0 for size in sizes)
    store = Store(engines.home.store) if engines.home.store.is_dir() else None
    found = {package.sha256: store.find(package) for package in plan.files} if store else {}
    stored = {digest: file for digest, file in found.items() if file is not None}
    return Preview(
        plan=plan,
        wanted=wanted,
        fetch_bytes=fetch_bytes,
        unsized=sum(size is None for size in sizes),
        stored_bytes=sum(file.path.stat().st_size for file in stored.values()),
        disk_bytes=fetch_bytes + measure_installed(plan.installed, stored),
        free_bytes=find_free_bytes(engines.settings.data),
    )


def find_wanted(engines: Engines, files: Sequence[Package]) -> Iterator[Wanted]:
    """Yield the files that are not in the store, each with where it would come from."""
    # Asking makes no folders.
    store = Store(engines.home.store) if engines.home.store.is_dir() else None
    wheelhouses = list_wheelhouses(engines)
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
    check_room(f"`{plan.environment}`", engines.settings.data, preview(plan, engines).disk_bytes)
