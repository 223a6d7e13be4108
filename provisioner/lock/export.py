"""Write a lock in the formats of other tools, with absolute addresses.

Each file installs exactly the locked bytes: every entry carries its sha256, and what a format cannot hold
(conda packages in requirements, wheels in conda's explicit list) becomes a comment. Validation assets
are for ``provision`` alone; only conda-lock's format and the bill of materials
keep them, marked as optional.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum

from provisioner.errors import UsageError
from provisioner.ground.yaml_writer import Item, Value, write_yaml
from provisioner.lock.conda_lock_v1 import write_document
from provisioner.lock.fingerprint import read_input
from provisioner.lock.graph import order_by_need
from provisioner.lock.header import render_metadata
from provisioner.lock.model import Lock, LockedPlatform
from provisioner.lock.pylock import describe_package, format_pylock
from provisioner.lock.sbom import format_sbom
from provisioner.resolve.model import CondaPackage, PipPackage
from provisioner.resolve.platforms import find_target

Address = Callable[[PipPackage], str]


class Format(StrEnum):
    """What other tools read."""

    CONDA_LOCK = "conda-lock"
    REQUIREMENTS = "requirements"
    PYLOCK = "pylock"
    EXPLICIT = "explicit"
    ENVIRONMENT = "environment"
    SBOM = "sbom"


def export_lock(
    lock: Lock, form: Format, *, absolute: Address, platforms: Collection[str] = ()
) -> Mapping[str, str]:
    """Return file names and texts: one file for conda-lock, else one for each platform.

    Args:
        lock: What is exported.
        form: For which tool.
        absolute: Returns where a file of the default index is, for example from that index's page.
        platforms: Which platforms; empty for all.

    Raises:
        LockError: The lock does not have one of the platforms.
        UsageError: The format has nothing of the lock.
    """
    wanted = [lock.find_platform(name) for name in platforms] or list(lock.platforms)
    if form is Format.CONDA_LOCK:
        return {f"{lock.profile}.conda-lock.yml": _conda_lock(lock, wanted, absolute)}
    writers: Mapping[Format, tuple[str, Callable[[Lock, LockedPlatform, Address], str]]] = {
        Format.REQUIREMENTS: ("{0}.{1}.requirements.txt", _requirements),
        Format.PYLOCK: ("pylock.{2}-{1}.toml", _pylock),
        Format.EXPLICIT: ("{0}.{1}.explicit.txt", _explicit),
        Format.ENVIRONMENT: ("{0}.{1}.environment.yml", _environment),
        Format.SBOM: ("{0}.{1}.cdx.json", lambda lock, platform, _: format_sbom(lock, platform)),
    }
    name, write = writers[form]
    # The names of pylock files have exactly two dots (PEP 751).
    stem = lock.profile.replace(".", "-")
    return {name.format(lock.profile, p.platform, stem): write(lock, p, absolute) for p in wanted}


def _conda_lock(lock: Lock, wanted: Iterable[LockedPlatform], absolute: Address) -> str:
    part = Lock(profile=lock.profile, source=lock.source, platforms=tuple(wanted), channels=lock.channels)
    # Without our facts in it: this file is for other tools, and `provision` says so when it meets it.
    metadata = {key: value for key, value in render_metadata(part).items() if key != "custom_metadata"}
    addresses = {
        package.url: _address(package, absolute) for platform in part.platforms for package in platform.pip
    }
    return write_document(part, metadata=metadata, comment=_comment(lock, "conda-lock"), addresses=addresses)


def _requirements(lock: Lock, platform: LockedPlatform, absolute: Address) -> str:
    lines = [
        f"# {_comment(lock, 'requirements')}",
        "# python3 -m pip install --no-deps --require-hashes -r FILE",
        f"# Python {_python(lock, platform)}, {platform.platform}; overrides may contradict packages.",
        *(f"# conda: {package.url}#sha256:{package.sha256}" for package in platform.conda),
        *(f"{_pip_line(package, absolute)}{_size(package)}" for package in _installed(platform)),
    ]
    return _text(lines)


def _explicit(lock: Lock, platform: LockedPlatform, absolute: Address) -> str:
    if not platform.conda:
        raise UsageError(
            "usage.export",
            f"the lock of `{lock.profile}` has no conda package for `{platform.platform}`",
            hints=["export `requirements` or `pylock`"],
        )
    lines = [
        f"# {_comment(lock, 'explicit')}",
        f"# platform: {platform.platform}",
        "@EXPLICIT",
        *(f"{package.url}#sha256:{package.sha256}" for package in sort_by_need(platform.conda)),
        *(f"# pip {_pip_line(package, absolute)}" for package in _installed(platform)),
    ]
    return _text(lines)


def _environment(lock: Lock, platform: LockedPlatform, absolute: Address) -> str:
    dependencies: list[Item] = [f"{p.name}={p.version}={p.build}" for p in platform.conda]
    if not platform.conda:
        dependencies.append(f"python={_python(lock, platform)}")
    if not any(package.name == "pip" for package in platform.conda):
        dependencies.append("pip")
    if wheels := [_pip_line(package, absolute) for package in _installed(platform)]:
        # One line with a digest makes pip demand digests for all; `--no-deps` cannot be said here.
        dependencies.append({"pip": wheels})
    channels: list[Item] = [*(lock.channels or ("conda-forge",)), "nodefaults"]
    document: Mapping[str, Value] = {
        "name": lock.profile,
        "channels": channels,
        "dependencies": dependencies,
    }
    # Not under `platforms`, which conda itself does not know.
    head = [f"# {_comment(lock, 'environment')}", f"# platform: {platform.platform}"]
    return _text([*head, *write_yaml(document)])


def _pylock(lock: Lock, platform: LockedPlatform, absolute: Address) -> str:
    packages = [
        describe_package(package, url=_address(package, absolute), index=lock.indexes.get(package.index))
        for package in _installed(platform)
    ]
    markers = find_target(platform.platform).markers
    environment = " and ".join(f"{key} == '{markers[key]}'" for key in ("sys_platform", "platform_machine"))
    text = format_pylock(packages, environment=environment, python=_python(lock, platform))
    return f"# {_comment(lock, 'pylock')}\n{text}"


def sort_by_need(packages: Collection[CondaPackage]) -> list[CondaPackage]:
    """Return conda packages with what each needs before it: conda links an explicit list in its order."""
    known = {package.name: package for package in packages}
    needs = {name: tuple(package.dependencies) for name, package in known.items()}
    return [known[name] for name in order_by_need(needs)]


def _installed(platform: LockedPlatform) -> list[PipPackage]:
    return [package for package in platform.pip if not package.validation]


def _pip_line(package: PipPackage, absolute: Address) -> str:
    return f"{package.name} @ {_address(package, absolute)} --hash=sha256:{package.sha256}"


def _size(package: PipPackage) -> str:
    return "" if package.size is None else f"  # {package.size} bytes"


def _address(package: PipPackage, absolute: Address) -> str:
    return package.url if "://" in package.url else absolute(package)


def _python(lock: Lock, platform: LockedPlatform) -> str:
    return str(read_input(lock.inputs, platform.platform, "python") or "")


def _comment(lock: Lock, form: str) -> str:
    return f"Generated by `provision export {lock.profile} --format {form}`."


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
