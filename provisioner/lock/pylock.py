"""Write Python packages as a ``pylock.toml`` (https://packaging.python.org/en/latest/specifications/pylock-toml/)."""

import json
from collections.abc import Iterable, Mapping

from provisioner.lock.rules import is_sdist
from provisioner.resolve.model import PipPackage
from provisioner.resolve.target import find_target


def write_pylock(
    packages: Iterable[tuple[PipPackage, str]],
    *,
    platform: str,
    python: str,
    indexes: Mapping[str, str],
    comment: str,
) -> str:
    """Return the file's text.

    Args:
        packages: Packages, each with the absolute address of its file.
        platform: The platform that the file is for.
        python: ``major.minor``.
        indexes: Name to address of the indexes beside the default one.
        comment: The first line.
    """
    markers = find_target(platform).markers
    environment = " and ".join(
        f"{name} == '{markers[name]}'" for name in ("sys_platform", "platform_machine")
    )
    lines = [
        f"# {comment}",
        'lock-version = "1.0"',
        f"environments = [{_quoted(environment)}]",
        f"requires-python = {_quoted(f'=={python}.*')}",
        'created-by = "provision"',
    ]
    for package, address in packages:
        lines += [
            "",
            "[[packages]]",
            f"name = {_quoted(package.name)}",
            f"version = {_quoted(package.version)}",
        ]
        if package.index in indexes:
            lines.append(f"index = {_quoted(indexes[package.index])}")
        file = (
            f"{{ name = {_quoted(package.filename)}, url = {_quoted(address)},"
            f" hashes = {{ sha256 = {_quoted(package.sha256)} }} }}"
        )
        lines.append(f"sdist = {file}" if is_sdist(package) else f"wheels = [{file}]")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    # JSON's escapes are a subset of those of TOML's basic strings, and a lock holds printable ASCII.
    return json.dumps(text)
