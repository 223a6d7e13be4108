"""The built environment: its packages, what torch says, and whether a kernel runs."""

from collections.abc import Iterator, Mapping

from provisioner.diagnose.machine.facts import EnvironmentFacts, HostFacts
from provisioner.diagnose.machine.layers.model import (
    LayerResult,
    WantedHost,
    failed,
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

_Problem = tuple[str, str]


def check_environment(facts: HostFacts, wanted: WantedHost) -> LayerResult:
    """Judge what is installed against the profile, the lock and the rules of Intel's packages."""
    if facts.environment is None or facts.environment.distributions is None:
        return _absent(wanted)
    environment = facts.environment
    problems = list(_find_problems(environment, wanted))
    if problems:
        evidence, hint = problems[0]
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        return failed(evidence + more, hint)
    open_points = [
        name
        for name, value in (
            ("differences to the lock", environment.locked),
            ("missing libraries", environment.missing_libraries),
        )
        if value is None
    ]
    distributions = environment.distributions or {}
    torch = distributions.get("torch")
    summary = f"{len(distributions)} packages" + (f", torch {torch}" if torch else "")
    if open_points:
        return unknown(f"{summary}; not looked at: {', '.join(open_points)}")
    return passed(summary)


def check_torch(  # noqa: PLR0911 # one return per cause
    facts: HostFacts, wanted: WantedHost
) -> LayerResult:
    """Judge whether torch imports and lists the device."""
    if facts.torch is None:
        return _absent(wanted)
    said = facts.torch
    if wanted.uses_gpu:
        if said.devices:
            return passed(f"torch {said.version or '?'} lists {said.devices[0]}")
        if said.devices is None and said.error is None:
            return unknown(said.unasked or "torch was not asked for its devices")
        return failed(
            f"torch {said.version or '?'} lists no XPU device" + (f": {said.error}" if said.error else ""),
            "repair the first layer above that fails",
        )
    if said.unasked and not said.devices:
        return unknown(said.unasked)
    if said.version:
        return passed(f"torch {said.version} imports")
    if said.error:
        return failed(f"torch does not import: {said.error}", "run `provision explain` on the message")
    return unknown("torch was not asked")


def check_kernel(facts: HostFacts, wanted: WantedHost) -> LayerResult:
    """Judge whether a small matrix product came back right from the device."""
    if facts.torch is None:
        return _absent(wanted)
    if facts.torch.kernel_ran is None:
        return unknown(facts.torch.unasked or "no kernel was started")
    if facts.torch.kernel_ran:
        return passed(f"a matrix product came back right from the {wanted.device}")
    error = facts.torch.error or "the result was wrong"
    return failed(f"a matrix product failed: {error}", "run `provision explain` on the message")


def _absent(wanted: WantedHost) -> LayerResult:
    return (
        unknown("the environment was not looked at")
        if wanted.built
        else not_needed("no environment was named")
    )


def _find_problems(environment: EnvironmentFacts, wanted: WantedHost) -> Iterator[_Problem]:
    installed = environment.distributions or {}
    yield from _check_variant(installed, wanted)
    yield from _check_ipex(installed)
    yield from _check_cores(installed)
    yield from _check_runtimes(installed)
    for library in environment.missing_libraries or ():
        yield f"`{library}` is missing", REBUILD_HINT
    for name, version in sorted((environment.locked or {}).items()):
        if installed.get(name) != version:
            found = installed.get(name, "is missing")
            yield f"changed since it was built: {name} {found} (locked {version})", REBUILD_HINT


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


def _check_variant(installed: Mapping[str, str], wanted: WantedHost) -> Iterator[_Problem]:
    if wanted.torch is None:
        return
    if "torch" not in installed:
        yield "torch is not installed", REBUILD_HINT
    cuda = any(name.startswith("nvidia-c") or name == "cuda-toolkit" for name in installed)
    for name in ("torch", "torchvision", "torchaudio"):
        if name not in installed:
            continue
        variant = variant_of(installed[name])
        if variant == "untagged" and wanted.torch == "cpu" and not cuda:
            continue  # the default index's wheel for Windows is the CPU build and carries no tag
        if variant != wanted.torch:
            yield (
                f"{name} {installed[name]} is the `{variant}` build; `{wanted.torch}` is wanted",
                f"{REBUILD_HINT}: another install replaced it",
            )


def _check_ipex(installed: Mapping[str, str]) -> Iterator[_Problem]:
    ipex, torch = installed.get(IPEX), installed.get("torch")
    if ipex is None or torch is None:
        return
    if _minor(ipex) != _minor(torch):
        yield (
            f"IPEX {ipex} is built for torch {_minor(ipex)}, torch {torch} is installed",
            f"{REBUILD_HINT}, without the separate IPEX",
        )
    if variant_of(torch) in {"xpu", "ipex"} and "xpu" not in ipex.partition("+")[2]:
        yield (
            f"IPEX {ipex} is the CPU build beside torch {torch}",
            f"{REBUILD_HINT}, without the separate IPEX",
        )


def _check_cores(installed: Mapping[str, str]) -> Iterator[_Problem]:
    torch = installed.get("torch")
    cores = [name for name in _CORE_TORCH if name in installed]
    for name in cores:
        if torch is not None and _minor(torch) != _CORE_TORCH[name]:
            yield (
                f"{name} is built for torch {_CORE_TORCH[name]}, torch {torch} is installed",
                REBUILD_HINT,
            )
    if cores == ["bigdl-core-xe-all"] and IPEX in installed:
        yield (
            f"IPEX {installed[IPEX]} stands beside ipex-llm[xpu-2-6], which works without it",
            f"{REBUILD_HINT}, without the separate IPEX",
        )


def _check_runtimes(installed: Mapping[str, str]) -> Iterator[_Problem]:
    years = {name: installed[name].partition(".")[0] for name in _RUNTIME if name in installed}
    if len(set(years.values())) > 1:
        names = ", ".join(f"{name} {installed[name]}" for name in years)
        yield f"oneAPI runtimes of several years: {names}", REBUILD_HINT


def _minor(version: str) -> str:
    return ".".join(version.partition("+")[0].split(".")[:2])
