"""Were the weights really rounded, and by no more than the precision does?"""

from collections.abc import Mapping

from provisioner.validate.checks.finding import REBUILD_HINT, Finding
from provisioner.validate.model import JSON, ValidationRequest
from provisioner.validate.tolerances import LOW_BIT


def check_rounding(measured: Mapping[str, JSON], request: ValidationRequest) -> Finding | None:
    """Compare the weights that the device has with the model's own, matrix by matrix.

    A matrix that did not change was left as it was; one that changed too much was damaged.
    """
    kept: list[str] = measured.get("left", [])
    if kept:
        return _not_converted(request, f"{len(kept)} linear layers such as `{kept[0]}` as they were")
    rounding = measured["rounding"]
    if not rounding["matrices"] or not rounding["smallest"]:
        return _not_converted(request, "weights as they were")
    largest = rounding["largest"]
    if largest is not None and largest <= LOW_BIT[request.precision]:
        return None
    said = "into no numbers" if largest is None else f"by {largest:.2g} of its norm"
    return Finding(
        code="wrong_weights",
        message=f"the conversion to {request.precision} changed `{rounding['largest_of']}` {said}, where "
        f"rounding changes {LOW_BIT[request.precision]:g} at most",
        hints=(REBUILD_HINT,),
    )


def _not_converted(request: ValidationRequest, what: str) -> Finding:
    return Finding(
        code="not_converted",
        message=f"the conversion to {request.precision} left {what}: they would need the memory of 16 bits",
        hints=(REBUILD_HINT,),
    )
