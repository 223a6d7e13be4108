"""The user's pip and uv settings are found and weighed as pip weighs them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from provisioner.engines.net.pip_config import PackageSettings, list_pip_config_files, read_pip_settings
from provisioner.errors import UsageError

HOME = {"HOME": "/home/ada"}


def read(files: Mapping[str, str], environ: Mapping[str, str], *, windows: bool = False) -> PackageSettings:
    return read_pip_settings(environ, windows=windows, read_text=files.get)


def test_nothing_said_means_no_index() -> None:
    """Without files and variables nothing is invented."""
    assert read({}, HOME) == PackageSettings()


def test_later_files_win() -> None:
    """The user's file beats the machine's, key by key."""
    files = {
        "/etc/pip.conf": "[global]\nindex-url = https://site/simple\ncert = /site.pem\nproxy = http://p:1\n",
        "/home/ada/.config/pip/pip.conf": "[global]\nindex-url = https://user/simple\ncert = /ada.pem\n",
    }
    settings = read(files, HOME)
    assert settings.default_index == "https://user/simple"
    assert settings.cert == "/ada.pem"
    assert settings.proxy == "http://p:1"
    assert settings.sources["cert"] == "/home/ada/.config/pip/pip.conf"


def test_the_install_section_wins_over_global_of_a_stronger_file() -> None:
    """A command's section wins whatever file it stands in, as in pip."""
    files = {
        "/etc/pip.conf": "[install]\nindex-url = https://section/simple\n",
        "/home/ada/.config/pip/pip.conf": "[global]\nindex-url = https://global/simple\n",
    }
    assert read(files, HOME).default_index == "https://section/simple"


def test_variables_win_over_files_and_uv_over_pip() -> None:
    """PIP_ variables beat files; uv's beat PIP_."""
    files = {"/etc/pip.conf": "[global]\nindex_url = https://file/simple\n"}
    pip = HOME | {"PIP_INDEX_URL": "https://variable/simple"}
    assert read(files, HOME).default_index == "https://file/simple"
    assert read(files, pip).default_index == "https://variable/simple"
    assert read(files, pip | {"UV_INDEX_URL": "https://uv/simple"}).default_index == "https://uv/simple"
    both = pip | {"UV_INDEX_URL": "https://uv/simple", "UV_DEFAULT_INDEX": "inside=https://new/simple"}
    assert read(files, both).default_index == "https://new/simple"


def test_lists_are_separated_by_white_space_and_replaced() -> None:
    """Multi-line lists are split; a variable replaces the file's list."""
    files = {
        "/etc/pip.conf": "[global]\nfind-links =\n    /srv/wheels\n    ~/wheels\n    https://host/w/\n"
        "extra-index-url = https://a/simple file:///b/simple\n"
    }
    settings = read(files, HOME)
    assert settings.find_links == ("/srv/wheels", "/home/ada/wheels", "https://host/w/")
    assert settings.extra_indexes == ("https://a/simple", "file:///b/simple")
    assert read(files, HOME | {"PIP_FIND_LINKS": "/x /y"}).find_links == ("/x", "/y")
    assert read(files, HOME | {"UV_FIND_LINKS": "/x,/y"}).find_links == ("/x", "/y")


def test_timeout_under_both_of_its_names() -> None:
    """`--timeout` has two names in pip."""
    assert read({}, HOME | {"PIP_DEFAULT_TIMEOUT": "180"}).timeout_s == 180.0
    assert read({}, HOME | {"PIP_TIMEOUT": "7", "PIP_DEFAULT_TIMEOUT": "180"}).timeout_s == 7.0


@pytest.mark.parametrize("text", ["soon", "inf", "nan", "-1", "0", "1e300", "86401"])
def test_a_timeout_that_no_socket_takes_is_named_by_its_place(text: str) -> None:
    """It would end every connection as a bug of ours, or be ignored without a word."""
    with pytest.raises(UsageError, match=f"`PIP_TIMEOUT` gives `{text}` as time-out"):
        read({}, HOME | {"PIP_TIMEOUT": text})
    with pytest.raises(UsageError, match=r"`/etc/pip\.conf` gives"):
        read({"/etc/pip.conf": f"[global]\ntimeout = {text}\n"}, HOME)


def test_no_index_is_seen() -> None:
    """A user who forbids indexes is obeyed."""
    assert read({}, HOME | {"PIP_NO_INDEX": "1"}).no_index
    assert not read({}, HOME | {"PIP_NO_INDEX": "0"}).no_index


@pytest.mark.parametrize(
    "address",
    [
        "http://h:99999/simple",
        "http://[::1/simple",
        "http://a..b/simple",
        "https:///simple",
        "h/simple",
        "ftp://h/simple",
    ],
)
def test_a_malformed_address_is_named_by_its_place(address: str) -> None:
    """The variable or the file is said; the command line answers with exit code 2."""
    with pytest.raises(UsageError, match="`PIP_INDEX_URL`"):
        read({}, HOME | {"PIP_INDEX_URL": address})
    with pytest.raises(UsageError, match="`UV_INDEX`"):
        read(
            {}, HOME | {"UV_INDEX": f"https://good/simple inside={address}" if "//" in address else "ftp://x"}
        )
    with pytest.raises(UsageError, match=r"`/etc/pip\.conf`"):
        read({"/etc/pip.conf": f"[global]\nindex-url = {address}\n"}, HOME)


def test_a_named_file_is_read_last_and_the_null_device_switches_files_off(tmp_path: Path) -> None:
    """PIP_CONFIG_FILE is the strongest file, replaces the user's, and `/dev/null` means none at all."""
    named = tmp_path / "mine.conf"
    named.write_text("[global]\nindex-url = https://named/simple\n", encoding="utf-8")
    files = {
        str(named): named.read_text(encoding="utf-8"),
        "/home/ada/.config/pip/pip.conf": "[global]\ncert = /user.pem\n",
    }
    settings = read(files, HOME | {"PIP_CONFIG_FILE": str(named)})
    assert settings.default_index == "https://named/simple"
    assert settings.cert is None
    assert list_pip_config_files(HOME | {"PIP_CONFIG_FILE": "/dev/null"}, windows=False) == ()


def test_windows_looks_in_the_windows_places() -> None:
    """ProgramData, the profile folder and AppData, each with `pip.ini`."""
    environ = {
        "USERPROFILE": r"C:\Users\ada",
        "APPDATA": r"C:\Users\ada\AppData\Roaming",
        "PROGRAMDATA": r"D:\PD",
    }
    assert list_pip_config_files(environ, windows=True) == (
        r"D:\PD\pip\pip.ini",
        r"C:\Users\ada\pip\pip.ini",
        r"C:\Users\ada\AppData\Roaming\pip\pip.ini",
    )
    files = {r"C:\Users\ada\AppData\Roaming\pip\pip.ini": "[global]\nfind-links = D:\\wheels ~\\w\n"}
    assert read(files, environ, windows=True).find_links == (r"D:\wheels", r"C:\Users\ada\w")


@pytest.mark.parametrize("text", ["index-url = x\n", "[global\nindex-url", "[global]\nindex-url\n"])
def test_a_broken_file_does_not_hide_the_others(text: str) -> None:
    """A file that is no configuration is passed over; the rest counts."""
    files = {"/etc/xdg/pip/pip.conf": text, "/etc/pip.conf": "[global]\nindex-url = https://good/simple\n"}
    assert read(files, HOME).default_index == "https://good/simple"
