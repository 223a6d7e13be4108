"""Is a vector of logits sane, and as near to another as it has to be?"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from provisioner.validate.checks.finding import DRIVER_HINT, Finding
from provisioner.validate.model import JSON, ValidationRequest

_SMALLEST_COSINE = 0.5
_SMALLEST_SPREAD = 1e-6


def check_logits(measured: Mapping[str, JSON], what: str) -> Finding | None:
    """Refuse NaN, infinity, all zeros and a constant."""
    if not measured["finite"]:
        problem = "NaN or infinity"
    elif not measured["largest"]:
        problem = "zeros alone"
    elif measured["spread"] < _SMALLEST_SPREAD * measured["largest"]:
        problem = "the same number for every token"
    else:
        return None
    return Finding(
        code="wrong_result",
        message=f"{what} gives {problem}",
        hints=(DRIVER_HINT, "try another `validation.precision` in the profile"),
    )


def check_agreement(
    measured: Mapping[str, JSON], request: ValidationRequest, what: str, *, tolerance: float | None = None
) -> Finding | None:
    """Refuse logits that differ from their reference by more than the tolerance, the request's by default."""
    if "shapes" in measured:
        own, other = measured["shapes"]
        return Finding(code="wrong_result", message=f"{what} has shape {own}, the reference {other}")
    difference, cosine = measured["relative_difference"], measured["cosine"]
    tolerance = request.largest_difference if tolerance is None else tolerance
    if (
        difference is not None
        and difference <= tolerance
        and cosine is not None
        and cosine >= _SMALLEST_COSINE
    ):
        return None
    said = (
        "by no number"
        if difference is None or cosine is None
        else f"by {difference:.3g} (cosine {cosine:.3g})"
    )
    reference = measured.get("reference", "the fp32 reference")
    return Finding(
        code="wrong_result",
        message=f"{what} differs from {reference} {said}; {request.precision} allows {tolerance:g}",
        hints=(DRIVER_HINT, "try a higher precision in the profile's `validation.precision`"),
    )


def check_lengths(
    entries: Iterable[Mapping[str, JSON]],
    request: ValidationRequest,
    what: str,
    *,
    tolerance: float | None = None,
) -> Finding | None:
    """Refuse a prompt of one length that goes wrong: kernels are chosen by length, and one may be broken."""
    for entry in entries:
        where = f"{what} of {entry['length']} tokens"
        finding = check_logits(entry, where)
        if finding is None and "relative_difference" in entry:
            finding = check_agreement(entry, request, where, tolerance=tolerance)
        if finding is not None:
            return replace(finding, code="wrong_at_length")
    return None


def check_choices(entries: Iterable[Mapping[str, JSON]], request: ValidationRequest) -> Finding | None:
    """Refuse a device that takes other tokens than the likeliest of its own logits, which may be right."""
    for entry in entries:
        for operator, gap in entry.get("choices", {}).items():
            if gap != 0:
                return Finding(
                    code="wrong_choice",
                    message=f"`{operator}` on `{request.device}` takes other tokens than the likeliest of "
                    f"the logits of {entry['length']} tokens, which are sane: what is generated is wrong",
                    hints=(DRIVER_HINT, "move the logits to the CPU before a token is chosen until then"),
                )
    return None
