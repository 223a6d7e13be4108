"""Judge the cheap layers before the first byte of a GPU profile is downloaded."""

from collections.abc import Sequence

from provisioner.diagnose.machine.facts import HostFacts
from provisioner.diagnose.machine.layers import LayerResult, Verdict, WantedHost, judge
from provisioner.diagnose.machine.layers.hardware import DEVICE_NODES, GPU, KERNEL_DRIVER
from provisioner.diagnose.machine.layers.system import DISK
from provisioner.errors import InstallError, ProvisionError, UnvalidatedError

GATE_LAYERS = (GPU, KERNEL_DRIVER, DEVICE_NODES, DISK)


def judge_gate(facts: HostFacts, wanted: WantedHost) -> tuple[LayerResult, ...]:
    """Judge whether a build that is started now could be validated on this machine."""
    return judge(facts, wanted, layers=GATE_LAYERS)


def find_obstacle(results: Sequence[LayerResult], *, profile: str) -> ProvisionError | None:
    """Return the error to stop with, or None; what is unknown does not stop a build.

    No room on the disk is ``gate.disk`` (exit 5); a GPU that is missing, unsupported or closed to this user
    is ``gate.<layer>`` (exit 7): the build would succeed, and its environment could not be validated.
    """
    for result in results:
        if result.verdict is not Verdict.FAIL:
            continue
        code = f"gate.{result.name.replace('-', '_')}"
        hints = [result.hint] if result.hint else []
        context = {"layer": result.as_json(), "layers": [each.as_json() for each in results]}
        if result.name == DISK:
            return InstallError(
                code, f"`{profile}` cannot be built here: {result.evidence}", hints=hints, context=context
            )
        return UnvalidatedError(
            code,
            f"`{profile}` cannot be validated on this machine: {result.evidence}; nothing was downloaded",
            hints=[*hints, "build it all the same with `--no-gate`"],
            context=context,
        )
    return None
