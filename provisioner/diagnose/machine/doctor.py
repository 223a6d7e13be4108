"""Say which layer of a machine is broken."""

from collections.abc import Sequence
from typing import Any

from provisioner.diagnose.machine.facts import HostFacts
from provisioner.diagnose.machine.layers import LAYERS, LayerResult, WantedHost, judge, verdict_of


def list_layers() -> tuple[tuple[str, str], ...]:
    """Return each layer's name and what it looks at."""
    return tuple((name, (check.__doc__ or "").splitlines()[0]) for name, check in LAYERS.items())


def examine(facts: HostFacts, wanted: WantedHost, *, layers: Sequence[str] | None = None) -> dict[str, Any]:
    """Judge and return the ``data`` of the result document.

    Keys: ``outcome`` (``ok``, ``fail``, ``unsupported``, ``unknown``), ``layers`` (in order), ``first`` (the
    name of the lowest layer that fails, or None).
    """
    results = judge(facts, wanted, layers=layers)
    return describe(results)


def describe(results: Sequence[LayerResult]) -> dict[str, Any]:
    """Return results as the ``data`` of the result document."""
    broken = next((result.name for result in results if result.verdict.value == "fail"), None)
    return {
        "outcome": verdict_of(results).value,
        "first": broken,
        "layers": [result.as_json() for result in results],
    }
