"""Which locked packages are archived, and which Python ends: the table beside this file, asked."""

import importlib.resources
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from packaging.version import Version

from provisioner.diagnose.advisories.ignore import Ignore
from provisioner.diagnose.advisories.model import Ending, State
from provisioner.errors import InternalError
from provisioner.ground.yaml_fields import ListOf, Record, Spec, Text, check_node
from provisioner.ground.yaml_reader import read_document
from provisioner.ground.yaml_tree import plain

_NOTICE = timedelta(days=365)
_ROW: dict[str, Spec] = {
    "id": Text(),
    "package": Text(),
    "python": Text(),
    "state": Text(choices=("archived", "end")),
    "date": Text(pattern=r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", expected='a date like "2026-11-15"'),
    "note": Text(),
    "instead": Text(),
    "source": Text(pattern=r"https://[^\s]+", expected="an address"),
}
_TABLE = ListOf(
    item=Record(fields=_ROW, required=tuple(key for key in _ROW if key not in {"package", "python"}))
)


def load_rows() -> list[dict[str, Any]]:
    """Return the rows of the table.

    Raises:
        InternalError: ``lifecycle.invalid``; it travels with the package, so a mistake in it is ours.
    """
    file = importlib.resources.files("provisioner.diagnose.advisories").joinpath("lifecycle.yaml")
    node, problems = read_document(file.read_bytes(), "lifecycle.yaml")
    checked = check_node(node, _TABLE, problems, name="the table") if node is not None else None
    if problems or checked is None:
        raise InternalError("lifecycle.invalid", f"`lifecycle.yaml` is damaged: {problems[0]}")
    rows: list[dict[str, Any]] = plain(checked)
    return rows


def find_endings(
    packages: Mapping[tuple[str, str], tuple[str, ...]],
    pythons: Mapping[str, tuple[str, ...]],
    *,
    today: date,
    ignores: Mapping[str, Ignore],
) -> tuple[Ending, ...]:
    """Return what is archived or over, and what will be within a year.

    Args:
        packages: Name and version to the platforms that lock them.
        pythons: Python's version to the platforms.
        today: The day that counts.
        ignores: By id.
    """
    return tuple(
        Ending(
            package=name,
            version=version,
            id=row["id"],
            state=state,
            date=row["date"],
            note=row["note"],
            instead=row["instead"],
            source=row["source"],
            platforms=platforms,
            ignored=ignores.get(row["id"]),
        )
        for row in load_rows()
        if (state := _judge(row, today)) is not None
        for name, version, platforms in _find_locked(row, packages, pythons)
    )


def _judge(row: Mapping[str, Any], today: date) -> State | None:
    day = date.fromisoformat(row["date"])
    if row["state"] == "archived":
        return State.ARCHIVED if day <= today else None
    if day < today:
        return State.ENDED
    return State.ENDS if day - today <= _NOTICE else None


def _find_locked(
    row: Mapping[str, Any],
    packages: Mapping[tuple[str, str], tuple[str, ...]],
    pythons: Mapping[str, tuple[str, ...]],
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    if "python" in row:
        wanted = Version(row["python"]).release
        for version, platforms in pythons.items():
            if Version(version).release[:2] == wanted:
                yield "python", version, platforms
        return
    for (name, version), platforms in packages.items():
        if name == row["package"]:
            yield name, version, platforms
