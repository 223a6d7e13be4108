"""Proxies, exceptions and credentials come from where users set them, and go to their own hosts only."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from provisioner.engines.net.addresses import host_and_port, redact, redact_text, to_canonical, to_mirror
from provisioner.engines.net.pip_config import PackageSettings
from provisioner.engines.net.settings import NetworkSettings, read_network_settings
from provisioner.errors import UsageError


def read(environ: Mapping[str, str], **packages: object) -> NetworkSettings:
    return read_network_settings(environ, PackageSettings(**packages), windows=False)  # type: ignore[arg-type] # passed on


def test_proxies_come_from_the_environment() -> None:
    """Lower case wins, schemes differ, and an address without scheme is http."""
    settings = read({"HTTPS_PROXY": "http://UP:1", "https_proxy": "low:2", "HTTP_PROXY": "http://h:3"})
    assert settings.proxy_for("https://x/") == "http://low:2"
    assert settings.proxy_for("http://x/") == "http://h:3"
    assert read({"ALL_PROXY": "http://a:4"}).proxy_for("https://x/") == "http://a:4"
    assert read({}).proxy_for("https://x/") is None


def test_a_program_is_told_of_the_same_proxies() -> None:
    """Wherever they were set, a program that asks the network itself asks through them."""
    settings = read({"NO_PROXY": "a.example, 10.0.0.0/8"}, proxy="p:2", sources={"proxy": "PIP_PROXY"})
    assert settings.list_proxy_variables() == {"ALL_PROXY": "http://p:2", "NO_PROXY": "a.example,10.0.0.0/8"}
    assert read({"NO_PROXY": "a.example"}).list_proxy_variables() == {}


def test_pips_proxy_wins() -> None:
    """What the user told pip holds for every address."""
    assert (
        read({"HTTPS_PROXY": "http://e:1"}, proxy="p:2", sources={"proxy": "PIP_PROXY"}).proxy_for(
            "https://x/"
        )
        == "http://p:2"
    )


@pytest.mark.parametrize(
    ("entry", "url", "direct"),
    [
        ("example.org", "https://example.org/x", True),
        ("example.org", "https://a.example.org/x", True),
        (".example.org", "https://a.example.org/x", True),
        ("*.example.org", "https://a.example.org/x", True),
        ("example.org", "https://notexample.org/x", False),
        ("example.org:8080", "http://example.org:8080/x", True),
        ("example.org:8080", "http://example.org/x", False),
        ("10.0.0.0/8", "http://10.1.2.3/x", True),
        ("10.0.0.0/8", "http://11.1.2.3/x", False),
        ("::1", "http://[::1]:80/x", True),
        ("*", "https://anything/x", True),
        ("", "https://anything/x", False),
    ],
)
def test_exceptions_are_hosts_suffixes_ports_and_networks(entry: str, url: str, *, direct: bool) -> None:
    """`NO_PROXY` is read as curl and pip read it."""
    settings = read({"ALL_PROXY": "http://p:1", "NO_PROXY": f"other.invalid,{entry}"})
    assert (settings.proxy_for(url) is None) is direct


@pytest.mark.parametrize(
    "address",
    [
        "http://h:99999",
        "http://[::1",
        "http://a..b",
        "http://a b",
        "http://:80",
        "http://ada:SEC/RET@h",
        "ftp://h",
        "h:port",
    ],
)
def test_a_malformed_proxy_is_named_by_its_variable(address: str) -> None:
    """Where it stands is said, what stands there is not: it may hold a password."""
    with pytest.raises(UsageError, match="`HTTPS_PROXY`") as caught:
        read({"HTTPS_PROXY": address})
    assert "SEC" not in str(caught.value.as_json())


def test_credentials_belong_to_their_origin(tmp_path: Path) -> None:
    """An index's password and netrc's logins are for those hosts, and for that port."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine files.example.org login ada password one\n", encoding="utf-8")
    netrc.chmod(0o600)
    settings = read({"HOME": str(tmp_path)}, default_index="https://u%40x:p%2Fw@index.example.org/simple")
    assert settings.credentials_for("https://index.example.org/f") == ("u@x", "p/w")
    assert settings.credentials_for("https://index.example.org:8443/f") is None
    assert settings.credentials_for("http://index.example.org/f") is None
    assert settings.credentials_for("https://files.example.org/f") == ("ada", "one")
    assert settings.credentials_for("https://example.org/f") is None


@pytest.mark.parametrize("text", [b"password lost", b"machine h login ada password \xff\xfe"])
def test_a_broken_netrc_is_no_credentials(tmp_path: Path, text: bytes) -> None:
    """Its errors are its owner's affair."""
    (tmp_path / ".netrc").write_bytes(text)
    assert read({"HOME": str(tmp_path)}).credentials == {}


def test_mirrors_swap_whole_segments_and_back() -> None:
    """The longest prefix wins; a longer name is another one; undoing gives the canonical address."""
    mirrors = {"https://c/": "https://m1/c/", "https://c/main": "https://m2/main/"}
    assert to_mirror("https://c/main/linux-64/x", mirrors) == "https://m2/main/linux-64/x"
    assert to_mirror("https://c/main2/x", mirrors) == "https://m1/c/main2/x"
    assert to_mirror("https://cc/x", mirrors) == "https://cc/x"
    for url in ("https://c/main/x", "https://c/other/x", "https://d/x"):
        assert to_canonical(to_mirror(url, mirrors), mirrors) == url


@pytest.mark.parametrize(
    "url",
    [
        "https://user:SECRET@host/x",
        "https://SECRET@host/x",
        "https://host/t/SECRET/main/x",
        "https://host/t/SECRET",
        "https://host/x?token=SECRET",
        "https://host/x#SECRET",
        "https://user:SECRET@host:1/t/SECRET/x?SECRET#SECRET",
        "http://[bad:SECRET@/x",
        "https://user:SECRET/half@host/x",
    ],
)
def test_no_secret_survives_redaction(url: str) -> None:
    """Whatever the form, and doing it twice changes nothing."""
    assert "SECRET" not in redact(url)
    assert redact(redact(url)) == redact(url)
    assert "SECRET" not in redact_text(f"error: could not read '{url}' (again: {url}).")


def test_hosts_are_named_with_their_port() -> None:
    """The scheme's port where none is written."""
    assert host_and_port("https://Example.org/x") == "example.org:443"
    assert host_and_port("http://u:p@h:8080/x") == "h:8080"
    assert host_and_port("http://[::1]/x") == "[::1]:80"
