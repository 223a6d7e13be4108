"""What a log's versions, program and card say about its failure: too old, retired, unfit.

Pure: facts (``stack.yaml``) and what the log shows go in, statements come out.
"""

from collections.abc import Container, Sequence

from packaging.version import InvalidVersion, Version

from provisioner.diagnose.failures.answer import Statement, Surroundings
from provisioner.diagnose.failures.model import Fact, Stack

_MOST_STATEMENTS = 2


def list_statements(
    names: Sequence[str], stack: Stack, seen: Surroundings, held: Container[str] = ()
) -> list[Statement]:
    """Return what the log shows to be so, of the named facts: what proves a cause first; two at most.

    One that leaves no room for others comes alone.

    Args:
        names: Keys of ``stack.facts``.
        stack: What is known of releases.
        seen: Versions, programs, system and card of the log.
        held: Sources of the signatures that the log holds.
    """
    facts = [stack.facts[name] for name in names if _holds(stack.facts[name], seen, held)]
    facts.sort(key=lambda fact: not fact.proves)
    facts = [fact for fact in facts if fact.sole][:1] or facts[:_MOST_STATEMENTS]
    return [_state(fact, stack, seen) for fact in facts]


def _holds(fact: Fact, seen: Surroundings, held: Container[str]) -> bool:
    """Tell whether the log shows all that the fact is about."""
    return (
        (not fact.programs or any(program.name in fact.programs for program in seen.programs))
        and (not fact.systems or seen.system in fact.systems)
        and (not fact.architectures or seen.architecture in fact.architectures)
        and (fact.package is None or _suits_version(fact, fact.package, seen))
        and all(any(each.source in held for each in row) for row in fact.shows)
        and not any(each.source in held for each in fact.lacks)
    )


def _suits_version(fact: Fact, package: str, seen: Surroundings) -> bool:
    version = _read_version(seen, package)
    if version is None or not (version.local or "").startswith(fact.local):
        return False
    if fact.differs_from is not None:
        other = _read_version(seen, fact.differs_from)
        return other is not None and other.release[:2] != version.release[:2]
    return (
        (fact.since is None or version >= Version(fact.since))
        and (fact.below is None or version < Version(fact.below))
        and (fact.build_below is None or _find_build(version) < fact.build_below)
    )


def _read_version(seen: Surroundings, package: str) -> Version | None:
    try:
        return Version(seen.versions[package])
    except (KeyError, InvalidVersion):
        return None


def _find_build(version: Version) -> int:
    """Return the build of a driver: of 26.05.37020.3 and of 1.6.37020 the third number."""
    return version.release[2] if len(version.release) > 2 else 0  # year, week, build


def _state(fact: Fact, stack: Stack, seen: Surroundings) -> Statement:
    text = seen.versions.get(fact.package or "", "")
    version = _read_version(seen, fact.package or "")
    table = stack.released.get(fact.package or "", {})
    released = table.get(".".join(map(str, version.release[:2])), "") if version else ""
    words = {"version": text, "released": released, "card": seen.card or seen.architecture or ""}
    if fact.differs_from:
        words["other"] = seen.versions.get(fact.differs_from, "")
    return Statement(
        cause=fact.cause.format(**words),
        steps=tuple(step.format(**words) for step in fact.steps),
        replaces=fact.replaces,
        proves=fact.proves,
        sole=fact.sole,
    )
