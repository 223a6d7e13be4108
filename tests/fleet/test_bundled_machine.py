"""A machine without any network but ssh gets everything in one bundle."""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from packaging.markers import default_environment

from provisioner.lock.requirements import parse_requirements
from provisioner.pipeline.own_package import read_own_lockfile
from tests.cli.lab import REPOSITORY, Lab
from tests.fleet.control import COLLECTION, Control
from tests.fleet.machines import find_obstacle, open_network
from tests.fleet.standin_torch import STANDIN_TORCH
from tests.loopback import serve

pytestmark = [pytest.mark.fleet, pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_bundle_is_all_that_a_machine_needs(tmp_path: Path) -> None:
    """The role installs `provision` from the bundle and builds from it; the second run changes nothing."""
    if (obstacle := find_obstacle()) is not None:
        pytest.skip(obstacle)
    wheels = tmp_path / "wheels"
    download(wheels, "-r", str(REPOSITORY / "lockfiles" / "provision.txt"))
    # A bundle is for every patch version of its Python, and the lock asks for another file on some of them.
    oldest = {key: str(value) for key, value in default_environment().items()}
    oldest |= {"python_full_version": "3.11.0", "python_version": "3.11"}
    for pin in parse_requirements(read_own_lockfile()):
        if "python_full_version" in str(pin.requirement.marker) and pin.is_for(oldest):
            download(
                wheels, "--no-deps", "--ignore-requires-python", f"{pin.requirement.name}=={pin.version}"
            )
    (tmp_path / "lab").mkdir()
    (tmp_path / "control").mkdir()
    with serve() as server, open_network(tmp_path / "net") as network:
        lab = Lab(root=tmp_path / "lab", server=server)
        lab.lock_tiny(torch=STANDIN_TORCH)
        for wheel in wheels.iterdir():
            offer_file(lab, wheel)
        bundle = tmp_path / "tiny.bundle.tar"
        written = lab.run("bundle", "tiny", "-o", str(bundle))
        assert written.code == 0, written.err
        quiet = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "http://127.0.0.1:1/simple"}
        network.add("ws-alone", variables=quiet)
        network.write_known_hosts()
        control = Control(root=tmp_path / "control", environ=lab.environ)
        inventory = {"all": {"hosts": {"ws-alone": network.describe("ws-alone")}}}
        variables = {
            "provision_profile": "tiny",
            "provision_verdicts_dir": str(control.root / "verdicts"),
            "provision_install": "bundle",
            "provision_bundle": str(bundle),
            "provision_python": str(Path(sys.executable).resolve()),
        }
        asked = len(server.requests)
        for turn in (1, 2):
            played = control.play(
                COLLECTION / "playbooks" / "workstation.yml",
                inventory=inventory,
                variables=variables,
                timeout_s=600,
            )
            assert played.code == 0, played.out
            assert (played.recap["ws-alone"]["changed"] == 0) == (turn == 2), played.out
        file = json.loads((control.root / "verdicts" / "ws-alone.json").read_text(encoding="utf-8"))
        assert (file["status"], file["errors"]) == ("passed", [])
        assert len(server.requests) == asked


def download(folder: Path, *what: str) -> None:
    """Fetch wheels of `provision` itself from this machine's index."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--only-binary", ":all:", "-d", str(folder)]
    got = subprocess.run([*command, *what], capture_output=True, text=True, check=False, timeout=600)
    if got.returncode:
        pytest.skip(f"the wheels of provision cannot be had here: {got.stderr.strip()[-300:]}")


def offer_file(lab: Lab, wheel: Path) -> None:
    """Put a real wheel into the lab's index."""
    data = wheel.read_bytes()
    project = wheel.name.split("-")[0].replace("_", "-").lower()
    lab.server.files[f"files/{wheel.name}"] = data
    page = f"simple/{project}/"
    link = f'<a href="/ok/files/{wheel.name}#sha256={sha256(data).hexdigest()}">{wheel.name}</a>\n'
    lab.server.files[page] = lab.server.files.get(page, b"<!doctype html>\n") + link.encode()
    lab.server.types[page] = "text/html"
