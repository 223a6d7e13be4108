"""PyTorch's `xpu` backend in host memory, loaded by `import torch` through the `torch.backends` entry point.

Tests use it where a GPU would be. Environment variables, read once:

`SOFTXPU_DEVICES`       how many, default 1. Of 2, `xpu:0` is an integrated GPU and `xpu:1` a discrete one.
`ONEAPI_DEVICE_SELECTOR` and `ZE_AFFINITY_MASK` choose among them (`level_zero:1`, `1`), as on hardware.
`SOFTXPU_MEMORY_BYTES`  memory of each device, default 16 GiB (4 GiB for the integrated one).
`SOFTXPU_FAULT`         one of `FAULTS`; with `@N`, for instance `nan@20`, it begins after N matrix products
                        (`hang`: after N kernels and copies).
"""

import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from . import native

FAULTS = {
    "absent": "no device: `device_count()` is 0",
    "crash-available": "SIGSEGV when the devices are counted",
    "crash-properties": "SIGSEGV in `get_device_properties`",
    "hang-properties": "`get_device_properties` never returns",
    "hang": "the first kernel or copy never returns",
    "oom": "memory beyond 4 MiB is refused with `torch.OutOfMemoryError`",
    "device-lost": "a matrix product loses the device; everything after it fails as well",
    "crash-kernel": "SIGSEGV in a matrix product",
    "nan": "matrix products are NaN",
    "wrong": "matrix products are off by a tenth",
    "nan-rows": "matrix products of exactly N rows are NaN",
    "wrong-argmax": "`argmax` gives the index after the right one",
    "wrong-topk": "`topk` gives the indices after the right ones",
    "warm-wrong": "as `wrong`, in processes that find the kernels of an earlier one in `TMPDIR`",
    "cpu-result": "matrix products come back on the CPU",
    "host-oom": "a matrix product takes host memory until a cap stops it (at most 8 GiB)",
    "crash-exit": "SIGABRT when the process exits, after all work succeeded",
}
OOM_LIMIT_BYTES = 4 << 20
GIB = 1 << 30


@dataclasses.dataclass
class XpuDeviceProperties:
    """The attributes of torch 2.13's `_XpuDeviceProperties`; sizes are an Arc A770's."""

    name: str = "Software XPU (provision tests)"
    platform_name: str = "Software XPU in host memory"
    vendor: str = "provision tests"
    device_id: int = 0
    driver_version: str = "0.1.0+software"
    version: str = "software"
    max_compute_units: int = 512
    gpu_eu_count: int = 512
    max_work_group_size: int = 1024
    max_num_sub_groups: int = 128
    memory_clock_rate: int = 2400
    memory_bus_width: int = 64
    sub_group_sizes: list[int] = dataclasses.field(default_factory=lambda: [8, 16, 32])
    local_mem_size: int = 65536
    last_level_cache_size: int = 16 << 20
    has_fp16: bool = True
    has_fp64: bool = True
    has_atomic64: bool = True
    has_bfloat16_conversions: bool = True
    has_subgroup_matrix_multiply_accumulate: bool = True
    has_subgroup_matrix_multiply_accumulate_tensor_float32: bool = False
    has_subgroup_2d_block_io: bool = False
    is_integrated_gpu: bool = False
    total_memory: int = 16 * GIB
    gpu_subslice_count: int = 64
    architecture: int = 0
    type: str = "gpu"
    uuid: Any = bytes(16)


def _read_fault(text: str) -> tuple[str, int]:
    """Split `name@N`; raise ValueError for a name that is not in `FAULTS`."""
    name, _, after = text.partition("@")
    if name and name not in FAULTS:
        raise ValueError(f"SOFTXPU_FAULT={text!r}: not one of {', '.join(FAULTS)}")
    if name == "warm-wrong":
        kernels = Path(tempfile.gettempdir(), "softxpu-kernels")
        name = "wrong" if kernels.exists() else ""
        kernels.touch()
    return name, int(after or 0)


def _select(count: int) -> list[int]:
    """Apply the two environment variables that hide devices; forms other than a list of numbers hide none."""
    visible = list(range(count))
    backend, _, numbers = os.environ.get("ONEAPI_DEVICE_SELECTOR", "").partition(":")
    for chosen in (numbers if backend == "level_zero" else "", os.environ.get("ZE_AFFINITY_MASK", "")):
        wanted = [part.strip() for part in chosen.split(",")]
        if all(part.isdecimal() for part in wanted):
            visible = [visible[int(part)] for part in wanted if int(part) < len(visible)]
    return visible


def _describe(count: int) -> list[XpuDeviceProperties]:
    """Return the properties of the visible devices, in order."""
    bytes_each = int(os.environ.get("SOFTXPU_MEMORY_BYTES", "0"))
    discrete = XpuDeviceProperties(total_memory=bytes_each or 16 * GIB, uuid=bytes(15) + b"\x01")
    integrated = XpuDeviceProperties(
        name="Software XPU (provision tests, integrated)",
        max_compute_units=64,
        gpu_eu_count=64,
        gpu_subslice_count=8,
        has_subgroup_matrix_multiply_accumulate=False,
        is_integrated_gpu=True,
        total_memory=bytes_each or 4 * GIB,
    )
    return [integrated if count > 1 and index == 0 else discrete for index in _select(count)]


_fault, _after = _read_fault(os.environ.get("SOFTXPU_FAULT", ""))
_properties = [] if _fault == "absent" else _describe(int(os.environ.get("SOFTXPU_DEVICES", "1")))
native.configure(
    [device.total_memory for device in _properties],
    [OOM_LIMIT_BYTES if _fault == "oom" else device.total_memory for device in _properties],
    _fault,
    _after,
)


def _device_count() -> int:
    if _fault == "crash-available":
        native.crash()
    return int(native.device_count())


def _init() -> None:
    """Refuse as torch's own XPU runtime does where no device is; set what its initialisation sets."""
    if native.device_count() == 0:
        raise RuntimeError("No XPU devices are available.")
    torch.xpu.default_generators = (torch.default_generator,) * native.device_count()


def _get_device_properties(index: int) -> XpuDeviceProperties:
    if _fault == "crash-properties":
        native.crash()
    if _fault == "hang-properties":
        native.hang()
    if not 0 <= index < len(_properties):
        raise RuntimeError(
            f"The device index is out of range. It must be in [0, {len(_properties)}), but got {index}."
        )
    return _properties[index]


def _memory_stats(index: int) -> dict[str, dict[str, dict[str, int]]]:
    """Return the statistics as torch nests them; nothing is cached, so reserved is allocated."""
    counted = native.memory(index)
    stat = {"all": {key: counted[key] for key in ("current", "peak", "allocated", "freed")}}
    return {"allocated_bytes": stat, "reserved_bytes": stat, "active_bytes": stat, "requested_bytes": stat}


def _memory_info(index: int) -> tuple[int, int]:
    counted = native.memory(index)
    return counted["limit"] - counted["current"], counted["total"]


# What torch's Python code calls in a build with XPU. Everything above these names is torch's own.
_NATIVE = {
    "_has_xpu": True,
    "_XpuDeviceProperties": XpuDeviceProperties,
    "_xpu_init": _init,
    "_xpu_isInBadFork": lambda: False,
    "_xpu_getDeviceCount": _device_count,
    "_xpu_getDevice": native.current_device,
    "_xpu_setDevice": native.exchange_device,
    "_xpu_exchangeDevice": native.exchange_device,
    "_xpu_maybeExchangeDevice": native.exchange_device,
    "_xpu_canDeviceAccessPeer": lambda _device, _peer: False,
    "_xpu_getArchFlags": lambda: "softxpu",
    "_xpu_synchronize": lambda _device: native.synchronize(),
    "_xpu_emptyCache": lambda: None,
    "_xpu_memoryStats": _memory_stats,
    "_xpu_resetPeakMemoryStats": native.reset_peak,
    "_xpu_resetAccumulatedMemoryStats": lambda _device: None,
    "_xpu_getMemoryInfo": _memory_info,
}


def autoload() -> None:
    """Put the native half of `torch.xpu` in place. Called by torch at the end of its import."""
    for name, value in _NATIVE.items():
        setattr(torch._C, name, value)  # noqa: SLF001 - the private seam between torch.xpu and a backend
    torch.xpu._XpuDeviceProperties = XpuDeviceProperties  # noqa: SLF001 - copied at import time by torch.xpu
    torch.xpu._exchange_device = native.exchange_device  # noqa: SLF001 - the same
    torch.xpu._maybe_exchange_device = native.exchange_device  # noqa: SLF001 - the same
    torch.xpu._get_device_properties = _get_device_properties  # noqa: SLF001 - set by torch's own C++ initialisation
    torch.version.xpu = "software"
