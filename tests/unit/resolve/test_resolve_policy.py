"""Each combination that is known to fail at run time is refused when locking, with its sentence."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from provisioner.errors import ErrorList, ExitCode, ProvisionError, ResolveError
from provisioner.profile.model import Device, Family, Platform, Profile, TorchVariant, Validation
from provisioner.resolve.model import PipPackage, PlatformResolution, Resolution
from provisioner.resolve.policy import SEED, check_profile, check_resolution

ARC = Profile(
    name="llama3-arc",
    description="Llama 3 on Arc",
    family=Family.LLAMA3,
    device=Device.XPU,
    torch=TorchVariant.IPEX,
    python="3.11",
    platforms=(Platform(name="linux-64", pip=("ipex-llm[xpu]==2.2.0",)),),
)
IPEX = "intel-extension-for-pytorch"
GOOD = {
    "ipex-llm": "2.2.0",
    "torch": "2.1.0a0+cxx11.abi",
    "torchvision": "0.16.0a0+cxx11.abi",
    "intel-extension-for-pytorch": "2.1.10+xpu",
    "dpcpp-cpp-rt": "2024.0.2",
    "mkl-dpcpp": "2024.0.0",
    "transformers": "4.37.0",
}


def with_pip(*requirements: str, torch: TorchVariant = TorchVariant.IPEX) -> Profile:
    """Return the profile with other requirements."""
    return replace(ARC, torch=torch, platforms=(Platform(name="linux-64", pip=requirements),))


def answer(changes: Mapping[str, str | None] | None = None) -> Resolution:
    """Return a good answer with some packages changed, added, or left out (None)."""
    pins = {**GOOD, **(changes or {})}
    pip = tuple(
        PipPackage(
            name=name,
            version=version,
            filename=f"{name}-{version}.whl",
            url=f"pypi:{name}.whl",
            index="pypi",
            sha256="0" * 64,
        )
        for name, version in sorted(pins.items())
        if version is not None
    )
    return Resolution(profile="llama3-arc", platforms=(PlatformResolution(platform="linux-64", pip=pip),))


def refusal(profile: Profile, resolution: Resolution | None = None) -> ProvisionError:
    """Return the error."""
    with pytest.raises((ResolveError, ErrorList)) as caught:
        _check(profile, resolution)
    assert caught.value.exit_code is ExitCode.RESOLVE
    return caught.value


def _check(profile: Profile, resolution: Resolution | None) -> None:
    check_profile(profile)
    if resolution is not None:
        check_resolution(profile, resolution)


def test_the_stack_itself_passes() -> None:
    """What Intel documents is allowed."""
    check_profile(ARC)
    check_resolution(ARC, answer())


@pytest.mark.parametrize("version", ["2.8.0", "2.3.110+xpu", "2.1.20+xpu"])
def test_another_ipex_beside_ipex_llm_is_refused_before_anything_is_asked(version: str) -> None:
    """The sentence names the failure that users meet, and the remedy."""
    error = refusal(with_pip("ipex-llm[xpu]==2.2.0", f"intel-extension-for-pytorch=={version}"))
    assert error.code == "resolve.ipex_beside_ipex_llm"
    assert SEED in error.message
    assert "2.1.10+xpu" in error.message
    assert error.hints


@pytest.mark.parametrize(
    "requirement", ["intel-extension-for-pytorch==2.1.10+xpu", "Intel_Extension.for-PyTorch"]
)
def test_ipex_llms_own_ipex_may_be_written_down(requirement: str) -> None:
    """The same version, or any version, is no contradiction; names are normalised."""
    check_profile(with_pip("ipex-llm[xpu]==2.2.0", requirement))


@pytest.mark.parametrize("stack", ["ipex-llm[xpu-2-6]==2.2.0", "ipex-llm[xpu_2.6]==2.2.0"])
def test_ipex_in_a_stack_without_it_is_refused(stack: str) -> None:
    """The 2.6 extra has no IPEX, in any spelling."""
    error = refusal(with_pip(stack, "intel-extension-for-pytorch==2.8.10+xpu", torch=TorchVariant.XPU))
    assert "a stack without IPEX" in error.message
    assert SEED in error.message


def test_ipex_on_upstream_torch_is_not_explained_with_ipex_llm() -> None:
    """The user has no ipex-llm: the sentence says what IPEX is for torch itself, and the hint drops it."""
    error = refusal(
        with_pip("torch==2.9.1+xpu", "intel-extension-for-pytorch==2.8.10+xpu", torch=TorchVariant.XPU)
    )
    assert "a stack without IPEX" in error.message
    assert "runs on Intel GPUs without it" in error.message
    assert "ipex-llm" not in error.message + error.hints[0]


@pytest.mark.parametrize("version", ["2.8.0", "2.1.10", "2.3.110+xpu"])
def test_another_ipex_in_the_answer_is_refused(version: str) -> None:
    """Also where a dependency has brought it."""
    error = refusal(ARC, answer({IPEX: version}))
    assert f"there is IPEX {version}" in error.message


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("torch", "2.1.0"),
        ("torch", "2.13.0+cpu"),
        ("torchvision", "0.16.0+cu121"),
        ("torchaudio", "2.9.1+xpu"),
        ("triton", "3.5.0"),
        ("nvidia-cublas-cu12", "12.1"),
        ("pytorch-triton-xpu", "3.5.0"),
    ],
)
def test_a_package_of_another_torch_variant_is_refused(name: str, version: str) -> None:
    """CPU, CUDA and other XPU builds of torch and its kin never get into a lock."""
    error = refusal(ARC, answer({name: version}))
    assert error.code == f"resolve.{'kin' if name in ('torchvision', 'torchaudio') else 'torch'}_variant"
    assert name in error.message


@pytest.mark.parametrize("core", ["bigdl-core-xe-23", "bigdl-core-xe-all"])
def test_native_code_for_another_torch_is_refused(core: str) -> None:
    """The parts of ipex-llm are built for one release of torch each."""
    check_resolution(ARC, answer({"bigdl-core-xe-21": "2.6.0"}))
    error = refusal(ARC, answer({core: "2.6.0"}))
    assert error.code == "resolve.other_core"
    assert core in error.message


def test_an_answer_without_torch_is_refused() -> None:
    """No model runs without it."""
    assert refusal(ARC, answer({"torch": None})).code == "resolve.no_torch"


def test_a_stack_without_torch_has_none() -> None:
    """With torch `none` an answer without torch is right, and one with any build of it is refused."""
    bare = dict.fromkeys(GOOD) | {"openvino-genai": "2026.4.1.0"}
    profile = with_pip("openvino-genai", torch=TorchVariant.NONE)
    check_resolution(profile, answer(bare))
    for version in ("2.13.0", "2.13.0+cpu"):
        error = refusal(profile, answer(bare | {"torch": version}))
        assert error.code == "resolve.torch_variant"
        (hint,) = error.hints
        assert "build on a stack with torch" in hint


def test_two_generations_of_the_runtime_are_refused() -> None:
    """The sentence lists who is of which."""
    error = refusal(ARC, answer({"intel-openmp": "2025.1.0"}))
    assert error.code == "resolve.mixed_runtimes"
    assert "2024: dpcpp-cpp-rt 2024.0.2, mkl-dpcpp 2024.0.0; 2025: intel-openmp 2025.1.0" in error.message


@pytest.mark.parametrize(
    ("family", "narrowed", "version", "fits"),
    [
        (Family.LLAMA3, None, "4.45.0", True),
        (Family.LLAMA3, None, "4.46.0", False),
        (Family.LLAMA3, "==4.37.0", "4.45.0", False),
        (Family.CHATGLM2, None, "4.44.2", True),
        (Family.CHATGLM2, None, "4.45.0", False),
        (Family.CHATGLM2, None, "4.36.0", False),
    ],
)
def test_transformers_outside_the_familys_range_is_refused(
    family: Family, narrowed: str | None, version: str, *, fits: bool
) -> None:
    """ipex-llm patches classes by name; a profile may narrow the range."""
    profile = replace(ARC, family=family, transformers=narrowed)
    if fits:
        check_resolution(profile, answer({"transformers": version}))
    else:
        assert refusal(profile, answer({"transformers": version})).code == "resolve.transformers"


def test_upstream_transformers_is_only_bound_by_the_profile() -> None:
    """Without ipex-llm nothing is patched, and the refusal names what bounds transformers there."""
    profile = replace(
        ARC,
        torch=TorchVariant.XPU,
        transformers=">=5,<6",
        validation=Validation(backend="transformers"),
        platforms=(Platform(name="linux-64", pip=("torch==2.9.1+xpu",)),),
    )
    upstream = answer(
        {
            "ipex-llm": None,
            IPEX: None,
            "torch": "2.9.1+xpu",
            "torchvision": None,
            "transformers": "5.1.0",
            "pytorch-triton-xpu": "3.5.0",
        }
    )
    check_resolution(profile, upstream)
    error = refusal(replace(profile, transformers="<5"), upstream)
    assert error.code == "resolve.transformers"
    assert "the profile says so with `transformers`" in error.message
    assert "ipex-llm" not in error.message


def test_ipex_llm_is_not_blamed_for_what_the_profile_excludes() -> None:
    """It runs 4.45, and the profile wants 4.37 only: nothing would fail inside the forward pass."""
    error = refusal(replace(ARC, transformers="==4.37.0"), answer({"transformers": "4.45.0"}))
    assert "the profile says so with `transformers`" in error.message
    assert "patches" not in error.message
    assert "patches" in refusal(ARC, answer({"transformers": "4.46.0"})).message


def test_all_problems_are_told_at_once_and_each_once() -> None:
    """Two mistakes on two platforms are two sentences."""
    bad = with_pip("ipex-llm[xpu]==2.2.0", "intel-extension-for-pytorch==2.8.0")
    both = replace(bad, platforms=(bad.platforms[0], replace(bad.platforms[0], name="win-64")))
    assert refusal(both).code == "resolve.ipex_beside_ipex_llm"
    error = refusal(ARC, answer({IPEX: "2.8.0", "torch": "2.13.0+cpu"}))
    assert isinstance(error, ErrorList)
    assert {each.code for each in error.errors} == {"resolve.ipex_beside_ipex_llm", "resolve.torch_variant"}


def test_a_validation_asset_is_no_part_of_the_environment() -> None:
    """Weights in a wheel that names torch's kin do not count as installed."""
    resolution = answer()
    asset = replace(resolution.platforms[0].pip[0], name="triton", version="3.0", validation=True)
    platform = replace(resolution.platforms[0], pip=(*resolution.platforms[0].pip, asset))
    check_resolution(ARC, replace(resolution, platforms=(platform,)))
