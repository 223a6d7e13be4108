"""What a log shows beside its failure decides the answer: hardware, program, versions, error line."""

import pytest

from provisioner.diagnose.failures.catalogue import load_catalogue
from provisioner.diagnose.failures.explain import explain_log, explain_text
from provisioner.diagnose.failures.model import Confidence

CATALOGUE = load_catalogue()
CUDA_WANTED = "AssertionError: Torch not compiled with CUDA enabled\n"


def test_a_message_of_any_program_needs_a_sign_of_intel() -> None:
    """With one the answer is Intel's, with none general and of low confidence, beside an NVIDIA card none."""
    (intel,) = explain_text(["Intel(R) Arc(TM) B580 Graphics\n" + CUDA_WANTED], CATALOGUE)
    (general,) = explain_text([CUDA_WANTED], CATALOGUE)
    assert (intel.id, general.id) == ("torch-not-compiled-cuda", "torch-not-compiled-cuda")
    assert "xpu" in intel.fix
    assert intel.confidence is not Confidence.LOW
    assert general.confidence is Confidence.LOW
    assert explain_text(["NVIDIA GeForce RTX 4090\n" + CUDA_WANTED], CATALOGUE) == ()


def test_a_message_of_sycl_on_other_hardware_has_no_intel_answer() -> None:
    """SYCL also runs on NVIDIA; only cures that hold there are given."""
    log = "Nvidia T4, CUDA Version: 12.0, nvptx64\nUR_RESULT_ERROR_OUT_OF_RESOURCES\n"
    assert explain_text([log], CATALOGUE) == ()


@pytest.mark.parametrize(
    ("line", "program", "word"),
    [
        ("File C:/ComfyUI/main.py, line 3\n", "comfyui", "ComfyUI"),
        ("launch.py --use-ipex from /home/me/sdnext\n", "sdnext", "SD.Next"),
        ("vllm serve model --device xpu\n", "vllm", "vllm"),
    ],
)
def test_the_cure_is_that_of_the_program(line: str, program: str, word: str) -> None:
    """A program with its own environment is not told to create one of ours."""
    log = line + "AssertionError: Torch not compiled with XPU enabled\n"
    answer = explain_log([log], CATALOGUE)
    assert answer.surroundings.programs[0].name == program
    assert word in answer.matches[0].fix
    assert "provision create" not in answer.matches[0].fix


def test_a_plain_log_is_offered_an_environment_of_ours() -> None:
    """Where no other program owns the environment, the first step is a profile."""
    (match,) = explain_text(["torch 2.6\nAssertionError: Torch not compiled with XPU enabled\n"], CATALOGUE)
    assert "`provision create llama3-xpu`" in match.fix


def test_surroundings_are_read() -> None:
    """Versions, system and card are those that the log names."""
    log = "torch==2.9.0+xpu on Windows 11, Intel Arc B580\nvLLM version: 0.10.1\n"
    seen = explain_log([log], CATALOGUE).surroundings
    assert (seen.system, seen.card) == ("windows", "Arc B580")
    assert seen.versions == {"torch": "2.9.0+xpu", "vllm": "0.10.1"}
    log = "intel-extension-for-pytorch 2.8.10+xpu\ntorch 2.13.0+cpu\n"
    assert explain_log([log], CATALOGUE).surroundings.versions == {
        "torch": "2.13.0+cpu",
        "ipex": "2.8.10+xpu",
    }


def test_the_evidence_is_the_error_line_and_not_a_title() -> None:
    """A report's title repeats the message; the line that the program printed counts."""
    log = "# [Bug]: No XPU devices are available\n\nI tried.\n  RuntimeError: No XPU devices are available.\n"
    (match,) = explain_text([log], CATALOGUE)
    assert (match.line, match.evidence) == (4, "RuntimeError: No XPU devices are available.")
    (match,) = explain_text(["# [Bug]: No XPU devices are available\n"], CATALOGUE)
    assert match.line == 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Triton Error [ZE]: 0x78000011", "triton-ze-module"),
        ("zeCommandListCreate returned 1879048195", "native-api-out-of-resources"),
        ("level_zero: 0x70000001", "device-lost"),
        ("UR_RESULT_ERROR_PROGRAM_LINK_FAILURE", "program-build-failure"),
    ],
)
def test_codes_are_known_by_name_and_number(text: str, name: str) -> None:
    """The tables of codes give a cause its names and its numbers."""
    assert explain_text([text], CATALOGUE)[0].id == name


@pytest.mark.parametrize("card", ["Intel Iris Plus 655", "Intel DG1", "UHD 620", "Intel A380", "Arc Pro B50"])
def test_a_card_is_a_sign_of_intel_however_people_write_it(card: str) -> None:
    """A message of any program is then an Intel answer."""
    (match,) = explain_text([f"{card}\n{CUDA_WANTED}"], CATALOGUE)
    assert match.confidence is not Confidence.LOW


@pytest.mark.parametrize("words", ["It gets stuck.", "No GPU detected", "The NPU is not detected, openvino"])
def test_a_failure_told_in_words_gives_way_to_an_error(words: str) -> None:
    """Words that fit many failures are no answer beside an error line as bad."""
    error = "Native API failed. Native API returns: 40 (UR_RESULT_ERROR_OUT_OF_RESOURCES)"
    first, *_ = explain_text([f"Intel Arc A770\n{words}\n{error}\n"], CATALOGUE)
    assert first.id == "native-api-out-of-resources"
    (alone,) = explain_text([f"Intel Arc A770\n{words}\n"], CATALOGUE)
    assert alone.id in {"first-run-compiles", "installer-chose-cpu", "npu-not-listed"}
