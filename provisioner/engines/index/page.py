"""Read one project's page of a package index, in HTML or JSON (PEP 503, PEP 691)."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urljoin

from provisioner.engines.net.addresses import check_address, host_and_port, redact, split_credentials
from provisioner.engines.net.download import Downloader
from provisioner.errors import UnavailableError

_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.2"
_SHA256 = re.compile(r"[0-9a-f]{64}")
# What an index writes on the page of a project without files; a login page has neither.
_EMPTY_PAGE = re.compile(r"pypi:repository-version|<title>\s*links for", re.IGNORECASE)
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*\.(?:whl|tar\.gz)")


class IndexFile(NamedTuple):
    """One wheel, or one source archive (``.tar.gz``), that an index offers.

    A tuple, because big projects list thousands, and building dataclasses took most of a lock's time.

    Attributes:
        url: As the index gave it, made absolute.
        sha256: Lower-case hex; None where the index says none.
        uploaded: ISO time of the upload; None where the index says none.
        yanked: The reason, empty where none was given; None where the file is not yanked.
        size: Bytes; None where the index says none.
        provenance: Address of the file's attestations (PEP 740); None where the index has none.
    """

    filename: str
    url: str
    sha256: str | None = None
    requires_python: str | None = None
    uploaded: str | None = None
    yanked: str | None = None
    size: int | None = None
    provenance: str | None = None


class FetchedPage(NamedTuple):
    """A page as its index gave it; ``files`` is None where it has not changed since ``etag``."""

    files: tuple[IndexFile, ...] | None
    etag: str | None


def fetch_page(downloader: Downloader, url: str, *, project: str, etag: str | None = None) -> FetchedPage:
    """Return a project's page, or another page of links to its files.

    Raises:
        NotFoundError: The index has no such page.
        UnavailableError: It could not be read.
    """
    reply = downloader.get(url, accept=_ACCEPT, etag=etag)
    if reply.status == 304:
        return FetchedPage(None, etag)
    kind = reply.headers.get("content-type", "")
    files = parse_page(reply.body, kind=kind, url=reply.url, project=project)
    return FetchedPage(files, reply.headers.get("etag"))


def parse_page(body: bytes, *, kind: str, url: str, project: str) -> tuple[IndexFile, ...]:
    """Return the wheels and source archives on the page; other kinds of file are left out.

    Args:
        body: What the index answered.
        kind: The answer's content type.
        url: Where the answer came from; links are relative to it.
        project: The project asked for.

    Raises:
        UnavailableError: The answer is not a page of an index.
    """
    try:
        if "json" in kind:
            found = [_from_json(file, url) for file in json.loads(body)["files"]]
        else:
            found = _from_html(body.decode(), url=url, project=project)
        return tuple(_checked(found, base=url))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnavailableError(
            "unavailable.bad_page",
            f"`{host_and_port(url)}` answered for `{project}` with something that is no package index's page",
            hints=["check the index's address, and whether a proxy or a login page answers for it"],
            context={"host": host_and_port(url), "url": redact(url), "project": project},
        ) from error


def _checked(files: Iterable[IndexFile], *, base: str) -> Iterable[IndexFile]:
    """Yield the files that can be locked; a page is whatever its server sends."""
    # A page from the network must not make us read, and lock, files of this machine.
    schemes = ("https:", "http:", *(["file:"] if base.startswith("file:") else []))
    for file in files:
        if not _FILENAME.fullmatch(file.filename) or not file.url.startswith(schemes):
            continue
        sha256 = file.sha256.lower() if file.sha256 else ""
        yield file._replace(
            # Private indexes put the reader's own token into their links; it must not reach a lockfile.
            url=split_credentials(file.url)[0] if "@" in file.url else file.url,
            sha256=sha256 if _SHA256.fullmatch(sha256) else None,
        )


def _from_json(file: Mapping[str, Any], base: str) -> IndexFile:
    yanked, size = file.get("yanked", False), file.get("size")
    url = file["url"].partition("#")[0]
    if not url.startswith("https://") or "/." in url:  # joining takes most of a big page's time
        url = urljoin(base, url)
    return IndexFile(
        filename=file["filename"],
        url=url,
        sha256=_text(file.get("hashes", {}).get("sha256")),
        requires_python=_text(file.get("requires-python")),
        uploaded=_text(file.get("upload-time")),
        yanked=None if yanked is False else (yanked if isinstance(yanked, str) else ""),
        size=size if type(size) is int and size > 0 else None,
        provenance=_find_provenance(file.get("provenance"), base),
    )


def _find_provenance(value: object, base: str) -> str | None:
    """Return the address of attestations; pages of files on a disk name none on the network."""
    if not isinstance(value, str):
        return None
    address = split_credentials(urljoin(base, value))[0]
    return address if check_address(address, schemes=("https", "http")) is None else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _from_html(text: str, *, url: str, project: str) -> list[IndexFile]:
    import pypi_simple  # noqa: PLC0415 - 0.2 s of requests that users of JSON indexes save

    try:
        page = pypi_simple.ProjectPage.from_html(project, text, base_url=url)
    except Exception as error:  # its own, bs4's, packaging's, urllib's: a server may send anything
        raise ValueError(str(error)) from error
    if not page.packages and not _EMPTY_PAGE.search(text):
        raise ValueError("a web page without a file")
    return [
        IndexFile(
            filename=package.filename,
            url=package.url,
            sha256=(package.digests or {}).get("sha256"),
            requires_python=package.requires_python,
            uploaded=package.upload_time.isoformat() if package.upload_time else None,
            yanked=(package.yanked_reason or "") if package.is_yanked else None,
            size=package.size,
            provenance=_find_provenance(package.provenance_url, url),
        )
        for package in page.packages
    ]
