"""What a layer says, and what the facts are judged against."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from provisioner.profile.model import TorchVariant


class LayerState(StrEnum):
    """What is known about one layer; ``unknown`` is never a pass.

    ``not asked`` is what an earlier validation saw and nobody looked at today: neither a pass nor a fault.
    """

    PASS = "pass"  # noqa: S105 # a state, no password
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_ASKED = "not asked"
    NOT_NEEDED = "not needed"


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerResult:
    """The state of one layer: one line of evidence, and one imperative where something is to be done."""

    state: LayerState
    evidence: str
    hint: str | None = None

    def as_json(self, name: str) -> dict[str, Any]:
        """Return the layer as an entry of the document's ``layers``."""
        return {"name": name, "verdict": self.state.value, "evidence": self.evidence, "hint": self.hint}


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedHost:
    """What a profile, or an environment, asks of a machine.

    Attributes:
        device: ``cpu`` or ``xpu``; for ``cpu`` no GPU layer is needed.
        stack: Name for messages.
        system_oneapi: The stack takes oneAPI from the system (``setvars``), as IPEX 2.1 may on Linux.
        hides_integrated: torch itself leaves integrated GPUs out where a card is present (2.7 and later,
            pytorch/pytorch#144378; 2.6 fails with `could not create an engine`, pytorch/pytorch#143914).
        uses_opencl: The stack reaches the GPU through OpenCL alone, as OpenVINO does; Level Zero and SYCL's
            variables mean nothing to it.
        variables: Environment variables that activation sets; they win over inherited ones.
        install_bytes: Space that the environment and its downloads take.
        indexes: Names of the indexes and channels that are needed, see ``Reach.name``.
        built: An environment is expected to be there; without, its layers are not needed.
        gpus: Classes of GPU that the profile is for; none: any.
        better: Name of the profile that suits this machine, where another one was asked for.
        torch: Variant that the environment must have; None: the packages around torch are not judged.
    """

    device: str
    stack: str = "the stack"
    system_oneapi: bool = False
    hides_integrated: bool = False
    uses_opencl: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    install_bytes: int = 12 * 1024**3
    indexes: tuple[str, ...] = ()
    built: bool = False
    gpus: tuple[str, ...] = ()
    better: str | None = None
    torch: TorchVariant | None = None

    @property
    def uses_gpu(self) -> bool:
        """Return whether the GPU layers are needed."""
        return self.device == "xpu"


def passed(evidence: str) -> LayerResult:
    """Return a pass."""
    return LayerResult(state=LayerState.PASS, evidence=evidence)


def failed(evidence: str, hint: str) -> LayerResult:
    """Return a failure with what to do."""
    return LayerResult(state=LayerState.FAIL, evidence=evidence, hint=hint)


def unknown(evidence: str, hint: str | None = None) -> LayerResult:
    """Return that it could not be found out."""
    return LayerResult(state=LayerState.UNKNOWN, evidence=evidence, hint=hint)


def not_asked(evidence: str, hint: str | None = None) -> LayerResult:
    """Return what was seen earlier, with its date."""
    return LayerResult(state=LayerState.NOT_ASKED, evidence=evidence, hint=hint)


def not_needed(evidence: str) -> LayerResult:
    """Return that nothing depends on it here."""
    return LayerResult(state=LayerState.NOT_NEEDED, evidence=evidence)


def parse_version(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: ``6.8.0-51-generic`` gives ``(6, 8, 0)``; none: empty."""
    numbers: list[int] = []
    for part in text.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits[:9]))
        if digits != part:
            break
    return tuple(numbers)
