"""Machines that did not pass for the same cause: told once, and mended at once."""

from collections.abc import Iterable
from dataclasses import dataclass

from provisioner.diagnose.failures.answer import Match
from provisioner.diagnose.fleet.machine import Machine, Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Machines with one cause; ``match`` is None where the catalogue has no word for it."""

    status: Status
    match: Match | None
    machines: tuple[Machine, ...]


def group_machines(machines: Iterable[Machine]) -> tuple[Group, ...]:
    """Return the machines that did not pass by status and cause, in the order of the first of each."""
    groups: dict[tuple[Status, str], list[Machine]] = {}
    for machine in machines:
        if machine.status is not Status.PASSED:
            cause = machine.matches[0].id if machine.matches else f"{machine.code} {machine.reason}"
            groups.setdefault((machine.status, cause), []).append(machine)
    return tuple(
        Group(
            status=status,
            match=found[0].matches[0] if found[0].matches else None,
            machines=tuple(found),
        )
        for (status, _), found in groups.items()
    )


def count_locks(machines: Iterable[Machine]) -> dict[str, dict[str, int]]:
    """Return profile to the locks that its machines have, each with their number; the commonest first."""
    counts: dict[str, dict[str, int]] = {}
    for machine in machines:
        if machine.lock_fingerprint:
            own = counts.setdefault(machine.profile, {})
            own[machine.lock_fingerprint] = own.get(machine.lock_fingerprint, 0) + 1
    return {profile: dict(sorted(own.items(), key=lambda item: -item[1])) for profile, own in counts.items()}
