"""What `provision fleet` answers: one line a machine, each cause once, and the exit code."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from provisioner.diagnose.fleet.groups import Group, count_locks, group_machines
from provisioner.diagnose.fleet.machine import Machine, Status
from provisioner.diagnose.machine.known_rows import Kind, Row
from provisioner.errors import ProvisionError, UnavailableError, UnvalidatedError, ValidateError
from provisioner.render.amounts import shorten_name
from provisioner.render.explain import describe_match
from provisioner.render.result import Result

UNKNOWN = "-"
COLUMNS = ("machine", "profile", "card", "driver", "verdict", "tokens/s")
_WIDEST = {"machine": 40, "profile": 24, "card": 32, "driver": 24}
_MOST_NAMES = 8
_HINTS = {
    Status.UNREACHABLE: "see that Ansible reaches it: `ansible HOST -i INVENTORY -m ping`",
    Status.MISSING: "run `provision fleet run` again",
    Status.UNKNOWN: "do not trust it: look at its file, and validate that machine again",
}
_PLAIN = tuple(
    name
    for name in Machine.__dataclass_fields__
    if name not in {"report", "log", "facts", "matches", "known"}
)

# The worst first: each exit code says that nothing worse is true of any machine.
_ERRORS: Sequence[tuple[type[ProvisionError], str, frozenset[Status], str, str]] = (
    (
        ValidateError,
        "fleet.failed",
        frozenset({Status.FAILED, Status.ERROR}),
        "failed",
        "read the causes in the report, mend them, and run `provision fleet run` again",
    ),
    (
        UnavailableError,
        "fleet.unreachable",
        frozenset({Status.UNREACHABLE, Status.MISSING}),
        "could not be reached or left no verdict",
        "start these machines or mend their connection, and run `provision fleet run` again",
    ),
    (
        UnvalidatedError,
        "fleet.unvalidated",
        frozenset({Status.UNVALIDATED, Status.UNKNOWN}),
        "cannot be counted as good",
        "read the reasons in the report; what was not validated may run or not",
    ),
)


def render_fleet(
    machines: Sequence[Machine], rows: Mapping[str, Row], *, files: Mapping[str, str] | None = None
) -> Result:
    """Return the table, its data, and the worst error.

    Args:
        machines: In the order in which they are shown.
        rows: Rows of the ledger that applied on a machine, by id.
        files: Kind to path of what was written beside.
    """
    errors = tuple(_list_errors(machines))
    counts = Counter(machine.status.value for machine in machines)
    data: dict[str, Any] = {
        "counts": {status.value: counts[status.value] for status in Status},
        "machines": [_as_json(machine) for machine in machines],
        "causes": [_group_as_json(group) for group in group_machines(machines)],
        "known": [_row_as_json(row, machines) for row in rows.values()],
        "locks": count_locks(machines),
        "files": dict(files or {}),
    }
    lines = [
        *_table(machines),
        *_causes(machines),
        *_known(rows.values(), machines),
        *_notes(machines),
        *(f"written to {path}" for path in (files or {}).values()),
        summarise(machines),
    ]
    return Result(
        data=data,
        text="\n".join(lines),
        exit_code=errors[0].exit_code if errors else 0,
        errors=errors,
    )


def summarise(machines: Sequence[Machine]) -> str:
    """Return ``6 machines: 1 failed, 1 unreachable, 4 passed``."""
    counts = Counter(machine.status for machine in machines)
    told = ", ".join(f"{counts[status]} {status.value}" for status in Status if counts[status])
    return f"{len(machines)} machine{'s' if len(machines) != 1 else ''}: {told}"


def list_cells(machine: Machine) -> tuple[str, ...]:
    """Return what stands in ``COLUMNS`` for a machine; a dash for what is not known."""
    speed = machine.decode_tokens_per_second
    return (
        machine.host,
        machine.profile or UNKNOWN,
        machine.card or UNKNOWN,
        machine.driver or UNKNOWN,
        machine.status.value,
        UNKNOWN if speed is None else f"{speed:.1f}",
    )


def list_hints(group: Group) -> tuple[str, ...]:
    """Return what to do about machines whose failure the catalogue does not know."""
    usual = _HINTS.get(group.status, "")
    own = group.machines[0].hints
    return (usual,) if group.status is Status.UNKNOWN or (usual and not own) else own


def name_hosts(machines: Sequence[Machine], most: int = _MOST_NAMES) -> str:
    """Return the machines' names, of many only the first."""
    names = ", ".join(f"`{machine.host}`" for machine in machines[:most])
    return names if len(machines) <= most else f"{names} and {len(machines) - most} more"


def list_marked(row: Row, machines: Iterable[Machine]) -> tuple[Machine, ...]:
    """Return the machines on which a row of the ledger applied."""
    return tuple(machine for machine in machines if row.id in machine.known)


def _list_errors(machines: Sequence[Machine]) -> Iterator[ProvisionError]:
    for kind, code, statuses, words, hint in _ERRORS:
        found = [machine for machine in machines if machine.status in statuses]
        if found:
            yield kind(
                code,
                f"{len(found)} of {len(machines)} machines {words}: {name_hosts(found)}",
                hints=[hint],
                retryable=kind is UnavailableError,
                context={"machines": [machine.host for machine in found]},
            )


def _table(machines: Iterable[Machine]) -> Iterator[str]:
    rows = [COLUMNS, *(list_cells(machine) for machine in machines)]
    rows = [
        tuple(shorten_name(cell, _WIDEST.get(name, 99)) for name, cell in zip(COLUMNS, row, strict=True))
        for row in rows
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(len(COLUMNS))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[-1] = row[-1].rjust(widths[-1])
        yield "  ".join(cells)


def _causes(machines: Iterable[Machine]) -> Iterator[str]:
    for group in group_machines(machines):
        first = group.machines[0]
        yield ""
        yield f"{group.status.value}: {name_hosts(group.machines)}"
        yield f"  {first.reason}"
        if group.match:
            yield from (f"  {line}" for line in describe_match(group.match).splitlines())
        else:
            yield from (f"  hint: {hint}" for hint in list_hints(group))


def _known(rows: Iterable[Row], machines: Sequence[Machine]) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield ""
        yield f"known: {row.effect} ({row.source}, {row.date}): {name_hosts(list_marked(row, machines))}"
        if row.kind is not Kind.GOOD:
            yield f"  hint: {row.remedy}"


def _notes(machines: Sequence[Machine]) -> Iterator[str]:
    yield ""
    for machine in machines:
        yield from (f"note: {machine.host}: {note}" for note in machine.notes)
    for profile, locks in count_locks(machines).items():
        if len(locks) > 1:
            told = ", ".join(f"`{lock[:12]}` on {count}" for lock, count in locks.items())
            yield f"note: the machines of `{profile}` have {len(locks)} different locks: {told}"


def _as_json(machine: Machine) -> dict[str, Any]:
    values = {name: getattr(machine, name) for name in _PLAIN}
    return {
        **values,
        "status": machine.status.value,
        "hints": list(machine.hints),
        "notes": list(machine.notes),
        "known": list(machine.known),
        "matches": [match.id for match in machine.matches],
    }


def _group_as_json(group: Group) -> dict[str, Any]:
    return {
        "status": group.status.value,
        "match": asdict(group.match) if group.match else None,
        "reason": group.machines[0].reason,
        "machines": [machine.host for machine in group.machines],
    }


def _row_as_json(row: Row, machines: Iterable[Machine]) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind.value,
        "level": row.level.value,
        "effect": row.effect,
        "remedy": row.remedy,
        "source": row.source,
        "address": row.address,
        "date": row.date,
        "machines": [machine.host for machine in list_marked(row, machines)],
    }
