"""Pages whose commands fetch and build are run with small packages under the pages' names, from loopback.

Commands, shell, engines and archives are real; torch is a stand-in that measures nothing.
"""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from tests.cli.lab import PYTHON, REPOSITORY, Lab
from tests.cli.pages import LOOPBACK, read_blocks, read_page, run_page
from tests.fleet.control import PLAYBOOK, write_command
from tests.fleet.standin_torch import STANDIN_TORCH
from tests.fleet_files import PASSED, put_host
from tests.index_server import PackageIndex
from tests.osv_server import TORCH, serve_osv
from tests.repositories import git
from tests.wheels import make_wheel

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the pages' commands are bash's")
Edits = Mapping[str, str]
# More than five seconds each.
LONG = {
    "ansible/README.md",
    "docs/how-to/many-machines.md",
    "docs/how-to/it-worked-last-month.md",
    "docs/how-to/mirror.md",
}


@contextmanager
def prepare_audit(lab: Lab) -> Iterator[Edits]:
    """Let a server answer as OSV does; the days up to which findings are ignored stay in the future."""
    with serve_osv() as osv:
        osv.plant("torch", "2.1.0a0", TORCH)
        (lab.root / "osv.yaml").write_text(f"https://api.osv.dev/: {osv.url}/\n", encoding="utf-8")
        lab.environ["PROVISION_MIRRORS"] = "osv.yaml"
        yield {'until: "2027-': 'until: "2099-'}


@contextmanager
def prepare_containers(lab: Lab) -> Iterator[Edits]:
    """Lock a small `llama3-cpu`; the wheels of the tool itself are another test's."""
    offer(lab)
    lock(lab, "llama3-cpu")
    lab.environ["PROVISION_NO_TOOL"] = "1"
    yield {}


@contextmanager
def prepare_editors(lab: Lab) -> Iterator[Edits]:
    """Build `my-app` with an ipykernel."""
    offer(lab)
    lab.offer("ipykernel", "7.0", files={"ipykernel_launcher.py": ""})
    lock(lab, "my-app", changes={"- tinyapp": "- ipykernel"})
    assert lab.run("create", "my-app", "--no-validate").code == 0
    yield {}


@contextmanager
def prepare_last_month(lab: Lab) -> Iterator[Edits]:
    """Lock and build `llama3-cpu` with a transformers that torch fails with, then with a good one."""
    index = PackageIndex(server=lab.server, name="simple")
    lockfile = lab.root / "lockfiles" / "llama3-cpu.conda-lock.yml"

    def offer_dated(version: str, day: str) -> None:
        files = {"__init__.py": f"VERSION = {version!r}\n", "modeling_utils.py": "A = 1\n"}
        filename, data = make_wheel(
            "transformers", version, {f"transformers/{path}": text for path, text in files.items()}
        )
        lab.server.files[f"simple/files/{filename}"] = data
        index.list_file("transformers", filename, {"sha256": sha256(data).hexdigest()}, f"{day}T00:00:00Z")

    broken = "import transformers\nif transformers.VERSION == '4.57.1':\n    raise RuntimeError('broken')\n"
    offer(lab, broken + STANDIN_TORCH["torch/__init__.py"])
    offer_dated("4.46.3", "2026-09-01")
    lock(lab, "llama3-cpu", changes={"- tinyapp": "- transformers"})
    good = lockfile.read_bytes()
    git(lab.root, "init", "-q")
    git(lab.root, "add", "envs", "lockfiles")
    git(lab.root, "commit", "-qm", "good")
    git(lab.root, "tag", "v1.4")
    offer_dated("4.57.1", "2026-10-15")
    shutil.rmtree(lab.data / "cache")  # an index's page is not asked for again at once
    assert lab.run("lock", "llama3-cpu", "--upgrade").code == 0
    bad = lockfile.read_bytes()
    for content, more in ((bad, ["--no-validate"]), (good, [])):
        lockfile.write_bytes(content)
        assert (created := lab.run("create", "llama3-cpu", *more)).code == 0, created.err
    packages = lab.data / "environments" / "llama3-cpu" / "env" / "lib" / f"python{PYTHON}" / "site-packages"
    (packages / "zz.pth").write_text("import sys\n", encoding="utf-8")
    (packages / "transformers" / "modeling_utils.py").unlink()
    (packages / "transformers" / "modeling_utils.py").write_text("A = 2\n", encoding="utf-8")
    lockfile.write_bytes(bad)
    (lab.root / "good.yml").write_bytes(good)
    (lab.root / "bad.yml").write_bytes(bad)
    (lab.root / "my_test.py").write_text(
        "import sys, transformers\nsys.exit(transformers.VERSION == '4.57.1')\n", encoding="utf-8"
    )
    yield {}


@contextmanager
def prepare_mirror(lab: Lab) -> Iterator[Edits]:
    """Lock two small profiles, with torch at its canonical address; give pip and uv an environment."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    (lab.root / "map.yaml").write_text(
        f"https://download.pytorch.org/: {lab.server.url}/ok/\n", encoding="utf-8"
    )
    lab.environ["PROVISION_MIRRORS"] = "map.yaml"
    offer(lab, index="whl/cpu")
    for name in ("llama3-cpu", "llama3-openvino"):
        lock(lab, name, changes={f"{lab.server.url}/ok/torch": "https://download.pytorch.org/whl/cpu"})
    client = lab.root / "client"
    subprocess.run([sys.executable, "-m", "venv", client], check=True)
    lab.environ |= {"VIRTUAL_ENV": str(client), "PATH": f"{client}/bin:{lab.environ['PATH']}"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    lab.environ["PROVISION_LISTEN"] = address
    begun = (
        'provision mirror llama3-cpu > mirror.log 2>&1 & trap "kill $!" EXIT; '
        "timeout 30 sh -c 'until grep -q mirrors.yaml mirror.log; do sleep 0.1; done'; cat mirror.log\n"
    )
    yield {
        "provision mirror llama3-cpu\n": begun,
        "127.0.0.1:8470": address,
        "/srv/mirror": str(lab.root / "www"),
        "512 MB": "512 kB",
    }


@contextmanager
def prepare_ci(lab: Lab) -> Iterator[Edits]:
    """Lock a small `llama3-openvino`."""
    offer(lab)
    lock(lab, "llama3-openvino")
    yield {}


@contextmanager
def prepare_folder(lab: Lab) -> Iterator[Edits]:
    """Put a small profile in the place of the one that a machine without a card is given."""
    offer(lab)
    lab.write_profile("llama3-torch-cpu")
    lab.environ["PROVISION_FACTS"] = str(REPOSITORY / "tests" / "data" / "hosts" / "linux-uhd-only.json")
    lab.environ["PROVISION_ENVS"] = str(lab.envs)
    folder = lab.root / "my-app"
    folder.mkdir()
    (folder / "main.py").write_text("import tinyapp\n", encoding="utf-8")
    yield {}


@contextmanager
def prepare_fleet(lab: Lab) -> Iterator[Edits]:
    """Let two names be this machine, with folders of their own, and nobody answer at the third."""
    require_ansible()
    offer(lab)
    lock(lab, "llama3-torch-cpu")
    local = f"ansible_connection=local ansible_python_interpreter={sys.executable}"
    edits = {
        f"{host}\n": f"{host} {local} provision_data_dir={lab.root / host} provision_groups=[]\n"
        for host in ("ws-01", "ws-02")
    }
    for profile in ("llama3-xpu", "llama3-openvino"):
        folder = lab.root / "verdicts" / profile
        folder.mkdir(parents=True)
        put_host(folder, "ws-01", PASSED)
    yield edits | {
        "ws-03\n\n": "ws-03 ansible_host=127.0.0.1 ansible_port=9\n\n",
        "/opt/provision/bin/provision\n```": f"{write_command(lab.root / 'bin')}\n```",
        # the stand-in has no card and measures no speed
        "AMD EPYC  -       passed            0.4\nws-02": "…passed…\nws-02",
        "AMD EPYC  -       passed            0.4\n\n": "…passed…\n\n",
    }


@contextmanager
def prepare_ansible(lab: Lab) -> Iterator[Edits]:
    """Let this machine be the only one of the inventory, with a small `llama3-arc` for its CPU."""
    require_ansible()
    offer(lab)
    lock(lab, "llama3-arc")
    shutil.copytree(REPOSITORY / "ansible", lab.root / "ansible")
    here = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "provision_executable": str(write_command(lab.root / "bin")),
        "provision_data_dir": str(lab.data),
        "provision_envs_dir": str(lab.envs),
        "provision_lockfile": str(lab.root / "lockfiles" / "llama3-arc.conda-lock.yml"),
        "provision_groups": [],
    }
    inventory = json.dumps({"all": {"hosts": {"here": here}}})
    (lab.root / "inventory.yml").write_text(inventory, encoding="utf-8")
    yield {}
    verdict = json.loads((lab.root / "verdicts" / "here.json").read_text(encoding="utf-8"))
    assert verdict["status"] == "passed"


def require_ansible() -> None:
    """Skip where Ansible is not installed."""
    if PLAYBOOK is None:
        pytest.skip("there is no ansible-playbook (pip install '.[fleet]')")


PREPARE: dict[str, Callable[[Lab], AbstractContextManager[Edits]]] = {
    "ansible/README.md": prepare_ansible,
    "docs/how-to/audit.md": prepare_audit,
    "docs/how-to/containers.md": prepare_containers,
    "docs/how-to/editors.md": prepare_editors,
    "docs/how-to/it-worked-last-month.md": prepare_last_month,
    "docs/how-to/locks-in-ci.md": prepare_ci,
    "docs/how-to/many-machines.md": prepare_fleet,
    "docs/how-to/mirror.md": prepare_mirror,
    "docs/how-to/your-own-folder.md": prepare_folder,
}


def offer(lab: Lab, code: str | None = None, *, index: str = "torch") -> None:
    """Offer a torch that answers as a sound one, and a small package."""
    files = STANDIN_TORCH | ({"torch/__init__.py": code} if code else {})
    lab.offer("torch", "2.13.0+cpu", index=index, files=files)
    lab.offer("tinyapp", "1.0")


def lock(lab: Lab, name: str, *, changes: Mapping[str, str] | None = None) -> None:
    """Write a small profile of this name and lock it."""
    lab.write_profile(name, changes=changes)
    locked = lab.run("lock", name)
    assert locked.code == 0, locked.err


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.slow if page in LONG else ()) for page in LOOPBACK]
)
def test_a_page_does_what_it_says_with_small_packages(page: str, lab: Lab) -> None:
    """Every command of the page runs, and prints the lines that the page shows."""
    with PREPARE[page](lab) as edits:
        path = f"{lab.environ['PATH']}:{Path(sys.executable).parent}"
        lost = run_page(page, lab.root, environ=lab.child_environ | {"PATH": path}, edits=edits)
    assert not lost, "\n".join(lost)


@pytest.mark.parametrize("doctor", ["works", "fails"])
def test_the_prolog_drains_a_machine_without_a_card(doctor: str, lab: Lab) -> None:
    """Slurm's script fails where a layer fails or no card is there, and not where doctor itself fails."""
    blocks = read_blocks(read_page("docs/how-to/many-machines.md"))
    script = next(text for kind, text in blocks if kind == "bash")
    assert "/opt/provision/bin/provision" in script
    command = write_command(lab.root / "bin")
    if doctor == "fails":
        command.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    script = script.replace("/opt/provision/bin/provision", str(command)).replace(
        "/opt/provision", str(lab.data)
    )
    words: list[str | Path] = [
        command,
        "doctor",
        "llama3-xpu",
        "--layer",
        "gpu",
        "--layer",
        "device-nodes",
        "--layer",
        "user-driver",
    ]
    told = subprocess.run(words, env=lab.environ, check=False, capture_output=True).returncode
    assert told in ({0, 6, 7} if doctor == "works" else {1})
    done = subprocess.run(["sh", "-c", script], env={}, check=False, cwd=lab.root)
    assert done.returncode == (told in {6, 7})
