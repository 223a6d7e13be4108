"""Judge a machine layer by layer, and say what the layers mean together."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from provisioner.diagnose.machine.facts import HostFacts
from provisioner.diagnose.machine.gate import find_gpu_class
from provisioner.diagnose.machine.gpus import find_gpu
from provisioner.diagnose.machine.layers import environment, hardware, system
from provisioner.diagnose.machine.layers.model import LayerResult, LayerState, WantedHost
from provisioner.errors import (
    ProvisionError,
    UnavailableError,
    UnvalidatedError,
    UsageError,
    ValidateError,
)

LAYERS: Mapping[str, Callable[[HostFacts, WantedHost], LayerResult]] = {
    "gpu": hardware.check_gpu,
    "kernel-driver": hardware.check_kernel_driver,
    "device-nodes": hardware.check_device_nodes,
    "resizable-bar": hardware.check_resizable_bar,
    "user-driver": system.check_user_driver,
    "variables": system.check_variables,
    "disk": system.check_disk,
    "indexes": system.check_indexes,
    "environment": environment.check_environment,
    "torch": environment.check_torch,
    "kernel": environment.check_kernel,
}
"""Every layer by name, in order; the first line of each function's text says what it looks at."""


_WORST_FIRST = ("fail", "unknown", "not asked", "not needed", "pass")


class Outcome(StrEnum):
    """What all judged layers say together."""

    OK = "ok"
    FAIL = "fail"
    UNSUPPORTED = "unsupported"
    UNKNOWN = "unknown"


def list_layers() -> tuple[tuple[str, str], ...]:
    """Return each layer's name and what it looks at."""
    return tuple((name, (check.__doc__ or "").splitlines()[0]) for name, check in LAYERS.items())


def judge_layers(
    facts: HostFacts, wanted: WantedHost, *, layers: Sequence[str] | None = None
) -> dict[str, LayerResult]:
    """Judge the named layers, or all, in their order.

    Raises:
        UsageError: ``doctor.unknown_layer``.
    """
    names = LAYERS if layers is None else layers
    strangers = [name for name in names if name not in LAYERS]
    if strangers:
        raise UsageError(
            "doctor.unknown_layer",
            f"there is no layer `{strangers[0]}`",
            hints=(f"choose among {', '.join(LAYERS)}",),
            context={"layers": list(LAYERS)},
        )
    return {name: check(facts, wanted) for name, check in LAYERS.items() if name in names}


def find_outcome(results: Mapping[str, LayerResult]) -> Outcome:
    """Return what the layers say together; nothing judged is never ``ok``."""
    states = {name: result.state for name, result in results.items()}
    if states.get("gpu") is LayerState.FAIL:
        return Outcome.UNSUPPORTED
    if LayerState.FAIL in states.values():
        return Outcome.FAIL
    if LayerState.UNKNOWN in states.values() or LayerState.PASS not in states.values():
        return Outcome.UNKNOWN
    return Outcome.OK


def describe_layers(results: Mapping[str, LayerResult]) -> dict[str, Any]:
    """Return results as the ``data`` of the result document.

    Keys: ``outcome``, ``first`` (the name of the lowest layer that fails, or None), ``layers`` (in order).
    """
    failed = (name for name, result in results.items() if result.state is LayerState.FAIL)
    return {
        "outcome": find_outcome(results).value,
        "first": next(failed, None),
        "layers": [result.as_json(name) for name, result in results.items()],
    }


def describe_host(facts: HostFacts) -> dict[str, Any]:
    """Return what programs group machines by: the system, the display devices, the drivers' versions.

    Keys: ``os``, ``release``, ``kernel``, ``gpu_class`` (of the best supported GPU, as profiles name it, or
    None), ``gpus`` (in the bus's order; ``product``, ``architecture`` and ``gpu_class`` are None for what is
    not Intel's) and ``libraries`` (kind to version).
    """
    gpus = []
    for display in facts.displays or ():
        gpu = find_gpu(display.vendor, display.device)
        gpus.append(
            {
                "pci": f"{display.vendor}:{display.device}".lower(),
                "address": display.address,
                "product": gpu.product if gpu else None,
                "architecture": gpu.architecture.name if gpu else None,
                "gpu_class": gpu.architecture.gpu_class if gpu else None,
                "driver": display.driver,
                "driver_version": display.driver_version,
            }
        )
    return {
        "os": facts.os,
        "release": facts.release,
        "kernel": facts.kernel,
        "gpu_class": find_gpu_class(facts),
        "gpus": gpus,
        "libraries": {each.kind: each.version for each in facts.libraries or ()},
    }


def find_error(data: Mapping[str, Any], *, subject: str) -> ProvisionError | None:
    """Return the error that the worst layer is; None where the outcome is ``ok``.

    Args:
        data: As `describe_layers` returns it.
        subject: What was judged, for the message.
    """
    if data["outcome"] == Outcome.OK:
        return None
    worst = min(data["layers"], key=lambda layer: _WORST_FIRST.index(layer["verdict"]))
    kind: type[ProvisionError] = ValidateError if data["outcome"] == Outcome.FAIL else UnvalidatedError
    if worst["name"] == "indexes":
        kind = UnavailableError
    if worst["verdict"] in {LayerState.NOT_NEEDED, LayerState.NOT_ASKED}:
        otherwise = "choose a layer that is needed here: `provision doctor` without `--layer` shows them"
    else:
        otherwise = "run `provision doctor --save facts.json` and send that file with your report"
    return kind(
        f"doctor.{data['outcome']}",
        f"{subject}: layer {worst['name']}: {worst['evidence']}",
        hints=[worst["hint"] or otherwise],
        context={"layer": worst["name"]},
    )
