import re

import pytest

from provisioner.diagnose.failures.catalogue import load_catalogue
from provisioner.diagnose.failures.explain import explain_text
from provisioner.render.explain import describe_match, render_environment
from provisioner.validate.model import Report, Verdict

CATALOGUE = load_catalogue()


def described(text: str) -> list[str]:
    (match,) = explain_text([text], CATALOGUE)
    return describe_match(match).splitlines()


def test_the_steps_of_a_fix_stand_on_lines_of_their_own() -> None:
    """The seed's three steps and three causes each begin a line; the first step is this tool's command."""
    lines = described("Could not run 'torch_ipex::mul_add' with arguments from the 'CPU' backend")
    starts = [line.split()[0] for line in lines if line.startswith("    ") and not line.startswith("     ")]
    assert starts == ["1.", "2.", "3.", "(1)", "(2)", "(3)"]
    step = " ".join(" ".join(lines).split("(1)")[1].split("(2)")[0].split())
    assert step.startswith("Make a fresh environment: `provision create llama3-xpu`")
    assert "still maintained" in step
    assert "`provision create llama3-arc`" in step
    assert "archived" in step


@pytest.mark.parametrize("name", CATALOGUE.failures)
def test_the_text_fits_80_columns_and_keeps_every_word(name: str) -> None:
    """Nothing is wider than 80 columns but an address or code, each whole, and cause and fix are complete."""
    failure = CATALOGUE.failures[name]
    match = next(match for match in explain_text([failure.examples[0]], CATALOGUE) if match.id == name)
    lines = describe_match(match).splitlines()
    wide = [line.strip() for line in lines[1:] if len(line) > 80]
    assert [line for line in wide if not re.fullmatch(r"\S+|\(?`[^`]+`\S*", line)] == []
    words = " ".join(" ".join(lines).split())
    assert " ".join(match.fix.split()) in words
    assert " ".join(match.cause.split()) in words


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("zeInit failed with 0x78000001", "level-zero-uninitialized"),
        (
            "level_zero backend failed with error: 32 (UR_RESULT_ERROR_UNINITIALIZED)",
            "level-zero-uninitialized",
        ),
        (
            "Native API failed. Native API returns: -46 (PI_ERROR_INVALID_KERNEL_NAME)",
            "native-api-invalid-call",
        ),
        (
            "Native API failed. Native API returns: -1001 (CL_PLATFORM_NOT_FOUND_KHR)",
            "sycl-no-device-of-type",
        ),
        ("The code execution cannot proceed because ze_loader.dll was not found.", "ze-loader-missing"),
        ("RuntimeError: XPU out of memory, please use `empty_cache`", "xpu-oom"),
        (
            "FileNotFoundError: No such file or directory: '/opt/intel/oneapi/bin/icpx'",
            "triton-compiler-missing",
        ),
    ],
)
def test_other_wordings_are_recognised(text: str, name: str) -> None:
    """Wordings of other runtimes and versions than the examples name the same failure."""
    assert [match.id for match in explain_text([text], CATALOGUE)] == [name]


@pytest.mark.parametrize(
    "text",
    [
        "RuntimeError: expected scalar type Half but found Float  # on cuda:0",
        "RuntimeError: Failed to find C compiler. Please specify via CC. torch 2.5.1+cu124",
        "RuntimeError: 0 active drivers ([]). There should only be one.",
        "TypeError: LlamaModel.forward() got an unexpected keyword argument 'cache_position'",
        "TypeError: issubclass() arg 1 must be a class",
        "AttributeError: 'LlamaAttention' object has no attribute 'rotary_emb'",
    ],
)
def test_the_same_messages_without_an_intel_gpu_have_no_answer(text: str) -> None:
    """Messages that CUDA and CPU programs print too are claimed only beside a sign of XPU."""
    assert explain_text([text], CATALOGUE) == ()


def test_a_healthy_environment_is_called_so_with_the_date_of_its_proof() -> None:
    """Where nothing is known to be wrong, nobody is asked for a log that does not exist."""
    passed = Report(verdict=Verdict.PASSED, device={"asked": "xpu:1"}, created_at="2026-11-25T10:00:00+00:00")
    shown = render_environment((), (), [passed], device="xpu", name="demo")
    assert shown.text.startswith(
        "nothing known is wrong with what is installed; the last validation, of 2026-11-25 on `xpu:1`,"
        " passed\nhint: if a program fails"
    )
    assert (shown.data["matches"], shown.data["damage"], shown.data["failure"]) == ([], [], None)
