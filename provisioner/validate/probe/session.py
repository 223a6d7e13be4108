"""Run the checks one after the other and report each to the parent over a private pipe."""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Any

from . import comparison, devices, imports, kernels, models, packages, speed, width
from . import openvino_device as ov_device
from . import openvino_forward as ov_forward
from . import openvino_model as ov_model
from .context import Context
from .placement import measure_placement

_LONGEST_TEXT = 4000
_LONGEST_PART = 1000

Check = Callable[[Context, "dict[str, Any]"], None]

CHECKS: dict[str, Check] = {
    "packages": packages.measure_packages,
    "imports": imports.measure_imports,
    "device": devices.measure_device,
    "kernels": kernels.measure_kernels,
    "weights": models.measure_weights,
    "reference": comparison.measure_reference,
    "conversion": models.measure_conversion,
    "forward": comparison.measure_forward,
    "comparison": comparison.measure_comparison,
    "generation": comparison.measure_generation,
    "width": width.measure_width,
    "speed": speed.measure_speed,
}
OPENVINO_CHECKS: dict[str, Check] = {
    "packages": packages.measure_packages,
    "imports": imports.measure_imports,
    "device": ov_device.measure_device,
    "kernels": ov_device.measure_kernels,
    "weights": ov_model.measure_weights,
    "reference": ov_forward.measure_reference,
    "conversion": ov_forward.measure_conversion,
    "forward": ov_forward.measure_forward,
    "comparison": ov_forward.measure_comparison,
    "generation": ov_forward.measure_generation,
    "speed": ov_forward.measure_speed,
}


class Channel:
    """The writing end of the private pipe; every line carries the nonce that came with the request."""

    def __init__(self, number: int) -> None:
        """Open the pipe and keep it from the programs that a library may start."""
        if sys.platform == "win32":
            import msvcrt

            number = msvcrt.open_osfhandle(number, os.O_WRONLY)
        os.set_inheritable(number, False)  # noqa: FBT003 - the function's only form
        self._file = os.fdopen(number, "wb", buffering=0)
        self.nonce = ""

    def send(self, event: str, **values: Any) -> None:
        """Write one record."""
        document = {"nonce": self.nonce, "event": event, **values}
        self._file.write(json.dumps(_plain(document), allow_nan=False).encode() + b"\n")


def main() -> None:
    """Read the request, make the checks that it names, report the results."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    channel = Channel(int(os.environ.pop("PROVISION_CHANNEL")))  # noqa: TID251 - the parent sets it for us
    request = json.loads(sys.stdin.buffer.read())
    channel.nonce = request["nonce"]
    _prepare_process(request["memory_limit_bytes"])
    context = Context(request)
    for stage in request["stages"]:
        if not _run(channel, context, stage):
            break
    channel.send("done")


def _run(channel: Channel, context: Context, stage: str) -> bool:
    """Make one check; whatever it raises is a result."""
    measured: dict[str, Any] = {}
    channel.send("started", stage=stage)
    started = time.perf_counter()
    try:
        checks = OPENVINO_CHECKS if context.request["backend"] == "openvino" else CHECKS
        checks[stage](context, measured)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - any failure of the environment is what we are here to report
        measure_placement(context, measured, error)
        channel.send(
            "raised",
            stage=stage,
            seconds=time.perf_counter() - started,
            measured=measured,
            error={
                "type": type(error).__name__,
                "message": str(error)[:_LONGEST_TEXT],
                "trace": _describe(error),
            },
        )
        return False
    channel.send("finished", stage=stage, seconds=time.perf_counter() - started, measured=measured)
    return True


def _describe(error: BaseException) -> str:
    """Return the end of the traceback, with long parts cut: torch appends its dispatch table to a message."""
    parts = traceback.format_exception(type(error), error, error.__traceback__)
    return "".join(_cut(part) for part in parts)[-_LONGEST_TEXT:]


def _cut(part: str) -> str:
    return part if len(part) <= _LONGEST_PART else part[:_LONGEST_PART] + " ...\n"


def _prepare_process(memory_limit_bytes: int | None) -> None:
    """Let a crash end the process at once, and cap its memory where the system can.

    A core file of several gigabytes or a window with a question would hold it up. Not the address space is
    capped: drivers reserve far more of that than they use.
    """
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.kernel32.SetErrorMode(0x1 | 0x2)  # no window for critical errors and for crashes
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_limit_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_limit_bytes, memory_limit_bytes))


def _plain(value: Any) -> Any:
    """Return the value as JSON can carry it: NaN and infinity become null, other types their text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None  # noqa: PLR0124 - NaN is not itself
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)
