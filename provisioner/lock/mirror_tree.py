"""Where locked files lie in a folder that any web server can mirror from, and the pages beside them.

``pypi/simple/<project>/…``    files of the default index, which a lockfile does not name
``web/<host>/<path>``          everything with an address, where the address says
``requirements/…``             the wheels of each profile and platform, for ``pip install -r``

Pages lie among them as ``index.html``, ``index.json`` and ``repodata.json``, so one line for each host in a
map of mirrors is enough, and pip, uv and conda's clients read the folder as an index and as channels. Links
are relative. Sources: PEP 503, 691, 658 and 700; conda's ``repodata.json``.
"""

import html
import json
import posixpath
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from provisioner.ground.names import DEFAULT_INDEX
from provisioner.lock.model import Lock
from provisioner.resolve.model import CondaPackage, PipPackage

SIMPLE = "pypi/simple"
"""The folder of the default index."""
WEB = "web"
"""The folder of what has an address."""
REQUIREMENTS = "requirements"
"""The folder of what pip and uv are given to install."""
LIST_NAMES = ("index.html", "index.json")
"""The page of an index or a project, for people and old clients, and for new ones."""
CHANNEL_LIST = "repodata.json"
"""The list of a channel's folder."""
_LOOPBACK = {"127.0.0.1": "127.0.0.1", "localhost": "localhost", "--1": "[::1]"}


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFacts:
    """What a wheel or a source archive says of itself that the lock does not.

    ``metadata_sha256`` is the digest of the METADATA that lies beside a wheel; None where none does.
    """

    requires_python: str | None = None
    metadata_sha256: str | None = None


_UNKNOWN = FileFacts()


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


def map_mirrors(places: Iterable[str], base: str) -> dict[str, str]:
    """Return the map of mirrors, canonical prefix to prefix, for a folder that is served at ``base``.

    Args:
        places: The paths of its files.
        base: The folder's address.
    """
    base = base.rstrip("/")
    hosts = {parts[1] for place in places if (parts := place.split("/"))[0] == WEB and len(parts) > 2}
    mirrors = {DEFAULT_INDEX: f"{base}/{SIMPLE}"}
    for folder in sorted(hosts):
        name, _, port = folder.partition("+")
        # By the rules of locks, http is spoken on this machine alone.
        for scheme in ("https", "http") if name in _LOOPBACK else ("https",):
            host = _LOOPBACK.get(name, name) + (f":{port}" if port else "")
            mirrors[f"{scheme}://{host}/"] = f"{base}/{WEB}/{folder}/"
    return mirrors


def render_requirements(lock: Lock, platform: str) -> dict[str, str]:
    """Return path to text of the list that pip and uv install a profile's wheels by, from any mirror."""
    lines = [
        f"# {lock.profile}, {platform}: pip install --no-deps --require-hashes --index-url URL -r FILE",
        *(
            f"{package.name}=={package.version} --hash=sha256:{package.sha256}"
            for package in lock.find_platform(platform).pip
            if not package.validation
        ),
    ]
    return {f"{REQUIREMENTS}/{lock.profile}.{platform}.txt": "\n".join([*lines, ""])}


def render_pages(
    files: Iterable[tuple[Lock, CondaPackage | PipPackage]],
    indexes: Mapping[str, Mapping[str, Any]],
    facts: Mapping[str, FileFacts] | None = None,
) -> dict[str, str]:
    """Return path to text of every page for the files in the folder.

    Args:
        files: What is there, each with a lock that it is of.
        indexes: sha256 of a conda package to its ``index.json``.
        facts: sha256 of a wheel or a source archive to what it says of itself.
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
    pages = {f"{folder}/{CHANNEL_LIST}": _format_repodata(folder, conda[folder], indexes) for folder in conda}
    for index, names in projects.items():
        pages |= _name_both(index, _format_projects(names), {"projects": [{"name": name} for name in names]})
    for folder, listed in wheels.items():
        entries = [_describe(folder, listed[name], facts or {}) for name in sorted(listed)]
        versions = sorted({package.version for package in listed.values()})
        document = {"name": posixpath.basename(folder), "versions": versions, "files": entries}
        pages |= _name_both(folder, _format_files(folder, entries), document)
    return pages


def _name_both(folder: str, page: str, document: Mapping[str, Any]) -> dict[str, str]:
    """Return the two forms of a page, by their paths."""
    text = json.dumps({"meta": {"api-version": "1.1"}, **document}, sort_keys=True, indent=1) + "\n"
    return dict(zip((f"{folder}/{name}" for name in LIST_NAMES), (page, text), strict=True))


def _describe(folder: str, package: PipPackage, facts: Mapping[str, FileFacts]) -> dict[str, Any]:
    """Return a file's entry on its project's page (PEP 691)."""
    known = facts.get(package.sha256, _UNKNOWN)
    entry = {
        "filename": package.filename,
        "url": _find_link(package, folder),
        "hashes": {"sha256": package.sha256},
        "size": package.size,
        "requires-python": known.requires_python,
        "core-metadata": known.metadata_sha256 and {"sha256": known.metadata_sha256},
    }
    return {key: value for key, value in entry.items() if value is not None}


def _format_projects(names: Iterable[str]) -> str:
    return _format_page("Simple index", [({"href": f"{name}/"}, name) for name in names])


def _find_link(package: PipPackage, folder: str) -> str:
    """Return a link to a file, from the folder of its page.

    The index's own spelling of an address comes back when the folder is locked from through a mirror.
    """
    if package.index == DEFAULT_INDEX:
        return quote(posixpath.relpath(place_of(package), folder))
    return posixpath.relpath(_spell(package.url), folder)


def _format_files(folder: str, entries: Iterable[Mapping[str, Any]]) -> str:
    links = []
    for entry in entries:
        attributes = {"href": f"{entry['url']}#sha256={entry['hashes']['sha256']}"}
        if "requires-python" in entry:
            attributes["data-requires-python"] = entry["requires-python"]
        if "core-metadata" in entry:
            # The second name is the one that PEP 658 had at first, and that older clients look for.
            for name in ("data-core-metadata", "data-dist-info-metadata"):
                attributes[name] = f"sha256={entry['core-metadata']['sha256']}"
        links.append((attributes, entry["filename"]))
    return _format_page(f"Links for {posixpath.basename(folder)}", links)


def _format_page(title: str, links: Iterable[tuple[Mapping[str, str], str]]) -> str:
    lines = []
    for attributes, name in links:
        written = " ".join(f'{key}="{html.escape(value)}"' for key, value in attributes.items())
        lines.append(f"<a {written}>{html.escape(name)}</a><br>\n")
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
