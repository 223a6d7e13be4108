"""Say which layer of a machine is broken: gather, then judge; save the facts, judge them elsewhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from provisioner.diagnose.machine.facts import HostFacts, Reach
from provisioner.diagnose.machine.facts_json import as_json, parse_facts, scrub
from provisioner.diagnose.machine.layers import LAYERS, LayerResult, WantedHost, judge, verdict_of


class HostProbe(Protocol):
    """Gather what the layers judge, without torch and within two seconds."""

    def gather(self, *, target: Path, variables: Mapping[str, str]) -> HostFacts:
        """Return the facts of this machine.

        Args:
            target: The folder where the environment is, or would be built.
            variables: The inherited environment; only a fixed list of names is kept.
        """
        ...


class IndexProbe(Protocol):
    """Ask indexes whether they answer."""

    def ask(self, indexes: Mapping[str, str]) -> tuple[Reach, ...]:
        """Return one answer per index name; the addresses are asked and not kept."""
        ...


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


def save_facts(facts: HostFacts, *, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the document of ``--save``, without names, home folders and passwords.

    Args:
        facts: What was gathered, the environment, network and torch included.
        variables: The inherited environment: it knows which words are the user's and the machine's name.
    """
    return as_json(scrub(facts, variables=variables))


def load_facts(document: object) -> HostFacts:
    """Read the document of ``--from``; it may come from anyone.

    Raises:
        UsageError: ``doctor.bad_facts``.
    """
    return parse_facts(document)
