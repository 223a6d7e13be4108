"""How to reach the network: mirrors, certificates, proxies, credentials and patience."""

import ipaddress
import netrc
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from provisioner.engines.net.addresses import host_and_port, origin_of, parse_address, split_credentials
from provisioner.engines.net.pip_config import PackageSettings

_PROXIED = ("HTTP", "HTTPS", "ALL")


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSettings:
    """Everything that the downloader has to know.

    Attributes:
        mirrors: Canonical prefix to the prefix that is asked instead.
        cert: CA bundle that replaces the system's.
        proxies: Scheme (``http``, ``https``, ``all``) to the proxy's address.
        no_proxy: Hosts, suffixes or networks that are asked directly; ``*`` for all.
        credentials: Origin (``https://host:443``) or host name to user and password.
        connect_timeout_s: Seconds for a connection.
        stall_timeout_s: Seconds without a byte; a slow transfer may take any time.
        tries: Requests per file before we give up.
        backoff_s: Pause before the second try; it doubles.
        offline: Refuse everything but ``file:`` addresses.
        longest_body_bytes: Limit for pages that are held in memory.
    """

    mirrors: Mapping[str, str] = field(default_factory=dict)
    cert: str | None = None
    proxies: Mapping[str, str] = field(default_factory=dict)
    no_proxy: tuple[str, ...] = ()
    credentials: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    connect_timeout_s: float = 10.0
    stall_timeout_s: float = 30.0
    tries: int = 4
    backoff_s: float = 0.5
    offline: bool = False
    longest_body_bytes: int = 1024 * 1024 * 1024

    def proxy_for(self, url: str) -> str | None:
        """Return the proxy to ask for ``url``, or None to ask the host itself."""
        parts = urlsplit(url)
        if any(_bypasses(entry, parts.hostname or "", host_and_port(url)) for entry in self.no_proxy):
            return None
        return self.proxies.get(parts.scheme) or self.proxies.get("all")

    def list_proxy_variables(self) -> dict[str, str]:
        """Return the variables that tell a program of the proxies."""
        found = {f"{scheme.upper()}_PROXY": address for scheme, address in self.proxies.items()}
        return found | ({"NO_PROXY": ",".join(self.no_proxy)} if found and self.no_proxy else {})

    def credentials_for(self, url: str) -> tuple[str, str] | None:
        """Return user and password for the address's own host; nobody else's are ever sent."""
        return self.credentials.get(origin_of(url)) or self.credentials.get(urlsplit(url).hostname or "")


def read_network_settings(
    environ: Mapping[str, str],
    packages: PackageSettings,
    *,
    mirrors: Mapping[str, str] | None = None,
    offline: bool = False,
    windows: bool = os.name == "nt",
) -> NetworkSettings:
    """Gather the settings from the environment, pip's configuration and the netrc file.

    Proxies: pip's own, else ``HTTPS_PROXY`` and its kin (lower case wins), else on Windows the system's.

    Raises:
        UsageError: A proxy's address is malformed; the message names the variable or file.
    """
    names = [name for scheme in _PROXIED for name in (f"{scheme}_PROXY", f"{scheme}_PROXY".lower())]
    proxies = {
        name[:-6].lower(): _parse_proxy(environ[name], place=name) for name in names if environ.get(name)
    }
    if windows and not proxies:
        import urllib.request  # noqa: PLC0415 - saves others 30 ms of http.client

        proxies = {
            scheme: _parse_proxy(url, place="the system's proxy settings")
            for scheme, url in urllib.request.getproxies().items()
            if scheme.upper() in _PROXIED
        }
    if packages.proxy:
        proxies = {"all": _parse_proxy(packages.proxy, place=packages.sources["proxy"])}
    no_proxy = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    credentials = {}
    for address in (packages.default_index, *packages.extra_indexes, *packages.find_links):
        if address and "://" in address:
            _, userinfo = split_credentials(address)
            if userinfo:
                credentials[origin_of(address)] = userinfo
    return NetworkSettings(
        mirrors=dict(mirrors or {}),
        cert=packages.cert,
        proxies=proxies,
        no_proxy=tuple(no_proxy.replace(",", " ").split()),
        credentials=_netrc_credentials(environ, windows=windows) | credentials,
        stall_timeout_s=packages.timeout_s or 30.0,
        offline=offline,
    )


def _parse_proxy(text: str, *, place: str) -> str:
    # What kinds of proxy can be used is said when one is: nobody else needs to care.
    schemes = ("http", "https", "socks4", "socks5", "socks5h")
    return parse_address(text if "://" in text else f"http://{text}", place=place, schemes=schemes)


def _bypasses(entry: str, host: str, port: str) -> bool:
    """Tell whether a ``no_proxy`` entry covers the host: ``*``, a suffix, ``host:port`` or a network.

    Not `urllib.request.proxy_bypass_environment`, which knows no networks and no ``*.example.org``.
    """
    entry = entry.lower().removeprefix("*.").lstrip(".")
    if entry in {"*", host, port}:
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return bool(entry) and host.endswith(f".{entry}")


def _netrc_credentials(environ: Mapping[str, str], *, windows: bool) -> dict[str, tuple[str, str]]:
    """Return host to login from the netrc file; without one, or with a broken one, nothing.

    Not `httpx.NetRCAuth`, which sends the login of a ``default`` entry to whatever host a redirect names.
    """
    home = environ.get("USERPROFILE" if windows else "HOME")
    named = environ.get("NETRC")
    candidates = (
        [Path(named)] if named else [Path(home, name) for name in (".netrc", "_netrc")] if home else []
    )
    for path in candidates:
        try:
            hosts = netrc.netrc(path).hosts
        except (OSError, UnicodeDecodeError, netrc.NetrcParseError):
            continue
        return {host: (login, password) for host, (login, _, password) in hosts.items() if login}
    return {}
