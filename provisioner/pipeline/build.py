"""Build one generation: fetch, base, wheels, receipt."""

import csv
import datetime as dt
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioner.engines.archive.scan_wheel import find_built_startup
from provisioner.engines.bytecode.cache import BytecodeCache, unpack_modules
from provisioner.engines.conda.linker import RattlerLinker
from provisioner.engines.store.fetch import StoreFetcher
from provisioner.engines.uv.installer import UvInstaller
from provisioner.events import Listener, tell_step
from provisioner.ground.files import write_atomically
from provisioner.ground.text import count_of
from provisioner.install.file_lists import BYTECODE_NAME
from provisioner.install.generations import EnvironmentHome
from provisioner.install.inventory import format_inventory, make_inventory
from provisioner.install.markers import format_markers, write_markers
from provisioner.install.plan import CONDA, InstallPlan
from provisioner.install.prefix_layout import find_python, find_site_packages
from provisioner.install.receipt import (
    INVENTORY_NAME,
    RECEIPT_NAME,
    RECORD_NAME,
    InstalledPackage,
    Receipt,
    format_receipt,
)
from provisioner.install.removal import hold_unpacked
from provisioner.install.snapshot import keep_snapshot
from provisioner.install.startup import check_startup
from provisioner.lock.rules import is_sdist
from provisioner.pipeline.space import check_room, measure_installed
from provisioner.pipeline.unpacking import tell_unpacked


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildEngines:
    """The engines of one build; ``tools`` are the versions that the receipt names."""

    fetcher: StoreFetcher
    uv: UvInstaller
    rattler: RattlerLinker
    bytecode: BytecodeCache
    home: EnvironmentHome
    tools: Mapping[str, str]


def build_generation(
    plan: InstallPlan,
    prefix: Path,
    *,
    engines: BuildEngines,
    interpreter: Path | None,
    on_event: Listener,
) -> Receipt:
    """Build the environment at ``prefix``, which is absent and final, and write its receipt last.

    Args:
        plan: What to build.
        prefix: Where.
        engines: What builds it.
        interpreter: What a virtual environment is made of; None for a base that brings its own.
        on_event: Gets steps.

    Raises:
        InstallError: A step failed; the folder is then incomplete and has no receipt.
        UnavailableError: A file could not be had; the same.
    """
    version, notices = build_packages(
        plan, prefix, engines=engines, interpreter=interpreter, on_event=on_event
    )
    _add_bytecode(plan, prefix, engines.bytecode, version=version, on_event=on_event)
    with tell_step("install", "receipt", on_event):
        _keep_sources(plan, prefix / RECORD_NAME)
        receipt = _make_receipt(plan, prefix, tools=engines.tools, version=version, notices=notices)
        write_atomically(prefix / INVENTORY_NAME, format_inventory(make_inventory(prefix)))
        keep_snapshot(prefix)
        write_atomically(prefix / RECEIPT_NAME, format_receipt(receipt))
    return receipt


def build_packages(
    plan: InstallPlan,
    prefix: Path,
    *,
    engines: BuildEngines,
    interpreter: Path | None,
    on_event: Listener,
) -> tuple[str, tuple[str, ...]]:
    """Install a plan's packages at ``prefix``, which is absent; without a receipt it is no environment.

    Arguments are those of `build_generation`.

    Returns:
        The full version of its Python, and what the user should know about the packages.

    Raises:
        InstallError: A step failed.
        UnavailableError: A file could not be had.
    """
    version = plan.python
    if interpreter is not None:
        with tell_step("install", "venv base", on_event):
            version = engines.uv.make_venv(prefix, interpreter=interpreter)
    with tell_step("fetch", count_of(len(plan.files), "file"), on_event):
        files = engines.fetcher.fetch(plan.files)
        notices = check_startup(plan, {digest: file.startup for digest, file in files.items()})
    # Asked before the first byte, too, when nobody knew what the missing files unpack to.
    check_room(f"`{plan.environment}`", prefix, measure_installed(plan.installed, files))
    if plan.base == CONDA:
        with (
            tell_step("install", "conda base", on_event),
            hold_unpacked(engines.home, plan.environment) as unpacked,
            tell_unpacked(unpacked, measure_installed(plan.conda, files), on_event),
        ):
            engines.rattler.link_conda(prefix, plan.conda, files, platform=plan.platform, unpacked=unpacked)
        version = next((package.version for package in plan.conda if package.name == "python"), version)
    python = find_python(prefix, base=plan.base, platform=plan.platform)
    with tell_step("install", count_of(len(plan.wheels), "wheel"), on_event):
        if plan.wheels:
            with (
                hold_unpacked(engines.home, plan.environment) as unpacked,
                tell_unpacked(unpacked, measure_installed(plan.wheels, files), on_event),
            ):
                engines.uv.install_wheels(python, plan.wheels, files, unpacked=unpacked)
            built = [package for package in plan.wheels if is_sdist(package)]
            notices += check_startup(
                plan, {package.sha256: find_built_startup(prefix, package) for package in built}
            )
    if plan.base == CONDA:
        stdlib = find_site_packages(prefix, platform=plan.platform, python=version).parent
        write_markers(format_markers(plan, prefix, stdlib=stdlib))
    notices += tuple(notice for package in plan.files for notice in files[package.sha256].notices)
    return version, notices


def _add_bytecode(
    plan: InstallPlan, prefix: Path, cache: BytecodeCache, *, version: str, on_event: Listener
) -> None:
    """Put compiled modules beside their sources where an earlier environment of these wheels needed them."""
    found = [cache.find(package.sha256, python=version) for package in plan.wheels]
    archives = [archive for archive in found if archive is not None]
    if not archives:
        return
    site = find_site_packages(prefix, platform=plan.platform, python=version)
    inside = site.relative_to(prefix).as_posix()
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    with tell_step("install", "compiled modules", on_event):
        for archive in archives:
            rows.writerows((f"{inside}/{name}", *rest) for name, *rest in unpack_modules(archive, site))
        write_atomically(prefix / BYTECODE_NAME, record.getvalue(), sync=False)


def _keep_sources(plan: InstallPlan, folder: Path) -> None:
    """Copy profile and lockfile into the environment: it can be built again where they are not at hand."""
    for place, source in plan.sources.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / place, source.read_bytes(), sync=False)


def _make_receipt(
    plan: InstallPlan,
    prefix: Path,
    *,
    tools: Mapping[str, str],
    version: str,
    notices: tuple[str, ...],
) -> Receipt:
    packages = [
        InstalledPackage(
            kind=kind,
            name=package.name,
            version=package.version,
            filename=package.filename,
            sha256=package.sha256,
        )
        for kind, group in (("conda", plan.conda), ("wheel", plan.wheels), ("asset", plan.assets))
        for package in group
    ]
    return Receipt(
        environment=plan.environment,
        profile=plan.profile,
        fingerprint=plan.fingerprint,
        platform=plan.platform,
        base=plan.base,
        python=version,
        prefix=str(prefix),
        created_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        packages=tuple(packages),
        tools=tools,
        env=plan.env,
        notices=notices,
        source=plan.source,
    )
