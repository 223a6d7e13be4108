"""The device of an OpenVINO stack: OpenVINO's name for it, what its plugin says, and the first work on it."""

from __future__ import annotations

import time
from typing import Any

from .context import Context
from .devices import find_cpu_name
from .kernels import SEED, SHAPES, name_shape

_KINDS = {"cpu": "CPU", "xpu": "GPU"}
_PRECISIONS = (("f32", "FP32", "float32"), ("bf16", "BF16", "bfloat16"), ("f16", "FP16", "float16"))
_PROPERTIES = (
    "FULL_DEVICE_NAME",
    "DEVICE_TYPE",
    "DEVICE_ARCHITECTURE",
    "DEVICE_UUID",
    "DEVICE_LUID",
    "DEVICE_PCI_INFO",
    "GPU_DRIVER_VERSION",
    "GPU_DEVICE_TOTAL_MEM_SIZE",
    "GPU_UARCH_VERSION",
    "GPU_EXECUTION_UNITS_COUNT",
    "OPTIMIZATION_CAPABILITIES",
)


class Place:
    """The device as the request names it: ``kind`` is ``cpu`` or ``xpu``, ``index`` its number."""

    def __init__(self, asked: str) -> None:
        """Take the name apart."""
        self.kind, _, number = asked.partition(":")
        self.index = int(number or 0)


def name_device(asked: str) -> str:
    """Return OpenVINO's name: ``xpu:1`` is ``GPU.1``. Never AUTO or HETERO, which take the CPU unasked."""
    kind, _, number = asked.partition(":")
    return _KINDS.get(kind, kind.upper()) + (f".{number}" if number else "")


def name_places(names: Any) -> list[str]:
    """Return our names of OpenVINO's execution devices: ``GPU.1`` is ``xpu:1``."""
    ours = {theirs: kind for kind, theirs in _KINDS.items()}
    parts = [str(name).partition(".") for name in names]
    return [ours.get(kind, kind.lower()) + (f":{number}" if number else "") for kind, _, number in parts]


def measure_device(context: Context, measured: dict[str, Any]) -> None:
    """Ask the device's plugin, which needs its driver: `libOpenCL.so.1` for a GPU."""
    import openvino

    core = context.core = openvino.Core()
    asked = context.request["device"]
    name = name_device(asked)
    kind, _, number = name.partition(".")
    context.device = Place(asked)
    measured["kind"], measured["index"] = context.device.kind, context.device.index
    measured["selectors"], measured["built"] = {}, True
    measured["available_devices"] = list(core.available_devices)
    try:
        numbers = list(core.get_property(kind, "AVAILABLE_DEVICES"))
    except RuntimeError as error:
        measured["count"], measured["names"] = 0, []
        measured["plugin_error"] = _leave_out_places(str(error))
        return
    places = [f"{kind}.{each}" if each else kind for each in numbers]
    measured["count"] = len(places)
    measured["names"] = [str(core.get_property(place, "FULL_DEVICE_NAME")) for place in places]
    if measured["count"] <= context.device.index:
        return
    if not number and len(places) > 1:  # GPU.0 is the integrated one where there is one
        name = next((place for place in places if _is_discrete(core, place)), name)
    context.openvino_name = name
    supported = set(core.get_property(name, "SUPPORTED_PROPERTIES"))
    measured["properties"] = {
        key: plain(core.get_property(name, key)) for key in _PROPERTIES if key in supported
    }
    measured["openvino_name"], measured["name"] = name, measured["properties"]["FULL_DEVICE_NAME"]
    measured["driver"] = measured["properties"].get("GPU_DRIVER_VERSION")
    if kind == "CPU":
        measured["name"] = find_cpu_name() or measured["name"]


def _is_discrete(core: Any, place: str) -> bool:
    return "DISCRETE" in str(core.get_property(place, "DEVICE_TYPE")).upper()


def measure_kernels(context: Context, measured: dict[str, Any]) -> None:
    """Copy and multiply on the device, against numpy; note where OpenVINO says that it ran."""
    import numpy as np
    import openvino
    from openvino import opset13

    random = np.random.default_rng(SEED)
    measured["dispatch"] = {}
    data = random.standard_normal(SHAPES[0][:2], dtype=np.float32)
    rows = data.shape[0]
    # Reversed twice is the same, bit for bit, and no plugin may fold it away: the order is an input.
    values, order = opset13.parameter(data.shape, np.float32), opset13.parameter([rows], np.int32)
    copy = openvino.Model([opset13.gather(values, order, opset13.constant(np.int32(0)))], [values, order])
    compiled = context.core.compile_model(copy, context.openvino_name, {"INFERENCE_PRECISION_HINT": "f32"})
    backwards = np.arange(rows - 1, -1, -1, dtype=np.int32)
    there = _run(compiled, data, backwards)
    measured["copy_equal"] = bool(np.array_equal(_run(compiled, there, backwards), data))
    measured["copy_device"] = _find_place(compiled)
    products = measured["matmul"] = {}
    capabilities = set(context.core.get_property(context.openvino_name, "OPTIMIZATION_CAPABILITIES"))
    for height, depth, width in SHAPES:
        left = random.standard_normal((height, depth), dtype=np.float32)
        right = random.standard_normal((depth, width), dtype=np.float32)
        exact = left.astype(np.float64) @ right.astype(np.float64)
        first, second = (opset13.parameter(side.shape, np.float32) for side in (left, right))
        product = openvino.Model([opset13.matmul(first, second, False, False)], [first, second])  # noqa: FBT003
        for hint, capability, name in _PRECISIONS:
            if capability not in capabilities:
                continue
            started = time.perf_counter()
            options = {"INFERENCE_PRECISION_HINT": hint}
            compiled = context.core.compile_model(product, context.openvino_name, options)
            seen = _run(compiled, left, right).astype(np.float64)
            products[name_shape(name, height, depth, width)] = {
                "device": _find_place(compiled),
                "relative_error": float(np.linalg.norm(seen - exact) / np.linalg.norm(exact)),
                "seconds": round(time.perf_counter() - started, 4),
            }


def _run(compiled: Any, *inputs: Any) -> Any:
    """Return a copy of the only output; the next call overwrites the original."""
    return next(iter(compiled(list(inputs)).values())).copy()


def _find_place(compiled: Any) -> str:
    return ", ".join(name_places(compiled.get_property("EXECUTION_DEVICES")))


def plain(value: Any) -> Any:
    """Return a property as JSON has it."""
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _leave_out_places(text: str) -> str:
    """Return an error of OpenVINO's without the lines that name places in its sources."""
    lines = (line.strip() for line in text.splitlines())
    return " ".join(line for line in lines if line and not line.startswith(("Exception from", "Check '")))
