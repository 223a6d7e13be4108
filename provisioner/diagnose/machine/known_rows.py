"""The rows of ``envs/known.yaml``: their fields, and the parser that refuses a row without source or date."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from provisioner.errors import InternalError
from provisioner.ground.yaml_fields import ListOf, MapOf, Record, Spec, Text, check_node
from provisioner.ground.yaml_reader import read_yaml
from provisioner.ground.yaml_tree import plain

_CLAUSE = r"(?:>=|<=|==|!=|<|>)[0-9][0-9a-zA-Z.+*]*"
_RANGE = Text(pattern=rf"{_CLAUSE}(?:,{_CLAUSE})*", expected='a range like ">=2.13,<2.14"')
_DATE = Text(pattern=r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", expected='a date like "2026-11-15"')
_SENTENCE = Text(pattern=r".*[^.\s]", expected="a sentence without its period")
_WHEN: dict[str, Spec] = {
    "gpu": ListOf(item=Text(), min_items=1),
    "os": ListOf(item=Text(choices=("linux", "windows", "wsl")), min_items=1),
    "release": Text(),
    "not_release": Text(),
    "kernel": _RANGE,
    "driver": _RANGE,
    "runtime": _RANGE,
    "packages": MapOf(key=Text(), value=_RANGE),
    "absent": ListOf(item=Text(), min_items=1),
    "variables": MapOf(key=Text(), value=Text()),
    "devices": Text(choices=("two-gpus",)),
    "host": Text(),
}
_ROW: dict[str, Spec] = {
    "id": Text(pattern=r"[a-z0-9]+(?:-[a-z0-9]+)*", expected="words of small letters joined by `-`"),
    "kind": Text(choices=("bad", "slow", "floor", "good")),
    "level": Text(choices=("stop", "warn", "tell")),
    "when": Record(fields=_WHEN),
    "effect": _SENTENCE,
    "remedy": _SENTENCE,
    "status": Text(choices=("open", "mended", "wontfix", "unconfirmed")),
    "source": Text(),
    "address": Text(pattern=r"https://[^\s]+", expected="an address"),
    "date": _DATE,
    "until": Text(),
    "date_of": Text(choices=("reading",)),
}
_OPTIONAL = {"until", "date_of"}
_LEDGER = Record(
    fields={
        "schema": Text(choices=("provision.known/1",)),
        "rows": ListOf(item=Record(fields=_ROW, required=tuple(key for key in _ROW if key not in _OPTIONAL))),
    },
    required=("schema", "rows"),
)


class Kind(StrEnum):
    """What is known."""

    BAD = "bad"
    SLOW = "slow"
    FLOOR = "floor"
    GOOD = "good"


class Level(StrEnum):
    """What `create` does about it."""

    STOP = "stop"
    WARN = "warn"
    TELL = "tell"


@dataclass(frozen=True, kw_only=True, slots=True)
class When:
    """What must hold for a row; the words are explained in ``envs/known.yaml``."""

    gpu: Sequence[str] = ()
    os: Sequence[str] = ()
    release: str | None = None
    not_release: str | None = None
    kernel: str | None = None
    driver: str | None = None
    runtime: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    absent: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    devices: str | None = None
    host: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One known combination.

    Attributes:
        effect: What happens; a sentence without its period.
        remedy: What to do.
        source: Where it was read; ``address`` is the page.
        date: Of the report; with ``date_of`` ``reading`` of our reading, where the source has no date.
        until: In which version a ``mended`` row was mended.
    """

    id: str
    kind: Kind
    level: Level
    when: When
    effect: str
    remedy: str
    status: str
    source: str
    address: str
    date: str
    date_of: str = "report"
    until: str | None = None


def parse_ledger(data: bytes, file: str) -> tuple[Row, ...]:
    """Return the rows of a ledger.

    Raises:
        InternalError: ``known.invalid``; it travels with the package, so a mistake in it is ours.
    """
    root, problems = read_yaml(data, file)
    checked = check_node(root, _LEDGER, problems, name="the ledger") if root is not None else None
    if problems or checked is None:
        raise InternalError("known.invalid", f"{problems[0].origin}: {problems[0].message}")
    rows: dict[str, Row] = {}
    for entry in plain(checked)["rows"]:
        values = {**entry, "kind": Kind(entry["kind"]), "level": Level(entry["level"])}
        row = Row(**values | {"when": When(**entry["when"])})
        if row.id in rows or not entry["when"]:
            why = "is written twice" if row.id in rows else "says nothing under `when`"
            raise InternalError("known.invalid", f"{file}: row `{row.id}` {why}")
        if row.kind is Kind.GOOD and row.level is not Level.TELL:
            raise InternalError("known.invalid", f"{file}: row `{row.id}` is good and stops or warns")
        rows[row.id] = row
    return tuple(rows.values())
