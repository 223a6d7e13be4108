"""Which tensors are not on the device where the model is supposed to run."""

from __future__ import annotations

import sys
from typing import Any

from .context import Context

_NAMED = 5


def measure_placement(context: Context, measured: dict[str, Any], error: BaseException) -> None:
    """After an error on a device: name the weights, and the failing function's variables, on the CPU."""
    torch = sys.modules.get("torch")
    if torch is None or context.device is None or context.device.kind == "cpu":
        return
    if context.model is not None and "tensors_elsewhere" not in measured and context.is_converted:
        elsewhere = find_tensors_elsewhere(context.model, context.device.kind)
        measured["tensors_elsewhere"] = elsewhere[:_NAMED]
        measured["tensors_elsewhere_count"] = len(elsewhere)
    measured["cpu_locals"] = _find_cpu_locals(torch, error)[:_NAMED]


def find_tensors_elsewhere(model: Any, kind: str) -> list[str]:
    """Return the names of parameters and buffers that lie on another kind of device than asked."""
    named = [*model.named_parameters(), *model.named_buffers()]
    return [name for name, tensor in named if tensor.device.type not in (kind, "meta")]


def _find_cpu_locals(torch: Any, error: BaseException) -> list[str]:
    """Return ``variable in function`` for tensors on the CPU in the innermost function that has any."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    for frame in reversed(frames):
        names = [
            f"{name} in {frame.f_code.co_name}"
            for name, value in frame.f_locals.items()
            if isinstance(value, torch.Tensor) and value.device.type == "cpu"
        ]
        if names:
            return names
    return []
