"""The scripts of `docs/how-to/talk-to-it.md` answer, run as the page says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest
from filelock import FileLock

from provisioner.errors import ExitCode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "talk-to-it.md"
QUESTION = "The capital of France is\n"
# The words of a small model in low bit differ from CPU to CPU (bfloat16 or not); what it talks of does not.
ABOUT = ("Paris", "France", "French")
# The weights of validation have a vocabulary of ours and no tokenizer of transformers'.
TOKENIZER = """
import json, sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
document = json.load(open(sys.argv[1] + "/tokens.json", encoding="utf-8"))
vocabulary = {token: number for number, token in enumerate(document["tokens"])}
tokenizer = Tokenizer(models.BPE(vocabulary, [tuple(merge.split(" ")) for merge in document["merges"]]))
tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
tokenizer.decoder = decoders.ByteLevel()
PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(sys.argv[2])
"""


def find_script(number: int, folder: Path) -> Path:
    """Write one of the page's scripts; each has ten lines of code or a few more."""
    script = folder / "talk.py"
    script.write_text(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[number])
    return script


def create(profile: str) -> tuple[Path, Path]:
    """Build and prove a profile on the CPU; return its interpreter and the folder of the weights."""
    data = Path(platformdirs.user_cache_dir("provision-tests")) / "openvino"
    data.mkdir(parents=True, exist_ok=True)
    variables = {name: text for name, text in os.environ.items() if not name.startswith("PROVISION_")}
    command = [sys.executable, "-m", "provisioner", "create", profile, "--device", "cpu", "--json"]
    with FileLock(f"{data}.lock"):
        done = subprocess.run(
            [*command, "--data-dir", str(data)],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=variables,
        )
    if done.returncode == ExitCode.UNAVAILABLE:
        pytest.skip(reason=f"the wheels of {profile} cannot be had here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout
    python = Path(json.loads(done.stdout)["data"]["python"])
    return python, next((data / "cache" / "weights").iterdir())


def talk(python: Path, script: Path, *arguments: str | Path) -> str:
    """Return what the script answers to the question."""
    done = subprocess.run(
        [python, script, *arguments], input=QUESTION, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_openvino_answers(tmp_path: Path) -> None:
    """The GGUF file goes in as it is."""
    python, weights = create("llama3-openvino")
    answer = talk(python, find_script(0, tmp_path), weights / "model.gguf", "CPU")
    assert any(word in answer for word in ABOUT), answer


@pytest.mark.parametrize(("profile", "script"), [("llama3-torch-cpu", 1), ("llama3-cpu", 2)])
def test_torch_answers(profile: str, script: int, tmp_path: Path) -> None:
    """A folder of safetensors is loaded in nf4 of bitsandbytes, and in 8 bits of ipex-llm."""
    python, weights = create(profile)
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).symlink_to(weights / name)
    subprocess.run([python, "-c", TOKENIZER, weights, folder], check=True, capture_output=True)
    answer = talk(python, find_script(script, tmp_path), folder, "cpu")
    assert any(word in answer for word in ABOUT), answer
