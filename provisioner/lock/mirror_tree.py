"""Where locked files lie in a folder that any web server can mirror from, and the pages beside them.

``pypi/simple/<project>/…``    files of the default index, which a lockfile does not name
``web/<host>/<path>``          everything with an address, where the address says

Pages lie among them as ``index.html`` and ``repodata.json``, so one line for each host in a map of mirrors is
enough, and pip, uv and conda's clients read the folder as an index and as channels. Links are relative.
Sources: PEP 503; conda's ``repodata.json``.
"""

import html
import json
import posixpath
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from provisioner.ground.names import DEFAULT_INDEX
from provisioner.lock.model import Lock
from provisioner.resolve.model import CondaPackage, PipPackage

SIMPLE = "pypi/simple"
"""The folder of the default index."""
WEB = "web"
"""The folder of what has an address."""


def place_of(package: CondaPackage | PipPackage) -> str:
    """Return a locked file's path in the folder, ``/`` between its parts."""
    if isinstance(package, PipPackage) and package.url.startswith(f"{DEFAULT_INDEX}:"):
        return f"{SIMPLE}/{package.name}/{package.filename}"
    return place_of_address(package.url)


def place_of_address(address: str) -> str:
    """Return the path of what has an address (by the rules of locks, so its parts lead nowhere else).

    A port stands after a ``+``, which no host's name has.
    """
    return "/".join(unquote(part) for part in _spell(address).split("/"))


def _spell(address: str) -> str:
    """Return the place of an address with the address's own escapes, as a link has to spell it."""
    parts = urlsplit(address)
    host = (parts.hostname or "").replace(":", "-")  # of an IPv6 address, which Windows takes in no name
    port = f"+{parts.port}" if parts.port else ""
    return posixpath.join(WEB, host + port, *(part for part in parts.path.split("/") if part))


def map_mirrors(locks: Iterable[Lock], base: str) -> dict[str, str]:
    """Return the map of mirrors, canonical prefix to prefix, for a folder that is served at ``base``."""
    addresses: set[str] = set()
    for lock in locks:
        addresses |= {*lock.channels, *lock.indexes.values()}
        for part in lock.platforms:
            addresses |= {package.url for package in part.conda}
            addresses |= {package.url for package in part.pip if "://" in package.url}
    origins = {"/".join(address.split("/", 3)[:3]) + "/" for address in addresses}
    return {origin: f"{base.rstrip('/')}/{place_of_address(origin)}/" for origin in sorted(origins)}


def render_pages(
    files: Iterable[tuple[Lock, CondaPackage | PipPackage]], indexes: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Return path to text of every page for the files in the folder.

    Args:
        files: What is there, each with a lock that it is of.
        indexes: sha256 of a conda package to its ``index.json``.
    """
    wheels: dict[str, dict[str, PipPackage]] = defaultdict(dict)
    conda: dict[str, dict[str, CondaPackage]] = defaultdict(dict)
    for lock, package in files:
        if isinstance(package, CondaPackage):
            conda[posixpath.dirname(place_of(package))][package.filename] = package
            continue
        own = package.index == DEFAULT_INDEX
        index = SIMPLE if own else place_of_address(lock.indexes[package.index])
        wheels[f"{index}/{package.name}"][package.filename] = package
    # Clients ask every channel for `noarch`, also where nothing lies there.
    for folder in list(conda):
        conda.setdefault(f"{posixpath.dirname(folder)}/noarch", {})
    projects: dict[str, list[str]] = defaultdict(list)
    for folder in sorted(wheels):
        projects[posixpath.dirname(folder)].append(posixpath.basename(folder))
    return {
        **{f"{index}/index.html": _format_projects(names) for index, names in projects.items()},
        **{f"{folder}/index.html": _format_files(folder, files) for folder, files in wheels.items()},
        **{f"{folder}/repodata.json": _format_repodata(folder, conda[folder], indexes) for folder in conda},
    }


def _format_projects(names: Iterable[str]) -> str:
    return _format_page("Simple index", [(f"{name}/", name) for name in names])


def _format_files(folder: str, files: Mapping[str, PipPackage]) -> str:
    # The index's own spelling of an address comes back when the folder is locked from through a mirror.
    links = [
        (f"{_find_link(files[name], folder)}#sha256={files[name].sha256}", name) for name in sorted(files)
    ]
    return _format_page(f"Links for {posixpath.basename(folder)}", links)


def _find_link(package: PipPackage, folder: str) -> str:
    if package.index == DEFAULT_INDEX:
        return quote(posixpath.relpath(place_of(package), folder))
    return posixpath.relpath(_spell(package.url), folder)


def _format_page(title: str, links: Iterable[tuple[str, str]]) -> str:
    lines = [f'<a href="{html.escape(href)}">{html.escape(name)}</a><br>\n' for href, name in links]
    return (
        '<!DOCTYPE html>\n<html><head><meta charset="utf-8">'
        '<meta name="pypi:repository-version" content="1.0">'
        f"<title>{html.escape(title)}</title></head><body>\n{''.join(lines)}</body></html>\n"
    )


def _format_repodata(
    folder: str, files: Mapping[str, CondaPackage], indexes: Mapping[str, Mapping[str, Any]]
) -> str:
    records: dict[str, dict[str, Any]] = {".conda": {}, ".tar.bz2": {}}
    for name, package in sorted(files.items()):
        facts = {"sha256": package.sha256, "md5": package.md5}
        size = {} if package.size is None else {"size": package.size}
        ending = ".conda" if name.endswith(".conda") else ".tar.bz2"
        records[ending][name] = {**indexes.get(package.sha256, {}), **facts, **size}
    document = {
        "info": {"subdir": posixpath.basename(folder)},
        "packages": records[".tar.bz2"],
        "packages.conda": records[".conda"],
        "repodata_version": 1,
    }
    return json.dumps(document, sort_keys=True, indent=1) + "\n"
