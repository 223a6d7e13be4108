"""`llama3-openvino` as it is locked, on the CPU: the same files that a card runs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs
import pytest
from filelock import FileLock

from provisioner.errors import ExitCode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
CONVERT = """
import sys, openvino_genai
openvino_genai.LLMPipeline(sys.argv[1], "CPU", enable_save_ov_model=True)
"""
Provision = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="session")
def provision() -> Provision:
    """Run the command line with a data folder of this machine's tests; answer exit code and document."""
    data = Path(platformdirs.user_cache_dir("provision-tests")) / "openvino"
    data.mkdir(parents=True, exist_ok=True)
    variables = {name: text for name, text in os.environ.items() if not name.startswith("PROVISION_")}

    def run(*arguments: str | Path, folder: Path = data) -> tuple[int, dict[str, Any]]:
        command = [
            sys.executable,
            "-m",
            "provisioner",
            *map(str, arguments),
            "--json",
            "--data-dir",
            str(folder),
        ]
        with FileLock(f"{data}.lock"):
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, cwd=ROOT, env=variables
            )
        if done.returncode == ExitCode.UNAVAILABLE:
            pytest.skip(reason=f"the wheels of llama3-openvino cannot be had here: {done.stderr.strip()}")
        return done.returncode, json.loads(done.stdout)

    return run


def test_the_profile_says_paris_on_the_cpu(provision: Provision) -> None:
    """Created and proven with `--device cpu`: the answer, the precision and the device are named."""
    code, document = provision("create", "llama3-openvino", "--device", "cpu", "--rebuild")
    assert code == 0, document["errors"]
    data = document["data"]
    assert "Paris" in data["continuation"]
    assert (data["precision"], data["device"]["asked"]) == ("int4", "cpu")
    assert data["device"]["name"]
    records = {record["name"]: record["measured"] for record in data["report"]["records"]}
    assert records["weights"]["tokenizer_agrees"]
    assert records["conversion"]["rounding"]["matrices"] == 210
    assert records["forward"]["modes"]["accuracy"]["devices"] == ["cpu"]
    assert not any(name.startswith("torch") for name in data["report"]["versions"])


def test_without_a_gpu_nothing_is_downloaded(provision: Provision, tmp_path: Path) -> None:
    """The profile is for a GPU: without one the gate says so before the first byte."""
    code, document = provision("create", "llama3-openvino", folder=tmp_path / "data")
    assert code == ExitCode.UNVALIDATED
    assert "no Intel GPU" in document["errors"][0]["message"]
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".whl"]


def test_a_users_models_are_run_and_broken_ones_refused(provision: Provision, tmp_path: Path) -> None:
    """Text and device of a GGUF file are judged, of a folder its logits; broken ones are refused."""
    _, created = provision("create", "llama3-openvino", "--device", "cpu")
    validate = ("validate", "llama3-openvino", "--device", "cpu", "--model")
    cache = Path(platformdirs.user_cache_dir("provision-tests")) / "openvino" / "cache"
    whole = next(cache.rglob("model.gguf"))
    code, document = provision(*validate, whole)
    assert code == 0, document["errors"]
    assert "Paris" in document["data"]["continuation"]
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / whole.name).symlink_to(whole)
    subprocess.run([created["data"]["python"], "-I", "-c", CONVERT, folder / whole.name], check=True)
    code, document = provision(*validate, folder)
    assert code == 0, document["errors"]
    report = document["data"]["report"]
    records = {record["name"]: record["measured"] for record in report["records"]}
    assert records["comparison"]["reference"] == "the CPU in ACCURACY mode"
    assert len(records["generation"]["behind"]) == 12
    assert max(records["generation"]["behind"]) < 0.5
    assert any("an error that both modes make" in sentence for sentence in report["not_proven"])
    short = tmp_path / "short.gguf"
    short.write_bytes(whole.read_bytes()[: 10 << 20])
    for path in (short, tmp_path):
        code, document = provision(*validate, path)
        assert (code, document["errors"][0]["code"]) == (ExitCode.VALIDATE, "validate.model_file")
