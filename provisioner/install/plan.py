"""Decide what an environment is made of, from a lock; nothing is touched."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from provisioner.errors import UsageError
from provisioner.ground.names import check_profile_name
from provisioner.lock.model import Lock
from provisioner.resolve.model import CondaPackage, PipPackage

CONDA = "conda"
VENV = "venv"


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallPlan:
    """One environment to build.

    Attributes:
        environment: Its name: one path component.
        profile: Name of the profile.
        platform: ``linux-64`` or ``win-64``: this machine's.
        base: ``conda`` (a conda prefix) or ``venv`` (of an interpreter found here).
        python: Version that the profile asks for, for example ``3.11``.
        conda: Conda packages to link.
        wheels: Wheels to install.
        assets: Wheels that validation needs: fetched, never installed.
        env: Environment variables; ``{prefix}`` stands for the environment's folder.
        startup: Packages whose files Python may run at every start, to the reason.
        sources: Where the profile's files and the lockfile are, by their place in the environment's record.
        source: Path of the user's profile; empty where it came with provision.
        fingerprint: sha256 over what is built, which is platform, python, packages and env; equal plans build
            equal environments.
    """

    environment: str
    profile: str
    platform: str
    base: str
    python: str
    conda: tuple[CondaPackage, ...] = ()
    wheels: tuple[PipPackage, ...] = ()
    assets: tuple[PipPackage, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    startup: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, Path] = field(default_factory=dict)
    source: str = ""
    fingerprint: str

    @property
    def files(self) -> tuple[CondaPackage | PipPackage, ...]:
        """Return every file that is needed."""
        return (*self.installed, *self.assets)

    @property
    def installed(self) -> tuple[CondaPackage | PipPackage, ...]:
        """Return the files that are unpacked into the environment."""
        return (*self.conda, *self.wheels)


def plan_install(
    lock: Lock,
    *,
    platform: str,
    python: str,
    environment: str | None = None,
    env: Mapping[str, str] | None = None,
    startup: Mapping[str, str] | None = None,
    sources: Mapping[str, Path] | None = None,
) -> InstallPlan:
    """Choose the lock's part for this machine.

    Args:
        lock: The lock.
        platform: This machine's platform.
        python: Version that the profile asks for.
        environment: Name of the environment; the profile's by default.
        env: Environment variables of the profile on this platform.
        startup: Packages whose files Python may run at every start, to the reason.
        sources: What the environment keeps a copy of: place in its record to file.

    Raises:
        LockError: ``lock.platform``: the lock has no part for this machine.
        UsageError: The name cannot be a folder's.
    """
    name = environment or lock.profile
    reason = check_profile_name(name)
    if reason is not None:
        raise UsageError("usage.environment_name", reason, hints=["choose another name for the environment"])
    part = lock.find_platform(platform)
    wheels = tuple(package for package in part.pip if not package.validation)
    assets = tuple(package for package in part.pip if package.validation)
    content = {
        "platform": platform,
        "python": python,
        "conda": _describe(part.conda),
        "wheels": _describe(wheels),
        "assets": _describe(assets),
        "env": dict(env or {}),
    }
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return InstallPlan(
        environment=name,
        profile=lock.profile,
        platform=platform,
        base=CONDA if part.conda else VENV,
        python=python,
        conda=part.conda,
        wheels=wheels,
        assets=assets,
        env=dict(env or {}),
        startup=dict(startup or {}),
        sources=dict(sources or {}),
        fingerprint=hashlib.sha256(canonical.encode()).hexdigest(),
    )


def _describe(packages: Sequence[CondaPackage | PipPackage]) -> list[dict[str, Any]]:
    """Return what decides a build; size and publisher belong to a digest, and some locks lack them."""
    return [
        {key: value for key, value in asdict(package).items() if key not in {"size", "publisher"}}
        for package in packages
    ]
