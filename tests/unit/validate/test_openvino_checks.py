"""What OpenVINO measured is judged: the device that it names, the weights that it made, and every length."""

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.validate.checks import CHECKS
from provisioner.validate.checks.failure import explain_error, explain_exit, explain_exit_crash
from provisioner.validate.model import ValidationRequest
from provisioner.validate.plan import is_repeated, list_repeated_stages
from provisioner.validate.probe.gguf_header import GgufError, read_header
from provisioner.validate.probe.openvino_model import read_execution_devices

# As openvino_genai 2026.4.1 prints it with OPENVINO_LOG_LEVEL=2.
PRINTED = """\
Model: OpenVINO Tokenizer
  NETWORK_NAME: tokenizer
  EXECUTION_DEVICES: CPU
Model: LLM with Paged Attention
  NETWORK_NAME: llm
  EXECUTION_DEVICES: {device}
  PERFORMANCE_HINT: LATENCY
"""
GOOD = {
    "finite": True,
    "largest": 9.0,
    "spread": 2.0,
    "length": 5,
    "relative_difference": 1e-6,
    "cosine": 1.0,
    "same_top": True,
}


@pytest.fixture
def request_xpu(tmp_path: Path) -> ValidationRequest:
    """What `llama3-openvino` asks for."""
    return ValidationRequest(
        interpreter=tmp_path / "python",
        prefix=tmp_path,
        device="xpu",
        profile_device="xpu",
        family="llama3",
        precision="int4",
        backend="openvino",
        weights_dir=tmp_path,
    )


def code(stage: str, measured: dict[str, Any], request: ValidationRequest) -> str | None:
    finding = CHECKS[stage](measured, request)
    return None if finding is None else finding.code


@pytest.mark.parametrize(
    ("device", "expected"), [("GPU.0", None), ("CPU", "cpu_fallback"), ("GPU.0 CPU", "cpu_fallback")]
)
def test_a_silent_fall_to_the_cpu_is_noticed(
    request_xpu: ValidationRequest, device: str, expected: str | None
) -> None:
    """`AUTO:GPU,CPU` compiles for the CPU without a word; what was compiled is what counts."""
    measured = {
        "execution_devices": read_execution_devices(PRINTED.format(device=device)),
        "parameters": 1,
        "prompt_ids": [1],
    }
    assert code("weights", measured, request_xpu) == expected
    measured["execution_devices"] = read_execution_devices("nothing")
    assert code("weights", measured, request_xpu) == "cpu_fallback"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, None),
        ({"devices": ["cpu"]}, "cpu_fallback"),
        ({"lengths": [GOOD | {"finite": False}]}, "wrong_result"),
        ({"lengths": [GOOD, GOOD | {"length": 33, "finite": False}]}, "wrong_at_length"),
        ({"lengths": [GOOD, GOOD | {"length": 33, "relative_difference": 0.3}]}, "wrong_at_length"),
        ({"cached_step": GOOD | {"relative_difference": 0.3}}, "wrong_result"),
    ],
)
def test_both_modes_are_judged(
    request_xpu: ValidationRequest, change: dict[str, Any], expected: str | None
) -> None:
    """Device, prompt, further lengths and the cached step of either mode have findings of their own."""
    good = {"devices": ["xpu:0"], "lengths": [GOOD, GOOD | {"length": 33}], "cached_step": GOOD}
    for mode in ("accuracy", "default"):
        modes = {"accuracy": good, "default": good} | {mode: good | change}
        assert code("forward", {"modes": modes}, request_xpu) == expected
    loose = good | {"lengths": [GOOD | {"relative_difference": 0.1}]}
    assert code("forward", {"modes": {"accuracy": good, "default": loose}}, request_xpu) is None
    assert code("forward", {"modes": {"accuracy": loose, "default": good}}, request_xpu) == "wrong_result"


@pytest.mark.parametrize(
    ("behind", "expected"),
    [([0.0, 0.3], None), ([0.0, 4.2, 0.0], "wrong_answer"), ([None, 0.0], "wrong_answer")],
)
def test_a_folders_text_is_held_to_its_logits(
    request_xpu: ValidationRequest, behind: list[float | None], expected: str | None
) -> None:
    """Nobody says what a user's own model should answer: its own logits on the CPU do."""
    own = replace(request_xpu, weights_dir=None, model_dir=Path("folder"))
    measured = {"text": " Lyon", "same_twice": True, "behind": behind}
    assert code("generation", measured, own) == expected


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        ({"smallest": 0.08, "largest": 0.09}, None),
        ({"smallest": 0.0, "largest": 0.09}, "not_converted"),
        ({"smallest": 0.08, "largest": 0.4}, "wrong_weights"),
        ({"smallest": 0.08, "largest": None}, "wrong_weights"),
    ],
)
def test_weights_are_rounded_and_not_more(
    request_xpu: ValidationRequest, rounding: dict[str, Any], expected: str | None
) -> None:
    """A matrix that was left in 16 bits and one that was damaged are told apart."""
    measured = {"rounding": {"matrices": 210, "largest_of": "q_proj", **rounding}}
    assert code("conversion", measured, request_xpu) == expected


def test_the_forward_is_made_in_a_second_process_on_a_card(request_xpu: ValidationRequest) -> None:
    """The driver keeps compiled kernels for OpenVINO, too; a GGUF file of a user's own has no forward."""
    assert is_repeated(request_xpu)
    assert list_repeated_stages(request_xpu)[-3:] == ["reference", "conversion", "forward"]
    own = replace(request_xpu, weights_dir=None, model_dir=Path("folder"))
    assert is_repeated(own)
    assert list_repeated_stages(own)[-2:] == ["reference", "forward"]
    assert not is_repeated(replace(request_xpu, device="cpu"))
    assert not is_repeated(replace(own, model_dir=Path(__file__)))


def test_an_answer_is_asked_of_the_device_alone_where_the_reference_has_none(
    request_xpu: ValidationRequest,
) -> None:
    """A profile's own folder with `expect`: its reference has logits and no text."""
    own = replace(request_xpu, weights_dir=None, model_dir=Path("folder"), expected="Paris")
    assert code("reference", GOOD, own) is None
    assert code("generation", {"text": " Lyon", "behind": [0.0]}, own) == "wrong_answer"
    assert code("generation", {"text": " Paris", "behind": [0.0]}, own) is None


def test_a_stack_without_torch_is_told_nothing_of_it() -> None:
    """OpenVINO's process that dies at its end gets a hint that it can follow."""
    hints = explain_exit_crash(-6, 30.0, backend="openvino").hints + explain_exit("forward", -4, "").hints
    assert not [hint for hint in hints if "torch" in hint]
    assert any("torch.xpu" in hint for hint in explain_exit_crash(-6, 30.0, backend="transformers").hints)


def test_a_missing_driver_is_no_failure(request_xpu: ValidationRequest) -> None:
    """Without the OpenCL loader nothing was refuted: unvalidated, with the plugin's own words."""
    measured = {
        "built": True,
        "count": 0,
        "index": 0,
        "names": [],
        "selectors": {},
        "plugin_error": "libOpenCL",
    }
    finding = CHECKS["device"](measured, request_xpu)
    assert finding is not None
    assert finding.absent
    assert "OpenVINO sees no `xpu`" in finding.message
    assert "libOpenCL" in finding.message


def make_gguf(*, size: int, offset: int = 0) -> bytes:
    """Return a GGUF file of one F32 tensor that describes more or less than it holds."""
    name = b"general.architecture"
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1)
    head += struct.pack("<Q", len(name)) + name + struct.pack("<IQ", 8, 5) + b"llama"
    head += struct.pack("<Q", 1) + b"w" + struct.pack("<IQIQ", 1, 8, 0, offset)
    return head + bytes(-len(head) % 32) + bytes(size)


def test_a_gguf_file_that_breaks_off_is_refused(request_xpu: ValidationRequest, tmp_path: Path) -> None:
    """openvino_genai would end with SIGSEGV; the head says how long the file has to be."""
    path = tmp_path / "model.gguf"
    whole = make_gguf(size=32)
    path.write_bytes(whole)
    header = read_header(path)
    assert (header.architecture, header.types, header.parameters) == ("llama", {"F32": 1}, 8)
    for data in (b"", whole[:3], b"GGML" + whole[4:], whole[:30], whole[:-1], make_gguf(size=32, offset=32)):
        path.write_bytes(data)
        with pytest.raises(GgufError):
            read_header(path)
    error = {"type": "GgufError", "message": "it breaks off", "trace": ""}
    finding = explain_error("weights", error, {}, request_xpu, recognise=lambda _: None)
    assert (finding.code, finding.message) == ("model_file", "the model cannot be read: it breaks off")
