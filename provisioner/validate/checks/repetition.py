"""Does a second process, which finds the kernels compiled, calculate what the first did?"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from provisioner.validate.checks.finding import DRIVER_HINT, Finding
from provisioner.validate.model import JSON, CheckRecord

_LARGEST_DIFFERENCE = 0.02
"""Relative norm between the logits of two runs. The same kernels give the same bits, or differ in the order
of additions, by far less than 16 bits lose against fp32."""


def measure_repetition(first: Mapping[str, JSON], second: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return, per length, how far the samples of the logits of two `forward` checks are apart."""
    again = {entry["length"]: entry for entry in second.get("lengths", ())}
    return {
        "lengths": [
            {
                "length": entry["length"],
                "difference": _compare(entry["sample"], again[entry["length"]]["sample"]),
                "same_top": entry["top"] == again[entry["length"]]["top"],
            }
            for entry in first["lengths"]
            if entry["length"] in again
        ]
    }


def _compare(first: Sequence[Any], second: Sequence[Any]) -> float | None:
    """Return the relative norm of the difference; None where one of them has no numbers."""
    if len(first) != len(second) or None in (*first, *second):
        return None
    return math.dist(first, second) / (math.hypot(*first) or 1.0)


def check_repetition(measured: Mapping[str, JSON], bad: CheckRecord | None) -> Finding | None:
    """Refuse a second process that failed, or that calculated something else."""
    if bad is not None:
        return Finding(
            code="unstable",
            message=f"a second process failed in `{bad.name}`, which the first had passed: {bad.reason}",
            hints=_HINTS,
        )
    for entry in measured["lengths"]:
        difference = entry["difference"]
        if difference is None or difference > _LARGEST_DIFFERENCE:
            said = "by no number" if difference is None else f"by {difference:.2g}"
            return Finding(
                code="unstable",
                message=f"a second process differs from the first {said} at {entry['length']} tokens, where "
                f"{_LARGEST_DIFFERENCE:g} is allowed: what is compiled and what is kept are not the same",
                hints=_HINTS,
            )
    return None


_HINTS = (
    "remove the cache of compiled kernels, or set `SYCL_CACHE_PERSISTENT=0` in the profile",
    DRIVER_HINT,
)
