"""What is known about a machine: gathered by an engine, judged by ``layers``, saved by ``facts_json``.

None always means "not known". An empty list or text means "looked for, and there is none".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

KEPT_VARIABLES = (
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONUSERBASE",
    "PYTHONNOUSERSITE",
    "CONDA_PREFIX",
    "VIRTUAL_ENV",
    "ONEAPI_ROOT",
    "SETVARS_COMPLETED",
    "CMPLR_ROOT",
    "MKLROOT",
    "ONEAPI_DEVICE_SELECTOR",
    "SYCL_DEVICE_FILTER",
    "SYCL_CACHE_PERSISTENT",
    "SYCL_PI_LEVEL_ZERO_USE_IMMEDIATE_COMMANDLISTS",
    "UR_L0_USE_IMMEDIATE_COMMANDLISTS",
    "UR_ADAPTERS_FORCE_LOAD",
    "ZE_AFFINITY_MASK",
    "ZE_FLAT_DEVICE_HIERARCHY",
    "ZE_ENABLE_ALT_DRIVERS",
    "OCL_ICD_VENDORS",
    "OCL_ICD_FILENAMES",
    "USE_XETLA",
    "BIGDL_IMPORT_IPEX",
    "BIGDL_OPT_IPEX",
    "IPEX_LLM_LOW_MEM",
)
"""Variables whose values are kept; nothing else of the environment is looked at."""

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
"""Kept as ``set``: the value often holds a password."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DisplayDevice:
    """One display controller on the PCI bus.

    Attributes:
        vendor: Four hexadecimal digits, for example ``8086``.
        device: Four hexadecimal digits, for example ``56a0``.
        address: PCI address, ``0000:03:00.0``; Windows' own location there.
        class_code: Six hexadecimal digits, ``030000`` for VGA, ``038000`` for other display controllers.
        name: What the operating system calls it (Windows).
        driver: Kernel driver that is bound; empty: none is.
        driver_version: Version of the display driver (Windows).
        problem: Windows' device problem code; 0 is none, 22 disabled, 28 no driver, 31 and 43 failed.
        bar_bytes: Size of the largest memory window (BAR).
    """

    vendor: str
    device: str
    address: str | None = None
    class_code: str | None = None
    name: str | None = None
    driver: str | None = None
    driver_version: str | None = None
    problem: int | None = None
    bar_bytes: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceNode:
    """One file through which programs reach a GPU: ``/dev/dri/renderD128``, ``/dev/dxg``.

    Attributes:
        mode: Octal permissions, ``0660``.
        group: Name of the owning group, its number where it has no name.
        accessible: Whether this process may read and write it.
        pci_address: The device behind it.
    """

    path: str
    mode: str | None = None
    group: str | None = None
    accessible: bool | None = None
    pci_address: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Library:
    """A system library of the GPU stack; ``kind`` is a key of ``engines.machine.linux._LIBRARIES``."""

    kind: str
    path: str
    version: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """Whether an index or channel answered; ``name`` is the profile's, never an address."""

    name: str
    reached: bool | None
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentFacts:
    """What is in a built environment, read without running it.

    Attributes:
        distributions: Normalised name to version.
        locked: The same, of what was installed from the lock.
        torch_version: What torch's own files say (``torch/version.py``); its build is told there, too.
        damage: What is missing or broken of the files that nothing works without, one sentence each.
        missing_libraries: ``library (needed by file)``, one each.
        changed: Files of code that are not as they were built, by their path in the environment.
    """

    python: str | None = None
    distributions: Mapping[str, str] | None = None
    locked: Mapping[str, str] | None = None
    torch_version: str | None = None
    damage: tuple[str, ...] | None = None
    missing_libraries: tuple[str, ...] | None = None
    changed: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TorchFacts:
    """What torch itself said when the environment was last validated; doctor does not start it.

    Attributes:
        asked_at: When that was, as an ISO time in UTC.
        devices: Names of the devices that it lists; empty: it lists none.
        kernel_ran: Whether a small matrix product came back right from the device.
        error: The first line of what went wrong.
        unasked: Why the validation did not come so far.
    """

    asked_at: str | None = None
    version: str | None = None
    devices: tuple[str, ...] | None = None
    kernel_ran: bool | None = None
    error: str | None = None
    unasked: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HostFacts:
    """Everything that the layers judge.

    Attributes:
        os: ``linux`` or ``windows``.
        release: The distribution's or Windows' own name and version.
        kernel: Kernel release, for example ``6.8.0-51-generic``; Windows: ``10.0.22631``.
        groups: Which of ``render`` and ``video`` this process is in.
        account_groups: Which of them the account is in: a login later, this process would be, too.
        wsl_drivers: Folders of the Windows display driver that WSL passes in.
        opencl_vendors: ``file: library`` of every OpenCL ICD registration.
        variables: Kept environment variables, see ``KEPT_VARIABLES``.
        disk_free_bytes: Free space where environments are built.
        target: The folder of the environment, ``~`` for the home.
        target_length: Its length in characters, before the home was shortened.
        long_paths: Windows' long path setting.
        vc_runtime: Version of the Visual C++ runtime (Windows).
        unread: Why the operating system did not answer (Windows).
    """

    os: str
    release: str | None = None
    kernel: str | None = None
    container: bool | None = None
    wsl: bool | None = None
    displays: tuple[DisplayDevice, ...] | None = None
    nodes: tuple[DeviceNode, ...] | None = None
    groups: tuple[str, ...] | None = None
    account_groups: tuple[str, ...] | None = None
    wsl_drivers: tuple[str, ...] | None = None
    libraries: tuple[Library, ...] | None = None
    opencl_vendors: tuple[str, ...] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    disk_free_bytes: int | None = None
    target: str | None = None
    target_length: int | None = None
    long_paths: bool | None = None
    vc_runtime: str | None = None
    unread: str | None = None
    reach: tuple[Reach, ...] | None = None
    environment: EnvironmentFacts | None = None
    torch: TorchFacts | None = None


def keep_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that may be looked at: those of the list, proxies without their value."""
    upper = {name.upper(): value for name, value in variables.items()}
    kept = {name: upper[name] for name in KEPT_VARIABLES if upper.get(name)}
    return kept | {name: "set" for name in PROXY_VARIABLES if upper.get(name)}
