"""Rules that no resolution may break, whatever the solvers say.

Each rule stands for a failure that users met at run time; the sentences name it. Facts: ipex-llm 2.2.0's
metadata and its documentation for Intel GPUs.
"""

from collections.abc import Iterable

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from provisioner.errors import ErrorList, ResolveError
from provisioner.profile.model import Family, Platform, Profile, TorchVariant
from provisioner.profile.rules import conda_name
from provisioner.resolve.model import PipPackage, PlatformResolution, Resolution

SEED = "Could not run 'torch_ipex::mul_add' with arguments from the 'CPU' backend"

_IPEX = "intel-extension-for-pytorch"
_IPEX_LLM = "ipex-llm"
# Extra of ipex-llm 2.2.0 to the IPEX version that it pins; None where its stack has no IPEX.
_IPEX_OF_EXTRA: dict[str, str | None] = {
    "": None,
    "all": None,
    "xpu": "2.1.10",
    "xpu-2-1": "2.1.10",
    "xpu-arc": "2.3.110",
    "xpu-lnl": "2.3.110",
    "xpu-arl": "2.3.110",
    "xpu-2-6": None,
    "xpu-2-6-arl": None,
}
# What ipex-llm 2.2.0 patches per family, as its examples pin it; a profile narrows this with `transformers`.
_TRANSFORMERS_OF_FAMILY = {
    Family.LLAMA3: SpecifierSet(">=4.37.0,<4.46"),
    Family.CHATGLM2: SpecifierSet(">=4.37.0,<4.45"),
}
_TORCH_KIN = ("torch", "torchvision", "torchaudio")
# Packages of one oneAPI release carry its year as their major version; two years in one process crash it.
_RUNTIMES = (
    "dpcpp-cpp-rt",
    "intel-cmplr-lib-rt",
    "intel-cmplr-lib-ur",
    "intel-cmplr-lic-rt",
    "intel-opencl-rt",
    "intel-openmp",
    "intel-sycl-rt",
    "mkl",
    "mkl-dpcpp",
    "onednn",
    "onednn-devel",
    "onemkl-sycl-blas",
    "onemkl-sycl-dft",
    "onemkl-sycl-lapack",
    "onemkl-sycl-rng",
    "onemkl-sycl-sparse",
)
_CUDA = ("triton", "cuda-bindings", "cuda-toolkit")
_CONDA_TORCH = ("pytorch", "pytorch-cpu", "pytorch-gpu", "libtorch", "torchvision", "ipex")


def check_profile(profile: Profile) -> None:
    """Refuse what is wrong before anything is asked of an index.

    Raises:
        ResolveError: One problem; ``ErrorList`` where there are several.
    """
    problems = [
        problem
        for platform in profile.platforms
        for problem in (
            *_find_foreign_ipex(profile, platform),
            *_find_foreign_torch_request(profile, platform),
            *_find_conda_torch(profile, platform),
        )
    ]
    _raise_all(problems)


def check_resolution(profile: Profile, resolution: Resolution) -> None:
    """Refuse an answer that would install and not run.

    Raises:
        ResolveError: One problem; ``ErrorList`` where there are several.
    """
    wanted = {platform.name: platform for platform in profile.platforms}
    problems = [
        problem
        for answer in resolution.platforms
        for problem in (
            *_find_locked_conda_torch(profile, answer),
            *_find_other_variant(profile, answer),
            *_find_ipex_mixture(profile, wanted[answer.platform], answer),
            *_find_mixed_runtimes(profile, answer),
            *_find_other_transformers(profile, answer),
        )
    ]
    _raise_all(problems)


def _raise_all(problems: list[ResolveError]) -> None:
    # The same mistake usually stands on both platforms; it is told once.
    unique = list({problem.message: problem for problem in problems}.values())
    if len(unique) == 1:
        raise unique[0]
    if unique:
        raise ErrorList(unique)


def _requirements(platform: Platform) -> Iterable[Requirement]:
    for text in (*platform.pip, *(decision.requirement for decision in platform.overrides)):
        yield Requirement(text)


def _pinned_ipex(platform: Platform) -> tuple[str, str | None] | None:
    """Return ipex-llm's requirement text and the IPEX version it pins; None without ipex-llm."""
    for requirement in _requirements(platform):
        if canonicalize_name(requirement.name) == _IPEX_LLM:
            extras = {str(canonicalize_name(extra)) for extra in requirement.extras} or {""}
            pins = [_IPEX_OF_EXTRA.get(extra) for extra in sorted(extras)]
            return str(requirement), next((pin for pin in pins if pin), None)
    return None


def _find_foreign_ipex(profile: Profile, platform: Platform) -> Iterable[ResolveError]:
    ipex_llm = _pinned_ipex(platform)
    for requirement in _requirements(platform):
        if canonicalize_name(requirement.name) != _IPEX:
            continue
        if ipex_llm is None or ipex_llm[1] is None:
            stack = f"`{ipex_llm[0]}`" if ipex_llm else f"torch variant `{profile.torch}`"
            yield _ipex_error(
                profile,
                f"`{requirement}` stands beside {stack}, a stack without IPEX",
                "drop the IPEX requirement from the profile",
            )
        elif not requirement.specifier.contains(f"{ipex_llm[1]}+xpu", prereleases=True):
            yield _ipex_error(
                profile,
                f"`{requirement}` stands beside `{ipex_llm[0]}`, which brings its own IPEX {ipex_llm[1]}+xpu",
                "drop the separate IPEX requirement: ipex-llm installs the one that it was built with",
            )


def _find_ipex_mixture(
    profile: Profile, platform: Platform, answer: PlatformResolution
) -> Iterable[ResolveError]:
    ipex = _find(answer.pip, _IPEX)
    ipex_llm = _pinned_ipex(platform)
    pin = ipex_llm[1] if ipex_llm else None
    if ipex and (pin is None or ipex.version != f"{pin}+xpu"):
        wanted = f"IPEX {pin}+xpu" if pin else "no IPEX"
        yield _ipex_error(
            profile,
            f"the solution for `{answer.platform}` holds IPEX {ipex.version} where the stack needs {wanted}",
            "route `intel-extension-for-pytorch` to Intel's index and let ipex-llm choose its version",
        )


def _ipex_error(profile: Profile, why: str, hint: str) -> ResolveError:
    return ResolveError(
        "resolve.ipex_beside_ipex_llm",
        f"profile `{profile.name}`: {why}; IPEX beside an ipex-llm that was built with another one ends in "
        f"`{SEED}`",
        hints=[hint],
        context={"profile": profile.name},
    )


def _find_foreign_torch_request(profile: Profile, platform: Platform) -> Iterable[ResolveError]:
    for requirement in _requirements(platform):
        if canonicalize_name(requirement.name) not in _TORCH_KIN:
            continue
        for specifier in requirement.specifier:
            local = _local(specifier.version)
            if local and local != profile.torch.local_version:
                yield _variant_error(profile, f"`{requirement}`")


def _find_conda_torch(profile: Profile, platform: Platform) -> Iterable[ResolveError]:
    for spec in platform.conda:
        name = conda_name(spec)
        if name in _CONDA_TORCH:
            yield _conda_torch_error(profile, name)


def _find_locked_conda_torch(profile: Profile, answer: PlatformResolution) -> Iterable[ResolveError]:
    for package in answer.conda:
        if package.name in _CONDA_TORCH:
            yield _conda_torch_error(profile, package.name)


def _conda_torch_error(profile: Profile, name: str) -> ResolveError:
    return ResolveError(
        "resolve.conda_torch",
        f"profile `{profile.name}`: conda package `{name}` would stand beside the wheel of torch",
        hints=["take torch from pip only: there is no XPU build of it on conda-forge"],
        context={"package": name},
    )


def _find_other_variant(profile: Profile, answer: PlatformResolution) -> Iterable[ResolveError]:
    installed = [package for package in answer.pip if not package.validation]
    if not _find(answer.pip, "torch"):
        yield ResolveError(
            "resolve.no_torch",
            f"profile `{profile.name}`: the solution for `{answer.platform}` holds no torch",
            hints=["name torch in the profile, with the variant's local version"],
        )
    for package in installed:
        if package.name in _TORCH_KIN and _local(package.version) != profile.torch.local_version:
            yield _variant_error(profile, f"`{package.name} {package.version}` on `{answer.platform}`")
        if package.name in _CUDA or package.name.startswith("nvidia-"):
            yield _variant_error(profile, f"CUDA's `{package.name} {package.version}` on `{answer.platform}`")
        if package.name in ("triton-xpu", "pytorch-triton-xpu") and profile.torch is not TorchVariant.XPU:
            yield _variant_error(profile, f"`{package.name} {package.version}` on `{answer.platform}`")


def _variant_error(profile: Profile, what: str) -> ResolveError:
    return ResolveError(
        "resolve.torch_variant",
        f"profile `{profile.name}` is for torch variant `{profile.torch}`, and {what} is of another: a torch "
        "that was replaced by another build is why models run on the CPU or die in "
        f"`{SEED}`",
        hints=[
            f"pin torch to a `+{profile.torch.local_version}` version and route it to the index that has it"
        ],
        context={"profile": profile.name, "variant": str(profile.torch)},
    )


def _find_mixed_runtimes(profile: Profile, answer: PlatformResolution) -> Iterable[ResolveError]:
    years: dict[int, list[str]] = {}
    for package in answer.pip:
        if package.name in _RUNTIMES and not package.validation:
            years.setdefault(Version(package.version).major, []).append(f"{package.name} {package.version}")
    if len(years) > 1:
        listing = "; ".join(f"{year}: {', '.join(names)}" for year, names in sorted(years.items()))
        yield ResolveError(
            "resolve.mixed_runtimes",
            f"profile `{profile.name}`: the solution for `{answer.platform}` mixes oneAPI runtimes of "
            f"{len(years)} generations ({listing}); two SYCL runtimes in one process crash it",
            hints=["pin the runtime packages to the release that torch was built with"],
            context={"platform": answer.platform},
        )


def _find_other_transformers(profile: Profile, answer: PlatformResolution) -> Iterable[ResolveError]:
    transformers = _find(answer.pip, "transformers")
    if transformers is None:
        return
    allowed = SpecifierSet(profile.transformers or "")
    if profile.validation.backend == "ipex-llm":
        allowed &= _TRANSFORMERS_OF_FAMILY[profile.family]
    if not allowed.contains(transformers.version, prereleases=True):
        yield ResolveError(
            "resolve.transformers",
            f"profile `{profile.name}`: transformers {transformers.version} on `{answer.platform}` does not "
            f"fit family `{profile.family}`, which needs `{allowed}`: ipex-llm patches the model's classes "
            "by their names and attributes, and other versions fail inside the forward pass",
            hints=[f"pin a transformers of `{allowed}`"],
        )


def _find(packages: Iterable[PipPackage], name: str) -> PipPackage | None:
    return next((package for package in packages if package.name == name and not package.validation), None)


def _local(version: str) -> str | None:
    try:
        return Version(version.removesuffix(".*")).local
    except InvalidVersion:
        return None
