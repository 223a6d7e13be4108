"""Whole ways of a bundle: into a network namespace without interfaces, and an environment out of it."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.lab import COMMAND, PYTHON, REPOSITORY, Lab
from tests.cli.pages import find_lost, read_blocks, read_page, read_steps
from tests.conda_channel import build_channel


def _has_namespaces() -> bool:
    unshare = shutil.which("unshare")
    return unshare is not None and subprocess.run([unshare, "-rn", "true"], check=False).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _has_namespaces(), reason="no network namespaces here"),
]

# As llama3-arc: Python and libuv from a channel, torch of an index of its own; on a CPU.
CONDA = """\
description: A stand-in of llama3-arc's layout
family: llama3
device: cpu
torch: cpu
python: "{python}"
platforms: [linux-64]
indexes:
  pytorch-cpu: {url}/ok/torch
conda:
  channels: ["{url}/ok/channel"]
  packages: [libuv]
pip:
  packages: [torch==2.13.0+cpu, tinyapp]
  routes: {torch: pytorch-cpu}
"""


def run_isolated(*command: object, cwd: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a program without any network, with an environment of its own and system programs on PATH only."""
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", "PIP_CONFIG_FILE": os.devnull}
    words = ["unshare", "-rn", *(str(word) for word in command)]
    return subprocess.run(words, cwd=cwd, env=environ, capture_output=True, text=True, check=False)


def test_a_conda_prefix_with_wheels_comes_out_of_a_bundle(lab: Lab) -> None:
    """Files of a channel and of two indexes are bundled; a machine without network builds from them."""
    build_channel(lab.root / "channel")
    for path in (lab.root / "channel").rglob("*"):
        if path.is_file():
            lab.server.files[path.relative_to(lab.root).as_posix()] = path.read_bytes()
    lab.offer("torch", "2.13.0+cpu", index="torch")
    lab.offer("tinyapp", "1.0")
    text = CONDA.replace("{url}", lab.server.url).replace("{python}", PYTHON)
    (lab.envs / "arc.yaml").write_text(text, encoding="utf-8")
    assert (locked := lab.run("lock", "arc")).code == 0, locked.err
    for name in ("one.tar", "two.tar"):
        done = lab.run("bundle", "arc", "--no-tool", "-o", name)
        assert done.code == 0, done.err
    one = lab.root / "one.tar"
    assert one.read_bytes() == (lab.root / "two.tar").read_bytes()
    assert (checked := lab.run("bundle", "--check", "one.tar")).code == 0, checked.err
    other = lab.root / "other"
    other.mkdir()
    built = run_isolated(
        *("env", f"PYTHONPATH={REPOSITORY}", *COMMAND, "create", "--bundle", one, "--no-validate"),
        cwd=other,
        home=other,
    )
    assert built.returncode == 0, built.stderr
    (python,) = (other / ".local/share/provision/environments/arc/generations").glob("*/bin/python")
    code = "import sys, tinyapp; print(sys.prefix)"
    seen = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    assert Path(seen.strip()) == python.parents[1]
    # unpacked, it is a channel that can be solved: the lock made from it is the same
    folder = lab.root / "folder"
    folder.mkdir()
    subprocess.run(["tar", "xf", one, "-C", folder], check=True)
    place = folder / "web" / lab.server.url.removeprefix("http://").replace(":", "+")
    (lab.root / "mirrors.yaml").write_text(f"{lab.server.url}/: {place.as_uri()}/\n", encoding="utf-8")
    lockfile = lab.root / "lockfiles" / "arc.conda-lock.yml"
    before = lockfile.read_bytes()
    lockfile.unlink()
    shutil.rmtree(lab.data)
    again = lab.run(
        *("lock", "arc", "--mirrors", "mirrors.yaml"), PIP_INDEX_URL=(folder / "pypi/simple").as_uri()
    )
    assert again.code == 0, again.err
    assert lockfile.read_bytes() == before


@pytest.mark.timeout(1200)
def test_the_cpu_profile_is_installed_and_proven_without_network(tmp_path: Path) -> None:
    """README's profile, and provision itself, as docs/how-to/offline.md says: one file, twice the same."""
    bundle, *steps = [step.command for step in read_steps(read_page("docs/how-to/offline.md"))][:5]
    environ = os.environ | {"PYTHONPATH": str(REPOSITORY), "PROVISION_DATA_DIR": "data"}
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
    name = "llama3-cpu.bundle.tar"
    for copy in ("one.tar", "two.tar"):
        subprocess.run(bundle, shell=True, cwd=tmp_path, check=True, env=environ)  # noqa: S602 # the page's words
        (tmp_path / name).rename(tmp_path / copy)
    digests = set()
    for copy in ("one.tar", "two.tar"):
        with (tmp_path / copy).open("rb") as file:
            digests.add(hashlib.file_digest(file, "sha256").hexdigest())
    assert len(digests) == 1
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / "one.tar").rename(other / name)
    base = getattr(sys, "_base_executable", sys.executable)
    for step in steps:
        done = run_isolated("bash", "-c", step.replace("python3", base), cwd=other, home=other)
        assert done.returncode == 0, done.stderr
    shown = next(text for kind, text in read_blocks(read_page("README.md")) if "checks on cpu" in text)
    assert find_lost(shown.splitlines(), done.stdout.splitlines()) is None, done.stdout
