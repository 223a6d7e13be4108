"""Build one generation: fetch, base, wheels, receipt. What each step needs is a protocol; engines fill it."""

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from provisioner.events import Listener, StageFinished, StageStarted
from provisioner.ground.files import write_atomically
from provisioner.install.layout import find_python
from provisioner.install.manifest import MANIFEST_NAME, format_manifest, make_manifest
from provisioner.install.plan import CONDA, VENV, InstallPlan
from provisioner.install.receipt import RECEIPT_NAME, RECORD_NAME, InstalledPackage, Receipt, format_receipt
from provisioner.resolve.model import CondaPackage, PipPackage


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """A fetched file that has the locked digest and passed the scan.

    ``notices`` are what the scan had to say; ``index`` is a conda package's ``index.json``.
    """

    path: Path
    notices: tuple[str, ...] = ()
    index: Mapping[str, Any] = field(default_factory=dict)


class Fetcher(Protocol):
    """Brings files into the store."""

    def fetch(self, files: Sequence[CondaPackage | PipPackage]) -> Mapping[str, StoredFile]:
        """Return sha256 to stored file, for all of them.

        Raises:
            InstallError: A file is not the locked one, or the scan refuses it.
            UnavailableError: A file could not be had.
        """
        ...


class VenvMaker(Protocol):
    """Makes a virtual environment."""

    def make_venv(self, prefix: Path, *, python: str) -> str:
        """Make one at ``prefix`` (absent) of an interpreter found here, and return its full version.

        Raises:
            InstallError: There is no such interpreter, or it could not be made.
        """
        ...


class CondaLinker(Protocol):
    """Links conda packages into a prefix."""

    def link_conda(
        self,
        prefix: Path,
        packages: Sequence[CondaPackage],
        files: Mapping[str, StoredFile],
        *,
        platform: str,
    ) -> None:
        """Make a conda prefix at ``prefix`` (absent) from stored files.

        Raises:
            InstallError: It could not be made.
        """
        ...


class WheelInstaller(Protocol):
    """Installs wheels."""

    def install_wheels(
        self, python: Path, packages: Sequence[PipPackage], files: Mapping[str, StoredFile]
    ) -> None:
        """Install exactly these wheels beside an interpreter, from stored files.

        Raises:
            InstallError: A wheel was refused or could not be written.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallEngines:
    """The engines of one build; ``tools`` are the versions that the receipt names."""

    fetcher: Fetcher
    venv: VenvMaker
    conda: CondaLinker
    wheels: WheelInstaller
    tools: Mapping[str, str]


def build_generation(
    plan: InstallPlan, prefix: Path, *, engines: InstallEngines, on_event: Listener
) -> Receipt:
    """Build the environment at ``prefix``, which is absent and final, and write its receipt last.

    Raises:
        InstallError: A step failed; the folder is then incomplete and has no receipt.
        UnavailableError: A file could not be had; the same.
    """
    version = plan.python
    if plan.base == VENV:
        # First of all: a missing interpreter is better told before gigabytes are fetched.
        with _step("install", "venv base", on_event):
            version = engines.venv.make_venv(prefix, python=plan.python)
    with _step("fetch", f"{len(plan.files)} files", on_event):
        files = engines.fetcher.fetch(plan.files)
    if plan.base == CONDA:
        with _step("install", "conda base", on_event):
            engines.conda.link_conda(prefix, plan.conda, files, platform=plan.platform)
        version = next((package.version for package in plan.conda if package.name == "python"), version)
    python = find_python(prefix, base=plan.base, platform=plan.platform)
    with _step("install", f"{len(plan.wheels)} wheels", on_event):
        if plan.wheels:
            engines.wheels.install_wheels(python, plan.wheels, files)
    with _step("install", "receipt", on_event):
        _keep_sources(plan, prefix / RECORD_NAME)
        receipt = _make_receipt(plan, prefix, tools=engines.tools, version=version, files=files)
        write_atomically(prefix / MANIFEST_NAME, format_manifest(make_manifest(prefix)))
        write_atomically(prefix / RECEIPT_NAME, format_receipt(receipt))
    return receipt


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
    files: Mapping[str, StoredFile],
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
        notices=tuple(notice for package in plan.files for notice in files[package.sha256].notices),
    )


@contextmanager
def _step(stage: str, detail: str, on_event: Listener) -> Iterator[None]:
    started = time.monotonic()
    on_event(StageStarted(stage=stage, detail=detail))
    yield
    on_event(StageFinished(stage=stage, seconds=time.monotonic() - started, detail=detail))
