"""Where locked files lie in a folder that is mirrored from."""

import json
from urllib.parse import urlsplit

from pypi_simple import ProjectPage

from provisioner.engines.net.addresses import to_mirror
from provisioner.lock.mirror_tree import map_mirrors, place_of, render_pages
from tests.unit.lock.samples import CHANNEL, TORCH_INDEX, conda_package, tiny_lock, torch_wheel, wheel

BASE = "http://mirror.example.org/arc"


def test_every_address_is_mirrored_by_one_line_for_its_host() -> None:
    """The map turns each canonical address into the one at which its file lies in the folder."""
    packages = (conda_package("zlib", "1.3", subdir="linux-64"), torch_wheel(), wheel("tiny-app", "1.0"))
    mirrors = map_mirrors([place_of(package) for package in packages], f"{BASE}/")
    assert set(mirrors) == {"pypi", "https://conda.anaconda.org/", "https://download.pytorch.org/"}
    assert mirrors["pypi"] == f"{BASE}/pypi/simple"
    for package in packages[:2]:
        path = urlsplit(to_mirror(package.url, mirrors)).path.replace("%2B", "+")
        assert path == f"/arc/{place_of(package)}"


def test_pages_lead_to_the_files() -> None:
    """The links of a page, followed from where the page lies, name the files and their digests."""
    lock = tiny_lock()
    files = [wheel("tiny-app", "1.0"), torch_wheel(), torch_wheel(tag="cp311-cp311-win_amd64")]
    pages = render_pages([(lock, file) for file in files], {})
    lists = {place for place in pages if place.split("/")[-2] in {"simple", "cpu"}}
    found: dict[str, str] = {}
    for place in pages.keys() - lists:
        page = ProjectPage.from_html("any", pages[place], base_url=f"{BASE}/{place}")
        found |= {each.url: (each.digests or {})["sha256"] for each in page.packages}
    assert {urlsplit(url).path.replace("%2B", "+"): digest for url, digest in found.items()} == {
        f"/arc/{place_of(file)}": file.sha256 for file in files
    }
    assert 'href="tiny-app/"' in pages["pypi/simple/index.html"]
    assert 'href="torch/"' in pages["web/" + TORCH_INDEX.removeprefix("https://") + "/index.html"]


def test_channels_have_repodata_and_always_noarch() -> None:
    """Conda's clients ask each channel for its platform's list and for `noarch`."""
    lock = tiny_lock()
    package = conda_package("zlib", "1.3", subdir="linux-64")
    facts = {"name": "zlib", "version": "1.3", "depends": ["libgcc"]}
    pages = render_pages([(lock, package)], {package.sha256: facts})
    channel = "web/" + CHANNEL.removeprefix("https://")
    records = json.loads(pages[f"{channel}/linux-64/repodata.json"])["packages.conda"]
    assert records[package.filename]["depends"] == ["libgcc"]
    assert records[package.filename]["sha256"] == package.sha256
    assert json.loads(pages[f"{channel}/noarch/repodata.json"])["packages.conda"] == {}


def test_a_port_and_an_ipv6_host_are_names_on_every_system() -> None:
    """No part of a path holds a colon, which Windows takes in no name."""
    places = {
        place_of(conda_package("zlib", "1.3", subdir="noarch", channel=f"http://{host}/channel"))
        for host in ("127.0.0.1:8080", "127.0.0.1:8081", "[::1]:8080")
    }
    assert len(places) == 3
    assert not any(":" in place for place in places)
