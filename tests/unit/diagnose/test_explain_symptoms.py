"""Where no entry knows a failure, its symptom, the program and the state of the stack make the answer."""

import pytest

from provisioner.diagnose.failures.answer import Surroundings
from provisioner.diagnose.failures.catalogue import load_catalogue, parse_catalogue
from provisioner.diagnose.failures.explain import explain_log, explain_text
from provisioner.diagnose.failures.model import Confidence, Fact, Language, Program, Stack
from provisioner.diagnose.failures.stack import list_statements
from provisioner.errors import InternalError

CATALOGUE = load_catalogue()


def answer(log: str, language: Language = Language.EN) -> str:
    """Give id, cause and fix of the only answer."""
    (match,) = explain_text([log], load_catalogue(language))
    return f"{match.id}: {match.cause} {match.fix}"


def test_the_program_of_the_log_gives_cause_and_cure() -> None:
    """The same symptom has another cause and cure in another program."""
    crash = "After the first token it crashes.\n"
    assert "back end in this build" in answer("llama-server on Intel Arc A770\n" + crash)
    assert "requirements/xpu.txt" in answer("vllm serve on Intel Arc B580\n" + crash)


def test_what_is_too_old_comes_first() -> None:
    """A version in the log that is older than the card is said, is the first step, and proves the cause."""
    log = "torch 2.5.1+xpu, Intel Arc B580, Ubuntu\nAfter the first token it crashes.\n"
    (match,) = explain_text([log], CATALOGUE)
    assert match.cause.startswith("torch 2.5.1+xpu is older than PyTorch's support for Arc B580")
    assert match.fix.startswith("(1) Install a current torch for XPU")
    assert match.confidence is Confidence.MEDIUM
    assert match.fix.count("(4)") == 1
    assert "(5)" not in match.fix


def test_what_proves_a_cause_is_said_before_what_is_only_old() -> None:
    """A kernel that does not know the card comes before an old program."""
    log = "vllm 0.11.0, Intel Arc B580, kernel 6.8.0-45-generic, Ubuntu\nall_reduce hangs\n"
    (match,) = explain_text([log], CATALOGUE)
    assert match.cause.startswith("Linux 6.8 is older than")


def test_driver_packages_of_two_releases_are_said() -> None:
    """Versions of the OpenCL and the Level Zero driver that differ come before what is only old."""
    log = "Intel Arc A770\nintel-opencl-icd 24.35.30872.22, libze-intel-gpu1 25.18.33578.6\nit crashes\n"
    (match,) = explain_text([log], CATALOGUE)
    assert match.cause.startswith("The driver's packages are of two releases: intel-opencl-icd 24.35.30872 ")


def test_a_driver_that_lists_the_gpu_is_not_blamed() -> None:
    """Where sycl-ls shows the GPU, the program's own environment is the first step."""
    log = "[level_zero:gpu][level_zero:0] Intel(R) Arc(TM) A770\n>>> torch.xpu.is_available()\nFalse\n"
    match, *_ = explain_text([log], CATALOGUE)
    assert match.cause.startswith("sycl-ls lists the GPU")
    assert match.fix.startswith("(1) Ask the program's own Python")


def test_what_is_set_already_is_not_the_first_step() -> None:
    """A step comes last whose variables and switches all stand in the log."""
    log = "ComfyUI on Intel Arc A770\nRuntimeError: something new\n"
    flags = "--disable-all-custom-nodes --use-pytorch-cross-attention --use-split-cross-attention --fp32-vae"
    (before,) = explain_text([log], CATALOGUE)
    (after,) = explain_text([f"python main.py {flags} --bf16-vae\n", log], CATALOGUE)
    assert before.fix.startswith("(1) Start with --disable-all-custom-nodes")
    assert "(4) Start with --disable-all-custom-nodes" in after.fix


def test_evidence_in_the_log_chooses_cause_and_first_step() -> None:
    """Of the causes of a symptom those are given that the log shows."""
    log = "Intel Arc A770, llama-server\nfailed to load adapter, libsycl.so.7 missing\n"
    (match,) = explain_text([log], CATALOGUE)
    assert match.cause.startswith("oneAPI's run time")
    assert "libsycl.so.7 is oneAPI 2024" in match.fix.split("(2)")[0]


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        ("openvino 2025.4.1, unprivileged LXC container, Intel UHD Graphics 770\nSIGSEGV\n", "topology"),
        ("onnxruntime-openvino 1.24.1, Intel Arc A380\nSIGSEGV\n", "OpenVINO of its own"),
        ("oneAPI: 2025.3, intel-sycl-rt: 2026.0.0, device='xpu'\nSegmentation fault\n", "Two SYCL releases"),
        (
            "Intel Iris Xe, ggml_opencl: selecting\nDouble type is not supported on this platform\n",
            "ggml's OpenCL back end",
        ),
        (
            "--use-ipex --skip-torch-cuda-test, Intel Arc A770\nTorch is not able to use GPU\n",
            "program's venv folder",
        ),
        (
            "ipex-llm on Intel Lunar Lake\ncould not create a primitive descriptor for a matmul primitive\n",
            "older than Lunar Lake",
        ),
        (
            "Lunar Lake, xe 0000:00:02.0: GT0: Unsupported GuC v70.20.0!\nprobe with driver xe failed\n",
            "GuC firmware",
        ),
        ("torch 2.13.0+xpu, works in 2.12\nUR_RESULT_ERROR_OUT_OF_RESOURCES\n", "another torch release"),
        ("IGC_EnableDPEmulation=1, UHD Graphics 770\nZE_RESULT_ERROR_DEVICE_LOST\n", "emulated by force"),
        (
            "Intel Arc A770: torch.xpu.is_available() returns True, but the web UI fails to detect the XPU\n",
            "torch itself sees the GPU",
        ),
    ],
)
def test_a_fact_that_leaves_no_room_for_others_is_the_whole_answer(log: str, cause: str) -> None:
    """Program, container and card beside a message that says little make the cause, alone."""
    match, *_ = explain_text([log], CATALOGUE)
    assert cause in match.cause
    assert "\n" not in match.cause


def test_what_is_harmless_is_no_failure() -> None:
    """An error code inside a warning that is known to be noise is not answered beside the failure itself."""
    noise = "Warning: zesInit failed with code 2013265921. Sysman free-memory query may be unavailable.\n"
    ids = [
        match.id
        for match in explain_text([noise, "UR_RESULT_ERROR_INVALID_VALUE at ggml-sycl.cpp:1800\n"], CATALOGUE)
    ]
    assert ids == ["ggml-sycl-operation-failed", "ggml-sysman-warning"]


@pytest.mark.parametrize(
    "log",
    [
        "I am running an AMD based system.\nonnxruntime with OpenVINO crashes\n",
        "torch 2.4, no Intel GPU\nAssertionError: Torch not compiled with XPU enabled\n",
        "AMD Radeon 6950XT, rocm OpenCL\nplugins/intel_gpu/src/plugin\n[GPU] ProgramBuilder build failed!\n",
        "on aarch64, oneAPI's oneDNN with ComputeLibrary\ncould not create a primitive descriptor\n",
    ],
)
def test_software_of_intel_on_other_hardware_is_no_intel_gpu(log: str) -> None:
    """OpenVINO and oneDNN run on AMD and ARM, too."""
    assert explain_text([log], CATALOGUE) == ()


def test_a_fallback_says_the_state_of_the_stack_first() -> None:
    """An entry that hardly knows why something failed is preceded by what is too old."""
    log = "torch 2.5.1+xpu, Intel Arc B580\nNative API failed\n"
    match, *_ = explain_text([log], CATALOGUE)
    assert CATALOGUE.failures[match.id].fallback
    assert match.cause.startswith("torch 2.5.1+xpu is older than")
    assert match.fix.startswith("(1) Install a current torch for XPU")


def test_the_state_is_said_in_the_language_of_the_answer() -> None:
    """Facts and shared steps have a text in each language."""
    log = "llama.cpp version: 8121 (abc), Intel Arc A770\nIt crashes.\n"
    assert "older than September 2026" in answer(log)
    assert "早于 2026 年 9 月" in answer(log, Language.ZH)


@pytest.mark.parametrize(
    "log",
    [
        "NVIDIA GeForce RTX 4090, llama-server\nit crashes\n",
        "llama-server\nit crashes\n",
        "Intel Arc A770\nWhen I start the game it crashes.\n",
        "Intel Arc A770, llama-server\nAll is well.\n",
    ],
)
def test_a_symptom_needs_an_intel_gpu_that_computes(log: str) -> None:
    """Other hardware, no hardware, games and success have no answer."""
    assert explain_text([log], CATALOGUE) == ()


def test_a_symptom_gives_way_to_a_cause() -> None:
    """Beside any other answer but noise it says nothing."""
    log = "Intel Arc A770, it crashes\nUR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY\n"
    assert not any(CATALOGUE.failures[match.id].symptom for match in explain_text([log], CATALOGUE))


@pytest.mark.parametrize(
    ("fact", "holds"),
    [
        (Fact(cause="", package="torch", below="2.7"), True),
        (Fact(cause="", package="torch", below="2.6"), False),
        (Fact(cause="", package="torch", since="2.6"), True),
        (Fact(cause="", package="torch", since="2.7"), False),
        (Fact(cause="", package="torch", local="cpu"), False),
        (Fact(cause="", package="openvino"), False),
        (Fact(cause="", package="ipex", differs_from="torch"), True),
        (Fact(cause="", package="compute-runtime", build_below=33579), True),
        (Fact(cause="", package="compute-runtime", build_below=33578), False),
        (Fact(cause="", programs=("vllm",)), True),
        (Fact(cause="", programs=("ollama",)), False),
        (Fact(cause="", systems=("windows",)), False),
        (Fact(cause="", architectures=("Alchemist",)), True),
    ],
)
def test_a_fact_holds_where_the_log_shows_all_of_it(fact: Fact, holds: bool) -> None:  # noqa: FBT001
    """Versions are compared as versions, drivers by their build."""
    seen = Surroundings(
        programs=(Program(name="vllm", title="vLLM", signatures=()),),
        versions={"torch": "2.6.0+xpu", "ipex": "2.5.10+xpu", "compute-runtime": "1.6.33578"},
        system="linux",
        architecture="Alchemist",
    )
    assert bool(list_statements(["it"], Stack(facts={"it": fact}), seen)) is holds


def test_versions_and_generation_are_read() -> None:
    """Of torch, the driver, the kernel, a build of llama.cpp and the GPU."""
    log = (
        "Intel Arc B580, kernel 6.8.0-45-generic, libze-intel-gpu1 25.18.33578.6\n"
        "version: 9562 (8f83d6c27)\n| torch | 2.8.0+xpu |\nDriver 32.0.101.6737\n"
    )
    seen = explain_log([log], CATALOGUE).surroundings
    assert seen.architecture == "Battlemage"
    assert seen.versions["compute-runtime"] == "25.18.33578"
    assert seen.versions["windows-driver"] == "32.0.101.6737"
    assert seen.versions["kernel"] == "6.8"
    assert (seen.versions["llama.cpp"], seen.versions["torch"]) == ("9562", "2.8.0+xpu")


def test_a_fact_that_is_not_there_is_refused() -> None:
    """A symptom may name only facts of stack.yaml."""
    entry = """
- id: a-symptom
  symptom: true
  state: [nothing]
  title: title
  phase: import
  systems: [linux]
  severity: fatal
  confidence: low
  cause: cause
  fix: [cure]
  signatures: [one certain message]
  examples: [one certain message]
  sources: [owner/repository]
"""
    with pytest.raises(InternalError, match="nothing"):
        parse_catalogue(entry)
