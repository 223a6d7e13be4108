"""Addresses: swap canonical prefixes for mirrors and back, and print none of their secrets."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

_TOKEN = re.compile(r"/t/[^/]+(?=/|$)")
_DRIVE = re.compile(r"^/+(?=[A-Za-z]:)")
_URL = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\"<>`)\]}]+")


def to_mirror(url: str, mirrors: Mapping[str, str]) -> str:
    """Return where to ask: the longest canonical prefix is replaced, and whole segments only."""
    return _swap(url, mirrors.items())


def to_canonical(url: str, mirrors: Mapping[str, str]) -> str:
    """Return the canonical address of a mirror's ``url``; others pass."""
    return _swap(url, ((mirror, canonical) for canonical, mirror in mirrors.items()))


def _swap(url: str, pairs: Iterable[tuple[str, str]]) -> str:
    best: tuple[str, str] | None = None
    for old, new in pairs:
        stem = old.rstrip("/")
        if (url == stem or url.startswith((stem + "/", stem + "?"))) and (
            best is None or len(stem) > len(best[0])
        ):
            best = (stem, new.rstrip("/"))
    return url if best is None else best[1] + url[len(best[0]) :]


def redact(url: str) -> str:
    """Return ``url`` without user information, token, query and fragment; doing it twice changes nothing."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "****"
    netloc = f"****@{host}" if "@" in parts.netloc else host
    query = "****" if parts.query else ""
    return urlunsplit((parts.scheme, netloc, _TOKEN.sub("/t/****", parts.path), query, ""))


def redact_text(text: str) -> str:
    """Return ``text`` with every address in it redacted; for what engines and servers say."""
    return _URL.sub(lambda match: redact(match.group()), text)


def host_and_port(url: str) -> str:
    """Return ``host:port``, with the scheme's port where the address names none; the path for ``file:``."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return parts.path
    default = {"http": 80, "https": 443}.get(parts.scheme, 0)
    host = parts.hostname or ""
    return f"{f'[{host}]' if ':' in host else host}:{parts.port or default}"


def split_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    """Return the address without its user information, and that as (user, password)."""
    parts = urlsplit(url)
    userinfo, separator, host = parts.netloc.rpartition("@")
    if not separator:
        return url, None
    user, _, password = userinfo.partition(":")
    return urlunsplit(parts._replace(netloc=host)), (unquote(user), unquote(password))


def origin_of(url: str) -> str:
    """Return scheme, host and port: what credentials belong to."""
    return f"{urlsplit(url).scheme}://{host_and_port(url)}"


def local_path(url: str) -> Path:
    """Return the path of a ``file:`` address; on Windows a host in it names a share."""
    parts = urlsplit(url)
    share = f"//{parts.netloc}" if parts.netloc not in {"", "localhost"} else ""
    path = unquote(share + parts.path)
    # Not `url2pathname`, which does no more and brings 30 ms of http.client.
    return Path(_DRIVE.sub("", path) if os.name == "nt" else path)


def filename_of(url: str) -> str:
    """Return the last part of the address's path, decoded once."""
    return unquote(urlsplit(url).path.rsplit("/", 1)[-1])
