"""The user-space driver, the inherited environment, the disk and the network."""

from provisioner.diagnose.machine.facts import HostFacts, Library
from provisioner.diagnose.machine.layers.hardware import CPU_ONLY, NO_GPU, find_intel, find_usable
from provisioner.diagnose.machine.layers.model import (
    LayerResult,
    WantedHost,
    failed,
    not_needed,
    passed,
    unknown,
)

_LINUX_PACKAGES = "`libze1 libze-intel-gpu1 intel-opencl-icd`"
# Windows refuses paths of 260 characters; the longest that a torch 2.13 wheel unpacks below an environment
# has 190 (171 in the wheel, and `Lib\site-packages\`).
_WINDOWS_PATH_LIMIT = 259
_LONGEST_INSIDE = 190
# conda replaces a 255 character placeholder by the prefix.
_CONDA_PREFIX_LIMIT = 254


def check_user_driver(  # noqa: PLR0911 # one return per cause
    facts: HostFacts, wanted: WantedHost
) -> LayerResult:
    """Judge Level Zero and OpenCL: the libraries through which the stack reaches the GPU."""
    if not wanted.uses_gpu:
        return not_needed(CPU_ONLY)
    if facts.os == "windows":
        return _check_windows_user_driver(facts, wanted)
    if facts.displays is not None and not facts.wsl and not find_intel(facts):
        return not_needed(NO_GPU)
    if facts.libraries is None:
        return unknown("the system's library folders could not be read")
    kinds = {library.kind: library for library in facts.libraries}
    if wanted.uses_opencl:
        return _check_opencl_alone(facts, kinds)
    missing = [
        name
        for kind, name in (
            ("loader", "the Level Zero loader (`libze_loader.so.1`)"),
            ("gpu-driver", "Intel's Level Zero driver (`libze_intel_gpu.so.1`)"),
        )
        if kind not in kinds
    ]
    if missing:
        return failed(
            f"not installed: {' and '.join(missing)}",
            f"install Intel's GPU packages: {_LINUX_PACKAGES} on Debian and Ubuntu",
        )
    driver = kinds["gpu-driver"].version
    evidence = ", ".join(
        f"{name} {version or 'of unknown version'}"
        for name, version in (("Level Zero loader", kinds["loader"].version), ("driver", driver))
    )
    return _check_opencl(facts, kinds) or passed(evidence)


def check_variables(facts: HostFacts, wanted: WantedHost) -> LayerResult:
    """Judge the inherited environment: what another tool's set-up would do to this stack."""
    variables = {**facts.variables, **wanted.variables}
    for name in ("PYTHONHOME", "PYTHONPATH"):
        if name in variables:
            return failed(
                f"`{name}={variables[name]}` puts other packages before the environment's", f"unset `{name}`"
            )
    problem = None
    if wanted.uses_gpu and not wanted.uses_opencl:
        problem = _check_oneapi(variables, wanted) or _check_selection(facts, wanted, variables)
    return problem or passed("no environment variable that would disturb the stack")


def check_disk(facts: HostFacts, wanted: WantedHost) -> LayerResult:
    """Judge free space and the length of paths."""
    length = facts.target_length or 0
    if facts.os == "windows" and length + _LONGEST_INSIDE > _WINDOWS_PATH_LIMIT and not facts.long_paths:
        setting = "off" if facts.long_paths is False else "not known to be on"
        return failed(
            f"the environment's folder has {length} characters and Windows' long paths are {setting}",
            "set `LongPathsEnabled` to 1 (an administrator: `New-ItemProperty -Path "
            "HKLM:\\SYSTEM\\CurrentControlSet\\Control\\FileSystem -Name LongPathsEnabled -Value 1 "
            "-PropertyType DWORD -Force`), or choose a shorter folder with `--data-dir`",
        )
    if facts.os != "windows" and length > _CONDA_PREFIX_LIMIT:
        return failed(
            f"the environment's folder has {length} characters; conda allows {_CONDA_PREFIX_LIMIT}",
            "choose a shorter folder with `--data-dir`",
        )
    place = facts.target or "?"
    if facts.disk_free_bytes is None:
        return unknown(f"the free space at `{place}` could not be read")
    space = f"{_gib(facts.disk_free_bytes)} GiB free at `{place}`"
    if wanted.built:
        return passed(f"{space}, and the environment is built")
    space = f"{space}, {_gib(wanted.install_bytes)} GiB needed"
    if facts.disk_free_bytes < wanted.install_bytes:
        return failed(
            space, "free some space (`provision clean`), or build on another disk with `--data-dir`"
        )
    return passed(space)


def check_indexes(facts: HostFacts, wanted: WantedHost) -> LayerResult:
    """Judge whether the indexes and channels of the profile answer."""
    if not wanted.indexes:
        return not_needed("nothing is to be downloaded")
    answers = {reach.name: reach for reach in facts.reach or ()}
    silent = [answers[name] for name in wanted.indexes if name in answers and answers[name].reached is False]
    proxy = " (through the proxy that the environment names)" if "HTTPS_PROXY" in facts.variables else ""
    if silent:
        names = ", ".join(f"`{reach.name}`: {reach.detail or 'no answer'}" for reach in silent)
        return failed(
            f"not reached{proxy}: {names}",
            "check the network; behind a firewall set `HTTPS_PROXY`, or name a mirror in `provision.yaml`, "
            "or, for what is locked, a folder of wheels with `--find-links`",
        )
    unasked = [name for name in wanted.indexes if name not in answers or answers[name].reached is None]
    if unasked:
        return unknown(f"not asked: {', '.join(f'`{name}`' for name in unasked)}")
    return passed(f"{', '.join(f'`{name}`' for name in wanted.indexes)} answered{proxy}")


def _gib(count: int) -> str:
    return f"{count / 1024**3:.1f}"


def _check_opencl(facts: HostFacts, kinds: dict[str, Library]) -> LayerResult | None:
    # oneDNN builds its kernels through OpenCL: without Intel's, `could not create an engine`.
    hiding = facts.variables.get("OCL_ICD_VENDORS")
    if hiding is not None:
        return failed(
            f"`OCL_ICD_VENDORS={hiding}` hides the system's OpenCL drivers", "unset `OCL_ICD_VENDORS`"
        )
    registered = any("intel" in vendor.lower() or "igdrcl" in vendor for vendor in facts.opencl_vendors or ())
    if registered or "opencl-driver" in kinds:
        return None
    if facts.opencl_vendors is None:
        return unknown("`/etc/OpenCL/vendors` could not be read")
    return failed(
        "Intel's OpenCL driver is not installed, through which kernels are built (oneDNN and OpenVINO)",
        "install `intel-opencl-icd`",
    )


def _check_opencl_alone(facts: HostFacts, kinds: dict[str, Library]) -> LayerResult:
    """OpenVINO's GPU plugin is linked to the loader, which no wheel brings."""
    if "opencl-loader" not in kinds:
        return failed(
            "not installed: the OpenCL loader (`libOpenCL.so.1`)",
            "install `ocl-icd-libopencl1 intel-opencl-icd` on Debian and Ubuntu",
        )
    problem = _check_opencl(facts, kinds)
    if problem is not None:
        return problem
    version = kinds["opencl-driver"].version if "opencl-driver" in kinds else None
    return passed(f"the OpenCL loader and Intel's OpenCL driver {version or 'of unknown version'}")


def _check_windows_user_driver(facts: HostFacts, wanted: WantedHost) -> LayerResult:
    intel = find_usable(facts) or find_intel(facts)
    if facts.displays is not None and not intel:
        return not_needed(NO_GPU)
    if facts.vc_runtime == "":
        return failed(
            "the Visual C++ runtime (`vcruntime140_1.dll`, `msvcp140.dll`) is not installed",
            "install it: `winget install Microsoft.VCRedist.2015+.x64`",
        )
    if facts.libraries is None or not intel or facts.vc_runtime is None:
        return unknown("the display driver, Level Zero or the Visual C++ runtime could not be read")
    if not wanted.uses_opencl and not any(library.kind == "loader" for library in facts.libraries):
        return failed(
            "the Level Zero loader (`ze_loader.dll`) is not in System32",
            "install the current Intel Arc graphics driver: it brings Level Zero",
        )
    version = intel[0][0].driver_version
    return passed(f"display driver {version or 'of unknown version'}")


def _check_oneapi(variables: dict[str, str], wanted: WantedHost) -> LayerResult | None:
    if wanted.system_oneapi:
        return None
    paths = variables.get("LD_LIBRARY_PATH", "")
    if "oneapi" not in paths.lower() and "SETVARS_COMPLETED" not in variables:
        return None
    cause = (
        "`LD_LIBRARY_PATH` names oneAPI folders"
        if "oneapi" in paths.lower()
        else "oneAPI's `setvars` was sourced"
    )
    return failed(
        f"{cause}: oneAPI's libraries are loaded in place of the environment's own",
        "open a new shell without oneAPI's `setvars`",
    )


def _check_selection(facts: HostFacts, wanted: WantedHost, variables: dict[str, str]) -> LayerResult | None:
    for name in ("ONEAPI_DEVICE_SELECTOR", "SYCL_DEVICE_FILTER"):
        if name in variables and not _selects_level_zero_gpu(variables[name]):
            return failed(f"`{name}={variables[name]}` hides every Level Zero GPU", f"unset `{name}`")
    mask = variables.get("ZE_AFFINITY_MASK", "")
    intel = find_intel(facts)
    devices = [part.split(".")[0] for part in mask.split(",") if part]
    if intel and devices and all(part.isdecimal() and int(part[:6]) >= len(intel) for part in devices):
        return failed(
            f"`ZE_AFFINITY_MASK={mask}` names no GPU of this machine ({len(intel)} found)",
            "unset `ZE_AFFINITY_MASK`",
        )
    cards = [gpu for _, gpu in find_usable(facts) if gpu.architecture.discrete]
    integrated = [gpu for _, gpu in intel if gpu and not gpu.architecture.discrete]
    chosen = {"ONEAPI_DEVICE_SELECTOR", "SYCL_DEVICE_FILTER", "ZE_AFFINITY_MASK"} & variables.keys()
    if cards and integrated and not chosen and not wanted.hides_integrated:
        return failed(
            f"{cards[0].product} and {integrated[0].product} are both visible, and nothing chooses the card",
            "set `ONEAPI_DEVICE_SELECTOR=level_zero:0`, or disable the integrated GPU in the firmware setup",
        )
    return None


def _selects_level_zero_gpu(selector: str) -> bool:
    """Tell whether a selector leaves a Level Zero GPU.

    Syntax: ``backend:device,device;...``; a term with ``!`` in front takes away.
    Source: intel/llvm, sycl/doc/EnvironmentVariables.md.
    """
    accepted = False
    terms = [term.strip().lower() for term in selector.split(";") if term.strip()]
    for term in terms:
        backend, _, devices = term.removeprefix("!").partition(":")
        right = backend in {"*", "level_zero", "ext_oneapi_level_zero", "gpu"} and (
            backend == "gpu" or any(_is_gpu(device) for device in devices.split(",")) or not devices
        )
        if term.startswith("!"):
            if right and devices in {"*", "gpu"}:
                return False
            accepted = accepted or len(terms) == 1
        else:
            accepted = accepted or right
    return accepted


def _is_gpu(device: str) -> bool:
    return device == "*" or device.startswith("gpu") or device[:1].isdecimal()
