"""What a bundle carries of `provision` itself: our wheel and those that it needs."""

import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

from packaging.requirements import Requirement

from provisioner.engines.index.page_cache import IndexSource
from provisioner.engines.index.reader import IndexReader
from provisioner.engines.net.download import Downloader
from provisioner.engines.net.pip_config import PackageSettings
from provisioner.engines.net.settings import NetworkSettings
from provisioner.lock.requirements import parse_requirements
from provisioner.pipeline.own_package import choose_own_wheels, pack_own_wheel, read_own_lockfile
from tests.cli.lab import REPOSITORY, Lab
from tests.loopback import Loopback


def test_our_own_wheel_is_the_same_from_a_checkout_and_from_itself(tmp_path: Path) -> None:
    """Whoever was installed from a bundle writes the same bundle."""
    name, wheel = pack_own_wheel()
    with zipfile.ZipFile(io.BytesIO(wheel)) as opened:
        opened.extractall(tmp_path)
        record = opened.read(f"{name.rsplit('-', 3)[0]}.dist-info/RECORD").decode()
    assert "provisioner/builtin/envs/known.yaml,sha256=" in record
    assert "provisioner/builtin/lockfiles/provision.txt,sha256=" in record
    assert "provisioner/builtin/ansible/playbooks/workstation.yml,sha256=" in record
    code = (
        "import hashlib, provisioner; from provisioner.pipeline.own_package import pack_own_wheel;"
        "print(provisioner.__file__, hashlib.sha256(pack_own_wheel()[1]).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    place, digest = done.stdout.decode().split()
    assert Path(place).is_relative_to(tmp_path)
    assert not Path(place).is_relative_to(REPOSITORY)
    assert digest == hashlib.sha256(wheel).hexdigest()


def test_the_tools_wheels_are_the_locked_ones_for_the_other_machine(lab: Lab) -> None:
    """For Windows too, for each Python asked for, and for every patch version where the lock asks for it."""
    _offer_own_wheels(lab.server)
    packages = PackageSettings(default_index=f"{lab.server.url}/ok/simple")
    downloader = Downloader(NetworkSettings(tries=1))
    try:
        index = IndexSource(
            IndexReader(downloader, folder=lab.root / "whole"), packages=packages, cache=lab.root / "pages"
        )
        linux = choose_own_wheels(index, platforms=["linux-64"], pythons=["3.11"])
        both = choose_own_wheels(index, platforms=["linux-64", "win-64"], pythons=["3.11", "3.12"])
    finally:
        downloader.close()
    names = [package.name for package in linux]
    assert names.count("soupsieve") == 2
    assert names.count("numpy") == 1
    assert "colorama" not in names
    assert [package.name for package in both].count("numpy") == 2
    assert "colorama" in {package.name for package in both}
    hashes = {digest for pin in parse_requirements(read_own_lockfile()) for digest in pin.hashes}
    assert {package.sha256 for package in both} <= hashes


def _offer_own_wheels(server: Loopback) -> None:
    """Let an index list a wheel of each pin in our own lockfile, with its locked digest."""
    for pin in parse_requirements(read_own_lockfile()):
        requirement: Requirement = pin.requirement
        name = f"{requirement.name.replace('-', '_')}-{pin.version}-py3-none-any.whl"
        page = f"simple/{requirement.name}/"
        link = f'<a href="/ok/files/{name}#sha256={pin.hashes[0]}">{name}</a>\n'
        server.files[page] = server.files.get(page, b"<!doctype html>\n") + link.encode()
        server.types[page] = "text/html"
