"""What is wrong with the packages around torch, whoever lists them: a solver, a lockfile or an environment.

``find_torch_problems`` takes normalised distribution names with their versions and the profile's torch
variant. Locking calls it with a solution, validation and doctor call it with what is installed; each adds its
own remedy. Every rule stands for a failure that users met at run time. Facts: ipex-llm 2.2.0's metadata and
its documentation for Intel GPUs.
"""

from collections.abc import Iterator, Mapping

from provisioner.errors import Problem
from provisioner.profile.model import TorchVariant

IPEX = "intel-extension-for-pytorch"
IPEX_LLM = "ipex-llm"
TORCH_KIN = ("torch", "torchvision", "torchaudio")
# torch comes from pip, in one variant; conda's builds of it would be imported instead, or crash it.
CONDA_TORCH = frozenset(
    {"ipex", "libtorch", "pytorch", "pytorch-cpu", "pytorch-gpu", "torchaudio", "torchvision"}
)

_CUDA = ("triton", "cuda-bindings", "cuda-toolkit")
_TRITON_XPU = ("triton-xpu", "pytorch-triton-xpu")
# Release of torch to the IPEX that ipex-llm pins for it; with other releases it works without.
_IPEX_OF_TORCH = {"2.1": "2.1.10+xpu", "2.3": "2.3.110+xpu"}
# Native parts of ipex-llm to the release of torch that they are built for.
_TORCH_OF_CORE = {"bigdl-core-xe-21": "2.1", "bigdl-core-xe-23": "2.3", "bigdl-core-xe-all": "2.6"}
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


def find_torch_problems(packages: Mapping[str, str], variant: TorchVariant) -> Iterator[Problem]:
    """Yield what keeps these packages from running models on the variant's device.

    Codes: ``no_torch``, ``torch_variant``, ``kin_variant`` (torchvision, torchaudio),
    ``ipex_beside_ipex_llm``, ``ipex_without_ipex_llm``, ``other_core``, ``mixed_runtimes``.
    Messages are clauses such as "`torch 2.13.0` is not of torch variant `xpu`", without hints.
    """
    if "torch" not in packages and variant is not TorchVariant.NONE:
        yield Problem(code="no_torch", message="torch is missing")
    for name, version in sorted(packages.items()):
        if not _is_of_variant(name, version, variant):
            message = f"`{name} {version}` is not of torch variant `{variant}`"
            is_kin = name in TORCH_KIN and name != "torch"
            yield Problem(code="kin_variant" if is_kin else "torch_variant", message=message)
    yield from _find_other_ipex(packages, variant)
    yield from _find_other_cores(packages)
    yield from _find_mixed_runtimes(packages)


def has_variant(version: str, variant: TorchVariant) -> bool:
    """Tell whether a version of torch or its kin is a build of the variant; one without a tag is of none."""
    return version.partition("+")[2] == variant.local_version  # of variant `none` there is no version


def _is_of_variant(name: str, version: str, variant: TorchVariant) -> bool:
    if name in TORCH_KIN:
        return has_variant(version, variant)
    if name in _TRITON_XPU:
        return variant is TorchVariant.XPU
    return name not in _CUDA and not name.startswith("nvidia-")


def _find_other_ipex(packages: Mapping[str, str], variant: TorchVariant) -> Iterator[Problem]:
    """IPEX takes over operators of torch: one of another build has no kernels for them."""
    ipex = packages.get(IPEX)
    if ipex is None:
        return
    release = release_of(packages.get("torch", ""))
    wanted = _IPEX_OF_TORCH.get(release) if IPEX_LLM in packages else None
    if variant is not TorchVariant.IPEX:
        wanted, fits = "none", False
    elif wanted:
        fits = ipex == wanted
    else:
        wanted, fits = f"{release}.*+xpu", release_of(ipex) == release and ipex.endswith("+xpu")
    if not fits:
        message = f"there is IPEX {ipex}, and the stack of torch variant `{variant}` needs {wanted}"
        beside = "ipex_beside_ipex_llm" if IPEX_LLM in packages else "ipex_without_ipex_llm"
        yield Problem(code=beside, message=message)


def _find_other_cores(packages: Mapping[str, str]) -> Iterator[Problem]:
    torch = packages.get("torch")
    for name, release in _TORCH_OF_CORE.items():
        if name in packages and torch and release_of(torch) != release:
            message = f"`{name}` is built for torch {release}, and torch is {torch}"
            yield Problem(code="other_core", message=message)


def _find_mixed_runtimes(packages: Mapping[str, str]) -> Iterator[Problem]:
    years: dict[str, list[str]] = {}
    for name in _RUNTIMES:
        if name in packages:
            years.setdefault(packages[name].partition(".")[0], []).append(f"{name} {packages[name]}")
    if len(years) > 1:
        listing = "; ".join(f"{year}: {', '.join(names)}" for year, names in sorted(years.items()))
        message = f"oneAPI runtimes of {len(years)} releases are mixed ({listing})"
        yield Problem(code="mixed_runtimes", message=message)


def release_of(version: str) -> str:
    """Return ``major.minor`` of a version."""
    return ".".join(version.partition("+")[0].split(".")[:2])
