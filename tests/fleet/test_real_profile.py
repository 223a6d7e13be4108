"""One machine goes the whole way with a real profile: the command from its lock, files from a mirror."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.pipeline.own_package import pack_own_wheel
from tests.cli.lab import COMMAND, REPOSITORY
from tests.fleet.control import COLLECTION, Control
from tests.fleet.machines import find_obstacle, open_network
from tests.gpu.conftest import torch_python  # noqa: F401 - a fixture

pytestmark = [pytest.mark.fleet, pytest.mark.slow, pytest.mark.torch, pytest.mark.timeout(1800)]


def test_llama_on_a_bare_machine(tmp_path: Path, torch_python: Path) -> None:  # noqa: F811
    """`provision` is installed with hashes, the files come from the mirror alone, a model says Paris."""
    if (obstacle := find_obstacle()) is not None:
        pytest.skip(obstacle)
    data = torch_python.parents[5]
    if not (data / "store").is_dir():
        pytest.skip("the environment with torch has no store beside it")
    wheels = tmp_path / "wheels"
    lock = REPOSITORY / "lockfiles" / "provision.txt"
    got = subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "-r", str(lock), "-d", str(wheels)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if got.returncode:
        pytest.skip(f"the wheels of provision cannot be had here: {got.stderr.strip()[-300:]}")
    name, content = pack_own_wheel()
    (tmp_path / name).write_bytes(content)
    with open_network(tmp_path / "net") as network:
        path = f"{Path(sys.executable).resolve().parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        quiet = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "http://127.0.0.1:1/simple"}
        mirror, machine = network.add("mirror"), network.add("ws-real", variables={"PATH": path, **quiet})
        network.write_known_hosts()
        www, url = mirror.home / "www", f"http://{mirror.address}:8480"
        export = [*COMMAND, "mirror", "llama3-cpu", "--offline", "--data-dir", str(data)]
        subprocess.run([*export, "--export", str(www), "--url", url], cwd=REPOSITORY, check=True, timeout=600)
        site = (COLLECTION / "roles" / "mirror" / "templates" / "site.conf.j2").read_text(encoding="utf-8")
        site = site.replace("{{ mirror_listen }}", f"{mirror.address}:8480")
        (mirror.home / "site.conf").write_text(site.replace("{{ mirror_folder }}", str(www)))
        mirror.serve(mirror.home / "site.conf")
        root = tmp_path / "control"
        root.mkdir()
        control = Control(root=root, environ={"PATH": path, "HOME": str(root), "LANG": "C.UTF-8"})
        variables = {
            "provision_profile": "llama3-cpu",
            "provision_verdicts_dir": str(root / "verdicts"),
            "provision_lockfile": str(REPOSITORY / "lockfiles" / "llama3-cpu.conda-lock.yml"),
            "provision_mirror_url": url,
            "provision_install": "lock",
            "provision_tool_lock": str(lock),
            "provision_tool_wheel": str(tmp_path / name),
            "provision_tool_places": ["--no-index", f"--find-links={wheels}"],
            "provision_python": str(Path(sys.executable).resolve()),
        }
        inventory = {"all": {"hosts": {"ws-real": network.describe("ws-real")}}}
        playbook = COLLECTION / "playbooks" / "workstation.yml"
        played = control.play(playbook, inventory=inventory, variables=variables, timeout_s=1500)
        assert played.code == 0, played.out
        file = json.loads((root / "verdicts" / "ws-real.json").read_text(encoding="utf-8"))
        assert (file["status"], file["errors"]) == ("passed", [])
        assert "Paris" in file["result"]["data"]["continuation"]
        assert machine.home in Path(file["result"]["data"]["prefix"]).parents
        again = control.play(playbook, inventory=inventory, variables=variables, timeout_s=600)
        assert (again.code, again.recap["ws-real"]["changed"]) == (0, 0), again.out
