"""Addresses: swap canonical prefixes for mirrors and back, and print none of their secrets."""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from provisioner.errors import UsageError

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
        parts.port  # noqa: B018 - a password that holds a slash ends where the port should be
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "****"
    netloc = f"****@{host}" if "@" in parts.netloc else host
    query = "****" if parts.query else ""
    return urlunsplit((parts.scheme, netloc, _TOKEN.sub("/t/****", parts.path), query, ""))


def redact_text(text: str) -> str:
    """Return ``text`` with every address in it redacted; for what engines and servers say."""
    return _URL.sub(lambda match: redact(match.group()), text)


def parse_address(text: str, *, place: str, schemes: Collection[str] = ("https", "http", "file")) -> str:
    """Return an address from outside that can be asked; ``place`` is the variable or file that it stands in.

    Raises:
        UsageError: It cannot.
    """
    why = check_address(text, schemes=schemes)
    if why is not None:
        raise UsageError(
            "usage.address",
            f"the address in `{place}` cannot be used: {why}",
            hints=[f"correct `{place}`"],
            context={"place": place},
        )
    return text


def check_address(text: str, *, schemes: Collection[str] = ("https", "http", "file")) -> str | None:
    """Say why ``text`` is no address that can be asked.

    The address is not repeated: where it is malformed, a password in it cannot be found.
    """
    if not text.isprintable():
        return "it holds a character that cannot be printed"
    try:
        parts = urlsplit(text)
        (parts.hostname or "").encode("idna")  # what looks it up does it, and gives up without a word of ours
    except ValueError:
        return "its host is malformed"
    if re.search(r"\s", parts.netloc):
        return "a space is in it"
    try:
        parts.port  # noqa: B018 - it is read for its error
    except ValueError:
        return "its port is not a number from 0 to 65535"
    if parts.scheme not in schemes:
        return f"it does not begin with {' or '.join(f'`{scheme}://`' for scheme in schemes)}"
    return None if parts.hostname or parts.scheme == "file" else "it names no host"


def host_and_port(url: str) -> str:
    """Return ``host:port``, with the scheme's port where the address names none; the path for ``file:``.

    A malformed address, as a server may send one, gives an empty host.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ":0"
    if parts.scheme == "file":
        return parts.path
    default = {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{f'[{host}]' if ':' in host else host}:{port or default}"


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
