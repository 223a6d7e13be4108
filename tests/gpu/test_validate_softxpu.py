"""Validation on an `xpu` device: it passes on a good one, and tells each way of failing from the others."""

import os
import subprocess
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioner.diagnose.failures.probe_errors import recognise_error
from provisioner.engines.process.run import start_program
from provisioner.events import ignore_events
from provisioner.validate.model import Report, ValidationRequest, Verdict
from provisioner.validate.run import validate_environment

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.timeout(600)]

DEADLINE_S = 10.0
CHATGLM2 = Path(__file__).parents[2] / "provisioner" / "validate" / "probe" / "chatglm2.py"

Validate = Callable[..., Report]


@pytest.fixture
def validate(softxpu_python: Path, torch_python: Path) -> Validate:
    """Validate on the software XPU; keyword arguments are the request's."""
    # two environments in one: the software XPU lies over the one that has torch
    prefix = Path(os.path.commonpath([softxpu_python, torch_python]))

    def run(**options: Any) -> Report:
        values: dict[str, Any] = {
            "interpreter": softxpu_python,
            "prefix": prefix,
            "device": "xpu",
            "profile_device": "xpu",
            "family": "chatglm2",
            "precision": "sym_int4",
            "locked": {"numpy": "1.26.4"},  # reading every file of torch again for each fault shows nothing
            "host_env": {"PATH": "/nowhere", "HOME": "/nowhere"},
            "deadlines_s": {"device": DEADLINE_S, "kernels": DEADLINE_S, "exit": DEADLINE_S},
        }
        request = ValidationRequest(**(values | options))
        return validate_environment(
            request, process=start_program, recognise=recognise_error, on_event=ignore_events
        )

    return run


@pytest.mark.parametrize("precision", ["sym_int4", "sym_int8", "fp16"])
def test_chatglm2_passes(validate: Validate, precision: str) -> None:
    """The family runs through ipex-llm's own paths on the device, in every precision of the profiles."""
    report = validate(precision=precision)
    assert report.verdict is Verdict.PASSED, report.reason
    forward, conversion = report.find_record("forward"), report.find_record("conversion")
    assert forward is not None
    assert conversion is not None
    assert forward.measured["output_device"] == "xpu:0"
    assert "SelfAttention" in conversion.measured["replaced"]
    assert report.device["driver"] == "0.1.0+software"


def test_llama_passes(validate: Validate) -> None:
    """The same for Llama."""
    report = validate(family="llama3", precision="sym_int8")
    assert report.verdict is Verdict.PASSED, report.reason
    conversion = report.find_record("conversion")
    assert conversion is not None
    assert "LlamaSdpaAttention" in conversion.measured["replaced"]


@pytest.mark.parametrize(
    ("fault", "stage", "code", "said"),
    [
        ("crash-available", "device", "crash", "SIGSEGV"),
        ("crash-properties", "device", "crash", "_get_device_properties"),
        ("hang-properties", "device", "timeout", "did not end"),
        ("hang", "kernels", "timeout", "did not end"),
        ("oom", "kernels", "device_memory", "device's memory"),
        ("device-lost", "kernels", "device_lost", "lost"),
        ("device-lost@10", "forward", "device_lost", "lost"),
        ("crash-kernel", "kernels", "crash", "SIGSEGV"),
        ("crash-kernel@20", "forward", "crash", "SIGSEGV"),
        ("nan", "kernels", "wrong_result", "no number"),
        ("nan@12", "forward", "wrong_result", "NaN"),
        ("wrong", "kernels", "wrong_result", "0.1"),
        ("nan-rows@33", "forward", "wrong_at_length", "of 33 tokens gives NaN"),
        ("wrong-argmax", "forward", "wrong_choice", "`argmax` on `xpu` takes other tokens"),
        ("wrong-topk", "forward", "wrong_choice", "`topk` on `xpu` takes other tokens"),
        ("wrong@12", "comparison", "wrong_result", "differs from the fp32 reference"),
        ("cpu-result", "kernels", "wrong_device", "`cpu`"),
        ("cpu-result@12", "forward", "mixed_devices", "xpu:0"),
        ("crash-exit", "exit", "exit_crash", "SIGABRT"),
    ],
)
def test_a_fault_has_its_own_reason(validate: Validate, fault: str, stage: str, code: str, said: str) -> None:
    """Each fault of a device is failed, in its check, with a cause of its own, and in time."""
    started = time.monotonic()
    report = validate(env={"SOFTXPU_FAULT": fault})
    assert report.verdict is Verdict.FAILED
    assert (report.stage, report.code) == (stage, code), report.reason
    assert said in str(report.reason)
    record = report.find_record(stage)
    assert record is not None
    if code == "timeout":
        assert record.seconds < DEADLINE_S + 5
    assert time.monotonic() - started < 120


def test_a_second_process_that_calculates_otherwise_fails(validate: Validate) -> None:
    """Kernels that were kept by the first process and are wrong: every check passes but this one."""
    report = validate(env={"SOFTXPU_FAULT": "warm-wrong"})
    assert (report.verdict, report.stage, report.code) == (Verdict.FAILED, "repeat", "unstable"), (
        report.reason
    )
    assert "a second process differs" in str(report.reason)


def test_a_full_host_memory_is_told_from_a_full_device(validate: Validate) -> None:
    """A matrix product that takes the machine's memory runs into the cap; the device is not blamed."""
    report = validate(
        env={"SOFTXPU_FAULT": "host-oom"}, memory_limit_bytes=3_000_000_000, deadlines_s={"kernels": 120.0}
    )
    assert (report.stage, report.code) == ("kernels", "host_memory"), report.reason


def test_an_absent_device_never_passes(validate: Validate) -> None:
    """No device: unvalidated, whatever the CPU could have done."""
    report = validate(env={"SOFTXPU_FAULT": "absent"})
    assert (report.verdict, report.stage, report.code) == (Verdict.UNVALIDATED, "device", "device_missing")


def test_the_asked_device_of_several_is_used(validate: Validate) -> None:
    """`xpu:1` runs there; where there is one only, nothing is proven, and the report names that one."""
    report = validate(device="xpu:1", env={"SOFTXPU_DEVICES": "2"})
    assert report.verdict is Verdict.PASSED, report.reason
    forward = report.find_record("forward")
    assert forward is not None
    assert forward.measured["output_device"] == "xpu:1"
    report = validate(device="xpu:1")
    assert report.verdict is Verdict.UNVALIDATED
    assert "Software XPU" in str(report.reason)


def test_a_selector_is_part_of_the_report(validate: Validate) -> None:
    """A variable that hides devices is named, because it decides which one was used."""
    env = {"SOFTXPU_DEVICES": "2", "ONEAPI_DEVICE_SELECTOR": "level_zero:1"}
    report = validate(env=env, precision="fp16")
    assert report.verdict is Verdict.PASSED, report.reason
    assert report.device["selectors"] == {"ONEAPI_DEVICE_SELECTOR": "level_zero:1"}
    assert report.device["properties"]["is_integrated_gpu"] is False


# What IPEX's graph fusion makes of ChatGLM2's rotary embedding: an operator that exists for XPU only. The
# software XPU registers it as IPEX does.
SEED = """

plain_rotary = apply_rotary


def apply_rotary(states, angles):
    if states.device.type == "xpu":
        rotary_table = angles{place}
        torch.ops.torch_ipex.mul_add(rotary_table, rotary_table, rotary_table, 1.0)
    return plain_rotary(states, angles)
{more}
"""
STUCK = """

class StuckNorm(RMSNorm):
    def _apply(self, function, recurse=True):
        return self if function(self.weight).device.type == "xpu" else super()._apply(function, recurse)


RMSNorm = StuckNorm
"""
TOKENIZER = {
    "tokenizer.json": (
        '{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,'
        ' "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,'
        ' "model": {"type": "WordLevel", "vocab": {"[UNK]": 3, "The": 4}, "unk_token": "[UNK]"}}'
    ),
    "tokenizer_config.json": '{"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"}',
}


@pytest.fixture
def model_folder(softxpu_python: Path, tmp_path: Path) -> Callable[..., Path]:
    """Make a folder as a user has one: ChatGLM2's code, weights and a tokenizer."""

    def make(*, place: str = "", more: str = "") -> Path:
        folder = tmp_path / "chatglm2-user"
        folder.mkdir()
        code = CHATGLM2.read_text(encoding="utf-8")
        code += SEED.format(place=place, more=more)
        (folder / "modeling_seed.py").write_text(code, encoding="utf-8")
        for name, text in TOKENIZER.items():
            (folder / name).write_text(text, encoding="utf-8")
        script = f"""
            import json, sys
            sys.path.insert(0, {str(folder)!r})
            from modeling_seed import ChatGLMConfig, ChatGLMForConditionalGeneration as Model
            config = ChatGLMConfig(hidden_size=128, kv_channels=64, num_attention_heads=2,
            ffn_hidden_size=256,
                                   num_layers=2, embedding_rows=320)
            config.auto_map = {{"AutoConfig": "modeling_seed.ChatGLMConfig",
                               "AutoModel": "modeling_seed.ChatGLMForConditionalGeneration"}}
            Model(config).save_pretrained({str(folder)!r}, safe_serialization=True)
        """
        subprocess.run([softxpu_python, "-I", "-c", textwrap.dedent(script)], check=True, capture_output=True)
        return folder

    return make


USER = {"backend": "transformers", "precision": "fp16", "trust_remote_code": True}


def test_a_users_model_passes(validate: Validate, model_folder: Callable[..., Path]) -> None:
    """A model folder with its own code runs the same checks, when that code is allowed to run."""
    folder = model_folder()
    report = validate(model_dir=folder, **USER)
    assert report.verdict is Verdict.PASSED, report.reason
    kernels = report.find_record("kernels")
    assert kernels is not None
    report = validate(model_dir=folder, **(USER | {"trust_remote_code": False}))
    assert (report.stage, report.code) == ("weights", "remote_code")
    assert any("--trust-remote-code" in hint for hint in report.hints)


def test_the_seed_case_names_operator_tensors_and_remedy(
    validate: Validate, model_folder: Callable[..., Path]
) -> None:
    """`torch_ipex::mul_add` reached by CPU tensors: the operator, the tensors and the three-step remedy."""
    report = validate(model_dir=model_folder(place=".cpu()"), **USER)
    assert (report.verdict, report.stage, report.code) == (Verdict.FAILED, "forward", "cpu_fallback"), (
        report.reason
    )
    assert "`torch_ipex::mul_add`" in str(report.reason)
    assert "`rotary_table in apply_rotary`" in str(report.reason)
    assert len(report.hints) == 3
    assert "model.to('xpu')" in report.hints[1]


def test_weights_left_on_the_cpu_are_named_before_the_model_dies(
    validate: Validate, model_folder: Callable[..., Path]
) -> None:
    """Parameters that did not move with the model fail the forward check by name, without a call."""
    report = validate(model_dir=model_folder(more=STUCK), **USER)
    assert (report.verdict, report.stage, report.code) == (Verdict.FAILED, "forward", "cpu_fallback"), (
        report.reason
    )
    assert "layernorm.weight`" in str(report.reason)
    assert len(report.hints) == 3


def test_unsafe_weights_are_refused(validate: Validate, model_folder: Callable[..., Path]) -> None:
    """A folder whose weights are a pickle is not read, and the pickle does not run."""
    folder = model_folder()
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(
        b"cos\nsystem\n(S'touch " + str(folder / "ran").encode() + b"'\ntR."
    )
    report = validate(model_dir=folder, **USER)
    assert (report.stage, report.code) == ("weights", "unsafe_weights"), report.reason
    assert not (folder / "ran").exists()
