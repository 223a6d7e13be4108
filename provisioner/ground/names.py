"""What names and addresses may look like, in profiles and in lockfiles: one rule for both.

Each check returns why a text will not do, None if it will.
"""

import re
from urllib.parse import unquote, urlsplit

from provisioner.ground.text import shown

PLATFORMS = ("linux-64", "win-64")
DEFAULT_INDEX = "pypi"

PROFILE_NAME = r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?"
INDEX_NAME = r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?"
PACKAGE_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"
CONDA_NAME = r"_?[a-z0-9][a-z0-9._-]{0,99}"

# Windows' device names are no file names, with or without an extension; `base` is conda's own environment.
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?|base")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_ADDRESS = re.compile(
    r"https?://(?:[A-Za-z0-9.-]+|\[::1\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*/?"
)
_CONDA_TOKEN = re.compile(r"/t/[^/]+/")
_CONDA_FORGE_HOST = "https://conda.anaconda.org"


def check_profile_name(text: str) -> str | None:
    """Say why ``text`` cannot name a profile: it becomes a file's name on Linux and Windows, never a path."""
    if not re.fullmatch(PROFILE_NAME, text) or ".." in text:
        return f"{shown(text)} is not a profile's name: small letters, digits, `.`, `_` and `-`, at most 64"
    if _RESERVED.fullmatch(text):
        return f"{shown(text)} is a reserved name"
    return None


def check_index_name(text: str) -> str | None:
    """Say why ``text`` cannot name an index beside the default one."""
    if text == DEFAULT_INDEX:
        return f"`{DEFAULT_INDEX}` is the default index and has no address here"
    return None if re.fullmatch(INDEX_NAME, text) else f"{shown(text)} is not an index's name"


def check_canonical_address(text: str) -> str | None:
    """Say why nothing may be fetched from an address; a secret in it is not repeated.

    Only https, and http on this machine. Nothing that could carry a secret (user, query, conda's token), and
    nothing that two programs could read as different paths (``..``, double encoding, backslashes).
    """
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "this is not an address"
    if parts.username is not None or parts.password is not None or _CONDA_TOKEN.search(parts.path):
        return "an address here has no user, password or token; keep them in `.netrc` or pip's configuration"
    if parts.query or parts.fragment or "?" in text or "#" in text:
        return "an address here has no `?` and no `#`"
    if not _ADDRESS.fullmatch(text):
        return f"{shown(text)} is not a plain https address"
    if parts.scheme == "http" and host not in _LOOPBACK:
        return f"{shown(text)} is not https"
    segments = [unquote(segment) for segment in parts.path.split("/")]
    unclear = any(segment in {".", ".."} or re.search(r"[%/\\\x00-\x1f]", segment) for segment in segments)
    return f"{shown(text)} has a path that could be read in two ways" if unclear else None


def channel_address(channel: str) -> str:
    """Return a channel's canonical address; a bare name is one on conda-forge's host."""
    return (channel if "://" in channel else f"{_CONDA_FORGE_HOST}/{channel}").rstrip("/")
