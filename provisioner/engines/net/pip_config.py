"""Read what the user told pip and uv about indexes, wheelhouses, certificates and proxies.

pip's rules (``pip._internal.configuration``): site-wide files, then the user's, then the file that
``PIP_CONFIG_FILE`` names, then ``PIP_…`` variables; the later wins. A command's section wins
over ``[global]``. Lists are separated by white space and are replaced, not added to. uv's variables win over
pip's: whoever sets one means the engine that we run.
"""

import configparser
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from provisioner.engines.net.addresses import parse_address
from provisioner.errors import UsageError
from provisioner.ground.text import shown

_LONGEST_TIMEOUT_S = 86_400.0
_SECTIONS = ("global", "download", "install")  # the later wins
# Weakest of all, then pip's files, then pip's variables, then uv's; in each row the later wins.
_WEAK_VARIABLES = (("CURL_CA_BUNDLE", "cert"), ("REQUESTS_CA_BUNDLE", "cert"))
_UV_VARIABLES = (
    ("UV_INDEX_URL", "index-url"),
    ("UV_DEFAULT_INDEX", "index-url"),
    ("UV_EXTRA_INDEX_URL", "extra-index-url"),
    ("UV_INDEX", "extra-index-url"),
    ("UV_FIND_LINKS", "find-links"),
    ("UV_NO_INDEX", "no-index"),
    ("UV_HTTP_TIMEOUT", "timeout"),
    ("SSL_CERT_FILE", "cert"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageSettings:
    """The user's package settings.

    Attributes:
        default_index: Address of the default index, None where nobody named one. May hold credentials.
        extra_indexes: Further indexes, for files that are known by name and sha256 only.
        find_links: Folders, ``file:`` addresses or web pages that hold wheels.
        no_index: True where the user forbids package indexes: wheels then come from wheelhouses alone.
        cert: Path of a CA bundle.
        proxy: Address of a proxy; may hold credentials.
        timeout_s: Seconds without a byte; None for our own default.
        sources: Field name to the file or variable that said it.
    """

    default_index: str | None = None
    extra_indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    cert: str | None = None
    proxy: str | None = None
    timeout_s: float | None = None
    sources: Mapping[str, str] = field(default_factory=dict)

    def find_default_index(self) -> str:
        """Return the address of the default index: the user's, else the one that a library knows.

        Raises:
            UsageError: The user forbids indexes.
        """
        self.require_indexes()
        if self.default_index:
            return self.default_index
        # Saved by users with an index of their own and by builds from a full store.
        from pypi_simple import PYPI_SIMPLE_ENDPOINT  # noqa: PLC0415 - 0.2 s of requests

        return PYPI_SIMPLE_ENDPOINT

    def require_indexes(self) -> None:
        """Go on where package indexes may be asked.

        Raises:
            UsageError: The user forbids them.
        """
        if self.no_index:
            place = self.sources.get("no_index", "no-index")
            raise UsageError(
                "usage.no_index",
                f"`{place}` forbids package indexes, and this cannot be done without one",
                hints=[
                    f"lift `{place}` for this command",
                    "`create` needs no index where wheelhouses have all wheels",
                ],
                context={"place": place},
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Value:
    text: str
    source: str


def read_pip_settings(
    environ: Mapping[str, str],
    *,
    windows: bool = os.name == "nt",
    read_text: Callable[[str], str | None] | None = None,
) -> PackageSettings:
    """Read pip's configuration files and pip's and uv's variables.

    Args:
        environ: The environment of the process.
        windows: Whether to look where pip looks on Windows.
        read_text: Returns a file's text, or None where there is no such file; tests give their own.

    Raises:
        UsageError: An address or a time-out is malformed; the message names the variable or file.
    """
    values = {
        **_from_variables(environ, _WEAK_VARIABLES),
        **_from_files(environ, windows=windows, read_text=read_text or _read_text),
        **_from_variables(environ, [(name, name[4:]) for name in environ if name.startswith("PIP_")]),
        **_from_variables(environ, _UV_VARIABLES),
    }
    index = values.get("index-url") or values.get("pypi-url")
    timeout = values.get("timeout") or values.get("default-timeout")
    found = {
        "default_index": index,
        "extra_indexes": values.get("extra-index-url"),
        "find_links": values.get("find-links"),
        "no_index": values.get("no-index"),
        "cert": values.get("cert"),
        "proxy": values.get("proxy"),
        "timeout_s": timeout,
    }
    links = (_without_home(word, environ, windows=windows) for word in _words(found["find_links"]))
    return PackageSettings(
        default_index=parse_address(_without_name(index.text), place=index.source) if index else None,
        extra_indexes=_parse_addresses(
            map(_without_name, _words(found["extra_indexes"])), found["extra_indexes"]
        ),
        find_links=_parse_addresses(links, found["find_links"]),
        no_index=_is_true(found["no_index"]),
        cert=_text(found["cert"]),
        proxy=_text(found["proxy"]),
        timeout_s=_seconds(timeout),
        sources={name: value.source for name, value in found.items() if value is not None},
    )


def list_pip_config_files(environ: Mapping[str, str], *, windows: bool) -> tuple[str, ...]:
    """Return the files that pip would read, weakest first, whether they exist or not."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return ()
    flavour: type[PurePath] = PureWindowsPath if windows else PurePosixPath
    name = "pip.ini" if windows else "pip.conf"
    home = environ.get("USERPROFILE" if windows else "HOME") or str(Path("~").expanduser())
    if windows:
        site = [flavour(environ.get("PROGRAMDATA", "C:\\ProgramData"), "pip", name)]
        user = [flavour(home, "pip", name), flavour(environ.get("APPDATA", home), "pip", name)]
    else:
        folders = environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        site = [
            *(flavour(folder, "pip", name) for folder in folders.split(":") if folder),
            flavour("/etc", name),
        ]
        config = environ.get("XDG_CONFIG_HOME") or str(flavour(home, ".config"))
        user = [flavour(home, ".pip", name), flavour(config, "pip", name)]
    # pip leaves the user's own files out when a file is named that exists
    middle = [] if named and Path(named).exists() else user
    return tuple(str(path) for path in (*site, *middle)) + ((named,) if named else ())


def _from_files(
    environ: Mapping[str, str], *, windows: bool, read_text: Callable[[str], str | None]
) -> dict[str, _Value]:
    """Return key to value, merged over all files, then over the sections."""
    by_section: dict[str, dict[str, _Value]] = {section: {} for section in _SECTIONS}
    for path in list_pip_config_files(environ, windows=windows):
        text = read_text(path)
        if text is None:
            continue
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(text)
        except configparser.Error:
            continue  # pip refuses to start with it and tells the user; its other files still help us
        for section in _SECTIONS:
            if parser.has_section(section):
                for key, value in parser.items(section):
                    if value:
                        by_section[section][_normal_key(key)] = _Value(text=value, source=path)
    merged: dict[str, _Value] = {}
    for section in _SECTIONS:
        merged |= by_section[section]
    return merged


def _from_variables(environ: Mapping[str, str], keys: Iterable[tuple[str, str]]) -> dict[str, _Value]:
    """Return key to value for the variables that are set; ``keys`` are pairs of variable and key."""
    return {
        _normal_key(key): _Value(text=environ[name], source=name) for name, key in keys if environ.get(name)
    }


def _normal_key(key: str) -> str:
    return key.lower().replace("_", "-").removeprefix("--")


def _text(value: _Value | None) -> str | None:
    return value.text if value else None


def _words(value: _Value | None) -> tuple[str, ...]:
    if value is None:
        return ()
    text = value.text.replace(",", " ") if value.source == "UV_FIND_LINKS" else value.text
    return tuple(text.split())


def _parse_addresses(words: Iterable[str], value: _Value | None) -> tuple[str, ...]:
    """Return the words, of which those that are addresses and no paths must be good ones."""
    place = value.source if value else ""
    return tuple(parse_address(word, place=place) if "://" in word else word for word in words)


def _without_name(index: str) -> str:
    """Return the address of uv's ``name=https://…``; plain addresses pass."""
    name, separator, address = index.partition("=")
    return address if separator and "/" not in name and ":" not in name else index


def _without_home(link: str, environ: Mapping[str, str], *, windows: bool) -> str:
    if not link.startswith("~"):
        return link
    home = environ.get("USERPROFILE" if windows else "HOME")
    return home + link[1:] if home else link


def _is_true(value: _Value | None) -> bool:
    return value is not None and value.text.strip().lower() in {"1", "true", "yes", "on", "y", "t"}


def _seconds(value: _Value | None) -> float | None:
    if value is None:
        return None
    with suppress(ValueError):
        seconds = float(value.text)
        if 0 < seconds <= _LONGEST_TIMEOUT_S:
            return seconds
    raise UsageError(
        "usage.timeout",
        f"`{value.source}` gives {shown(value.text)} as time-out",
        hints=[f"give seconds, more than 0 and at most {_LONGEST_TIMEOUT_S:.0f}"],
        context={"place": value.source},
    )


def _read_text(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
