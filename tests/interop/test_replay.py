"""What is locked through the replay of recorded indexes is what those indexes say, under its real address."""

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli.main import run
from provisioner.lock.file import read_lock
from provisioner.lock.model import Lock

REPOSITORY = Path(__file__).parents[2]
REPLAY = REPOSITORY.parent / "shared" / "upstream" / "replay.py"
INTEL = "https://pytorch-extension.intel.com/release-whl/stable/xpu/us/"

pytestmark = pytest.mark.skipif(
    not REPLAY.is_file(), reason="the recorded indexes (../shared/upstream) are not on this machine"
)


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A running replay: its mirror map's file and its content."""

    file: Path
    mirrors: dict[str, str]

    def digests(self, index: str, project: str) -> dict[str, str]:
        """Return file name to sha256 of a page."""
        url = f"{index}{project}/"
        for canonical, mirror in self.mirrors.items():
            url = url.replace(canonical, mirror)
        request = urllib.request.Request(url, headers={"Accept": "application/vnd.pypi.simple.v1+json"})  # noqa: S310 - loopback
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
            page: dict[str, Any] = json.load(answer)
        return {file["filename"]: file["hashes"].get("sha256", "") for file in page["files"]}


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    """Serve the recorded indexes."""
    file = tmp_path_factory.mktemp("replay") / "mirrors.json"
    with subprocess.Popen(
        [sys.executable, str(REPLAY), "--mirrors", str(file)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield Replay(file=file, mirrors=json.loads(file.read_text(encoding="utf-8")))
        process.terminate()


def check_arc_lock(lock: Lock, replay: Replay) -> None:
    """Assert what issue 3 promises of llama3-arc's lockfile."""
    assert [platform.platform for platform in lock.platforms] == ["linux-64", "win-64"]
    for platform in lock.platforms:
        conda = {package.name: package for package in platform.conda}
        assert conda["python"].version.startswith("3.11.")
        assert all(p.url.startswith("https://conda.anaconda.org/conda-forge/") for p in platform.conda)
        assert "libuv" in conda
        pip = {package.name: package for package in platform.pip}
        assert len(pip) == len(platform.pip)
        assert pip["torch"].version == "2.1.0a0+cxx11.abi"
        assert pip["intel-extension-for-pytorch"].version == "2.1.10+xpu"
        assert pip["transformers"].version == "4.37.0"
        for name in ("torch", "torchvision", "intel-extension-for-pytorch"):
            assert pip[name].sha256 == replay.digests(INTEL, name)[pip[name].filename]
            assert pip[name].index == "intel-xpu"
        assert all(package.sha256 for package in platform.pip)


def test_the_committed_lockfile_holds_what_intels_index_says(replay: Replay) -> None:
    """Torch and IPEX carry the recorded digests on both platforms."""
    check_arc_lock(read_lock(REPOSITORY / "lockfiles" / "llama3-arc.conda-lock.yml"), replay)


def test_no_lockfile_names_a_mirror() -> None:
    """Whoever served the indexes, the address is the canonical one."""
    for path in (REPOSITORY / "lockfiles").glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        assert "127.0.0.1" not in text
        assert "localhost" not in text


def test_ipex_beside_ipex_llm_is_refused_without_asking_anybody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A profile that adds IPEX 2.8.0 to llama3-arc: exit 3 and the sentence, no network needed."""
    envs = tmp_path / "envs"
    envs.mkdir()
    for name in ("llama3-arc", "ipex-llm-2.1"):
        text = (REPOSITORY / "envs" / f"{name}.yaml").read_text(encoding="utf-8")
        (envs / f"{name}.yaml").write_text(text, encoding="utf-8")
    (envs / "mixed.yaml").write_text(
        "description: IPEX beside ipex-llm\nextends: llama3-arc\n"
        "pip:\n  packages: [intel-extension-for-pytorch==2.8.0]\n",
        encoding="utf-8",
    )
    words = [
        "lock",
        "mixed",
        "--json",
        "--offline",
        "--envs",
        str(envs),
        "--data-dir",
        str(tmp_path / "data"),
    ]
    assert run([*words, "--lockfiles", str(tmp_path / "locks")]) == 3
    answer = json.loads(capsys.readouterr().out)
    assert "torch_ipex::mul_add" in answer["errors"][0]["message"]
    assert not (tmp_path / "locks").exists()


def _index_is_reachable() -> bool:
    from provisioner.cli.settings import read_settings
    from provisioner.engines.net.addresses import host_and_port
    from provisioner.pipeline.engines import Engines

    host, _, port = host_and_port(Engines(read_settings()).default_index).rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.slow
def test_locking_llama3_arc_through_the_replay(
    replay: Replay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full solve of both platforms keeps the promises; a second one writes the same bytes."""
    if not _index_is_reachable():
        pytest.skip("the default index cannot be reached from here")
    words = ["lock", "llama3-arc", "--mirrors", str(replay.file), "--lockfiles", str(tmp_path / "locks")]
    words += ["--data-dir", str(tmp_path / "data"), "--upgrade"]
    assert run(words) == 0, capsys.readouterr().err
    path = tmp_path / "locks" / "llama3-arc.conda-lock.yml"
    first = path.read_bytes()
    check_arc_lock(read_lock(path), replay)
    assert b"127.0.0.1" not in first
    assert run(words) == 0
    assert path.read_bytes() == first
    assert "intel-openmp==2024.0.2` was yanked" in capsys.readouterr().err
    assert run([*words[:-1], "--offline"]) == 0
    assert path.read_bytes() == first
