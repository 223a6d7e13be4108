"""The device that the model under test runs on."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from .context import Context

_PROPERTIES = (
    "name",
    "platform_name",
    "vendor",
    "type",
    "dev_type",
    "device_id",
    "driver_version",
    "version",
    "total_memory",
    "max_compute_units",
    "gpu_eu_count",
    "multi_processor_count",
    "major",
    "minor",
    "has_fp16",
    "has_fp64",
    "support_fp64",
    "has_bfloat16_conversions",
    "has_subgroup_matrix_multiply_accumulate",
    "is_integrated_gpu",
    "architecture",
    "uuid",
)
_SELECTORS = ("ONEAPI_DEVICE_SELECTOR", "ZE_AFFINITY_MASK", "SYCL_DEVICE_FILTER", "CUDA_VISIBLE_DEVICES")


class Device:
    """One device, with the part of torch that drives it.

    Attributes:
        kind: ``cpu``, ``xpu`` or ``cuda``.
        index: Its number, 0 if none was asked for.
        backend: ``torch.xpu`` or ``torch.cuda``; None for the CPU.
    """

    def __init__(self, asked: str) -> None:
        """Find the part of torch; asks the driver nothing."""
        import torch

        kind, _, index = asked.partition(":")
        self.kind = kind
        self.index = int(index or 0)
        self.backend: Any = None if kind == "cpu" else getattr(torch, kind, None)
        self.torch = torch.device("cpu") if kind == "cpu" else torch.device(kind, self.index)

    def synchronize(self) -> None:
        """Wait for the device, so that a clock and an error belong to the call before."""
        if self.backend is not None:
            self.backend.synchronize(self.index)

    def reset_peak(self) -> None:
        """Start to measure the peak memory anew, where torch can."""
        reset = getattr(self.backend, "reset_peak_memory_stats", None)
        if reset is not None:
            reset(self.index)

    def peak_bytes(self) -> int | None:
        """Return the most memory that tensors took since the last reset; of the whole process on a CPU."""
        if self.backend is None:
            return _peak_process_bytes()
        peak = getattr(self.backend, "max_memory_allocated", None)
        return None if peak is None else int(peak(self.index))


def _peak_process_bytes() -> int | None:
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure_device(context: Context, measured: dict[str, Any]) -> None:
    """Ask torch about the device, from the harmless question to the one that has crashed drivers."""
    device = context.device = Device(context.request["device"])
    measured["kind"] = device.kind
    measured["index"] = device.index
    measured["selectors"] = _selectors()
    if device.kind == "cpu":
        _measure_cpu(measured)
        return
    built = getattr(device.backend, "_is_compiled", None)
    measured["built"] = device.backend is not None and (built is None or bool(built()))
    if device.backend is None:
        measured["count"] = 0
        return
    measured["available"] = bool(device.backend.is_available())
    measured["count"] = int(device.backend.device_count()) if measured["available"] else 0
    measured["names"] = [str(device.backend.get_device_name(number)) for number in range(measured["count"])]
    if measured["count"] <= device.index:
        return
    measured["name"] = measured["names"][device.index]
    properties = device.backend.get_device_properties(device.index)
    measured["properties"] = {
        name: getattr(properties, name) for name in _PROPERTIES if getattr(properties, name, None) is not None
    }
    measured["driver"] = _driver(device, measured["properties"])
    measured["targets"] = _ask(device.backend, "get_arch_list")
    measured["bf16"] = _ask(device.backend, "is_bf16_supported")
    measured["memory_bytes"] = _memory(device)


def _selectors() -> dict[str, str]:
    """Return the variables that hide devices; they may come from the profile or from the user."""
    own = os.environ  # noqa: TID251 - the probe's own environment, which the parent has built
    return {name: own[name] for name in _SELECTORS if name in own}


def _measure_cpu(measured: dict[str, Any]) -> None:
    import platform

    import torch

    measured["available"] = True
    measured["count"] = 1
    measured["name"] = find_cpu_name() or platform.processor() or platform.machine()
    measured["capability"] = torch.backends.cpu.get_cpu_capability()
    measured["threads"] = torch.get_num_threads()


def find_cpu_name() -> str | None:
    """Return the processor's name (Linux)."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _driver(device: Device, properties: dict[str, Any]) -> str | None:
    if device.kind == "cuda":
        import torch

        version = getattr(torch._C, "_cuda_getDriverVersion", None)  # noqa: SLF001 - torch has no public name for it
        return None if version is None else str(version())
    return properties.get("driver_version")


def _memory(device: Device) -> dict[str, Any] | None:
    """Return free and total bytes, where torch can tell; integrated GPUs often cannot."""
    query = getattr(device.backend, "mem_get_info", None)
    if query is None:
        return None
    try:
        free, total = query(device.index)
    except (RuntimeError, NotImplementedError):
        return None
    return {"free": int(free), "total": int(total)}


def _ask(backend: Any, name: str) -> Any:
    function = getattr(backend, name, None)
    return None if function is None else function()
