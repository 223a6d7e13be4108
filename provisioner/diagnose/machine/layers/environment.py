"""The built environment: its packages, what torch says, and whether a kernel runs."""

from collections.abc import Iterator, Mapping

from provisioner.diagnose.machine.facts import EnvironmentFacts, HostFacts, TorchFacts
from provisioner.diagnose.machine.layers.model import (
    LayerResult,
    WantedHost,
    failed,
    not_asked,
    not_needed,
    passed,
    unknown,
)
from provisioner.validate.checks.finding import REBUILD_HINT

IPEX = "intel-extension-for-pytorch"

# Which torch the native parts of ipex-llm are built for: METADATA of ipex-llm 2.2.0.
_CORE_TORCH = {"bigdl-core-xe-21": "2.1", "bigdl-core-xe-23": "2.3", "bigdl-core-xe-all": "2.6"}
# Packages that carry oneAPI's runtime; their major version is its year.
_RUNTIME = (
    "intel-sycl-rt",
    "intel-cmplr-lib-rt",
    "dpcpp-cpp-rt",
    "mkl-dpcpp",
    "onemkl-sycl-blas",
)

_VALIDATE_HINT = "run `provision validate` to start torch now"
_EXPLAIN_HINT = "run `provision explain` for the cause, and `provision validate` when it is mended"


def check_environment(facts: HostFacts, wanted: WantedHost) -> LayerResult:
    """Judge the environment's files: Python, torch's build, Intel's packages, differences to the lock."""
    environment = facts.environment
    if environment is None:
        return _explain_absence(wanted)
    problems = list(_find_problems(environment, wanted))
    if problems:
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        return failed(problems[0] + more, REBUILD_HINT)
    parts = {
        "packages": environment.distributions,
        "interpreter and torch's files": environment.damage,
        "differences to the lock": environment.locked,
        "missing libraries": environment.missing_libraries,
    }
    packages = environment.distributions or {}
    torch = f", torch {packages['torch']}" if "torch" in packages else ""
    summary = f"Python {environment.python or '?'}, {len(packages)} packages{torch}"
    unread = [name for name, value in parts.items() if value is None]
    if unread:
        return unknown(f"{summary}; not looked at: {', '.join(unread)}")
    return passed(summary)


def check_torch(facts: HostFacts, wanted: WantedHost) -> LayerResult:
    """Tell what the last validation saw of torch: whether it imports and lists the device."""
    said = facts.torch
    if said is None:
        return _explain_absence(wanted)
    version = f"torch {said.version or 'of unknown version'}"
    if wanted.uses_gpu and said.devices:
        did = f"saw {version} list {said.devices[0]}"
        return not_asked(f"doctor does not start torch; {_name_validation(said)} {did}")
    if not wanted.uses_gpu and said.version and said.unasked is None:
        return not_asked(f"doctor does not start torch; {_name_validation(said)} imported {version}")
    if said.error is None and said.devices is None:
        return _explain_silence(said)
    did = f"{version} listed no XPU device" if wanted.uses_gpu else "torch did not import"
    return _explain_failure(said, did)


def check_kernel(facts: HostFacts, wanted: WantedHost) -> LayerResult:
    """Tell whether a small matrix product came back right from the device at the last validation."""
    said = facts.torch
    if said is None:
        return _explain_absence(wanted)
    if said.kernel_ran is None:
        return _explain_silence(said)
    if said.kernel_ran:
        did = f"got a right matrix product from the {wanted.device}"
        return not_asked(f"doctor starts no kernel; {_name_validation(said)} {did}", _VALIDATE_HINT)
    return _explain_failure(said, "a matrix product failed")


def _explain_absence(wanted: WantedHost) -> LayerResult:
    if wanted.built:
        return unknown("this environment has not been validated yet", _VALIDATE_HINT)
    return not_needed("no environment was named")


def _name_validation(said: TorchFacts) -> str:
    return f"the validation of {said.asked_at[:10]}" if said.asked_at else "the last validation"


def _explain_silence(said: TorchFacts) -> LayerResult:
    return unknown(f"{_name_validation(said)} {said.unasked or 'did not come so far'}", _VALIDATE_HINT)


def _explain_failure(said: TorchFacts, did: str) -> LayerResult:
    error = f": {said.error}" if said.error else ""
    return failed(f"at {_name_validation(said)} {did}{error}", _EXPLAIN_HINT)


def _find_problems(environment: EnvironmentFacts, wanted: WantedHost) -> Iterator[str]:
    yield from environment.damage or ()
    if environment.distributions is None:
        return
    installed = environment.distributions
    yield from _find_other_build(environment, installed, wanted)
    yield from _find_foreign_ipex(installed)
    yield from _find_foreign_cores(installed)
    yield from _find_mixed_runtimes(installed)
    yield from (f"the library `{library}` is missing" for library in environment.missing_libraries or ())
    for name, version in sorted((environment.locked or {}).items()):
        if installed.get(name) != version:
            found = installed.get(name, "is missing")
            yield f"changed since it was built: {name} {found} (locked {version})"


def variant_of(version: str) -> str:
    """Return a torch's build: ``cpu``, ``cuda``, ``xpu``, ``ipex``, ``rocm`` or ``untagged``."""
    local = version.partition("+")[2]
    for prefix, name in (
        ("cxx11.abi", "ipex"),
        ("xpu", "xpu"),
        ("cpu", "cpu"),
        ("cu", "cuda"),
        ("rocm", "rocm"),
    ):
        if local.startswith(prefix):
            return name
    return "untagged"


def _find_other_build(
    environment: EnvironmentFacts, installed: Mapping[str, str], wanted: WantedHost
) -> Iterator[str]:
    if wanted.torch is None:
        return
    if "torch" not in installed:
        yield "torch is not installed"
    said, recorded = environment.torch_version, installed.get("torch")
    if said and recorded and said not in {recorded, f"{recorded}+{said.partition('+')[2]}"}:
        yield f"torch's files are those of {said}, its package record is that of {recorded}"
    cuda = any(name.startswith("nvidia-c") or name == "cuda-toolkit" for name in installed)
    for name in ("torch", "torchvision", "torchaudio"):
        if name not in installed:
            continue
        version = said if name == "torch" and said else installed[name]
        variant = variant_of(version)
        if variant == "untagged" and wanted.torch == "cpu" and not cuda:
            continue  # the default index's wheel for Windows is the CPU build and carries no tag
        if variant != wanted.torch:
            yield (
                f"{name} {version} is the `{variant}` build, `{wanted.torch}` is wanted: "
                "another install replaced it"
            )


def _find_foreign_ipex(installed: Mapping[str, str]) -> Iterator[str]:
    ipex, torch = installed.get(IPEX), installed.get("torch")
    if ipex is None or torch is None:
        return
    if _minor(ipex) != _minor(torch):
        yield f"IPEX {ipex} is built for torch {_minor(ipex)}, torch {torch} is installed"
    if variant_of(torch) in {"xpu", "ipex"} and "xpu" not in ipex.partition("+")[2]:
        yield f"IPEX {ipex} is the CPU build beside torch {torch}"


def _find_foreign_cores(installed: Mapping[str, str]) -> Iterator[str]:
    torch = installed.get("torch")
    cores = [name for name in _CORE_TORCH if name in installed]
    for name in cores:
        if torch is not None and _minor(torch) != _CORE_TORCH[name]:
            yield f"{name} is built for torch {_CORE_TORCH[name]}, torch {torch} is installed"
    if cores == ["bigdl-core-xe-all"] and IPEX in installed:
        yield f"IPEX {installed[IPEX]} is installed beside ipex-llm[xpu-2-6], which works without it"


def _find_mixed_runtimes(installed: Mapping[str, str]) -> Iterator[str]:
    years = {name: installed[name].partition(".")[0] for name in _RUNTIME if name in installed}
    if len(set(years.values())) > 1:
        names = ", ".join(f"{name} {installed[name]}" for name in years)
        yield f"oneAPI runtimes of several years: {names}"


def _minor(version: str) -> str:
    return ".".join(version.partition("+")[0].split(".")[:2])
