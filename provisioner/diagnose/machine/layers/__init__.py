"""Judge a machine layer by layer, from the PCI bus up; pure rules over gathered facts.

A layer is judged even when those above it are broken, and torch is never needed for the lower ones.
"""

from collections.abc import Callable, Mapping, Sequence

from provisioner.diagnose.machine.facts import HostFacts
from provisioner.diagnose.machine.layers import environment, hardware, system
from provisioner.diagnose.machine.layers.model import LayerResult, Outcome, Verdict, WantedHost
from provisioner.errors import UsageError

__all__ = ["LAYERS", "LayerResult", "Outcome", "Verdict", "WantedHost", "judge", "verdict_of"]

LAYERS: Mapping[str, Callable[[HostFacts, WantedHost], LayerResult]] = {
    hardware.GPU: hardware.check_gpu,
    hardware.KERNEL_DRIVER: hardware.check_kernel_driver,
    hardware.DEVICE_NODES: hardware.check_device_nodes,
    hardware.RESIZABLE_BAR: hardware.check_resizable_bar,
    system.USER_DRIVER: system.check_user_driver,
    system.VARIABLES: system.check_variables,
    system.DISK: system.check_disk,
    system.INDEXES: system.check_indexes,
    environment.ENVIRONMENT: environment.check_environment,
    environment.TORCH: environment.check_torch,
    environment.KERNEL: environment.check_kernel,
}
"""Every layer by name, in order; the first line of each function's text says what it looks at."""


def judge(
    facts: HostFacts, wanted: WantedHost, *, layers: Sequence[str] | None = None
) -> tuple[LayerResult, ...]:
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
    return tuple(check(facts, wanted) for name, check in LAYERS.items() if name in names)


def verdict_of(results: Sequence[LayerResult]) -> Outcome:
    """Return what the layers say together; nothing judged is never ``ok``."""
    verdicts = {result.name: result.verdict for result in results}
    if verdicts.get(hardware.GPU) is Verdict.FAIL:
        return Outcome.UNSUPPORTED
    if Verdict.FAIL in verdicts.values():
        return Outcome.FAIL
    if Verdict.UNKNOWN in verdicts.values() or Verdict.PASS not in verdicts.values():
        return Outcome.UNKNOWN
    return Outcome.OK
