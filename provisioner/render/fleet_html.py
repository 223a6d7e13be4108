"""A fleet as one self-contained page: machines, causes with cures, what is known of the cards."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from string import Template

from provisioner import __version__
from provisioner.diagnose.fleet.groups import Group, count_locks, group_machines
from provisioner.diagnose.fleet.machine import Machine, Status
from provisioner.diagnose.machine.known_rows import Kind, Row
from provisioner.render.fleet import (
    COLUMNS,
    UNKNOWN,
    list_cells,
    list_hints,
    list_marked,
    name_hosts,
    summarise,
)
from provisioner.render.page import bullets, prose, section, write_page

_COLOURS = {Status.PASSED: "passed", Status.FAILED: "failed", Status.ERROR: "failed"}
_MOST_NAMES = 40
_STYLE = """\
:root { --verdict: var(--$colour); }
code { overflow-wrap: anywhere; }
.cause { margin-bottom: 12px; }
.counts { grid-template-columns: repeat(auto-fit, minmax(95px, 1fr)); }
.stack td { overflow-wrap: anywhere; }
.stack td.status { white-space: nowrap; }
@media (max-width: 640px) {
  .stack thead { position: absolute; left: -999em; }
  .stack tr { display: block; padding: 8px 0; border-bottom: 1px solid var(--line); }
  .stack tr:last-child { border-bottom: 0; }
  .stack td { display: flex; justify-content: space-between; gap: 16px; border: 0; padding: 1px 0; }
  .stack td.blank { display: none; }
  .stack td.number { text-align: left; white-space: normal; }
  .stack td::before { content: attr(data-label); color: var(--soft); font-weight: 400; white-space: nowrap; }
}
"""


def write_html(machines: Sequence[Machine], rows: Mapping[str, Row]) -> str:
    """Return the page; machines in the order in which they are shown, the worst first."""
    title = f"fleet: {summarise(machines)}"
    body = "".join(
        (
            _header(machines),
            _figures(machines),
            _section("Machines", _table(machines), "card"),
            _section("Causes", "".join(_cause(group) for group in group_machines(machines)), ""),
            _section("Known of these cards and drivers", _known(rows.values(), machines), ""),
            _section("Notes", _notes(machines), "card"),
            f'<p class="soft">made by provision {escape(__version__)}</p>\n',
        )
    )
    return write_page(
        title=title, body=body, style=Template(_STYLE).substitute(colour=_colour(machines[0].status))
    )


def _section(title: str, content: str, style: str) -> str:
    """Return a section in a card; nothing where there is nothing to say."""
    if not content:
        return ""
    return section(title, f'<div class="{style}">{content}</div>' if style else content)


def _colour(status: Status) -> str:
    return _COLOURS.get(status, "error")


def _header(machines: Sequence[Machine]) -> str:
    passed = sum(machine.status is Status.PASSED for machine in machines)
    profiles = sorted({machine.profile for machine in machines if machine.profile})
    worst = machines[0].status.value
    named = ", ".join(f"<code>{escape(profile)}</code>" for profile in profiles)
    return (
        f'<header><p class="badge">{escape(worst)}</p>'
        f"<h1>{passed} of {len(machines)} machines passed</h1><p>{named}</p></header>\n"
    )


def _figures(machines: Iterable[Machine]) -> str:
    counts = Counter(machine.status for machine in machines)
    shown = "".join(
        f'<div><dt>{escape(status.value)}</dt><dd class="{_colour(status)}">{counts[status]}</dd></div>'
        for status in Status
        if counts[status]
    )
    return f'<dl class="card figures counts">{shown}</dl>\n'


def _table(machines: Iterable[Machine]) -> str:
    head = "".join(
        f'<th class="number">{escape(name)}</th>' if name == COLUMNS[-1] else f"<th>{escape(name)}</th>"
        for name in COLUMNS
    )
    body = "".join(f"<tr>{_cells(machine)}</tr>" for machine in machines)
    return f'<table class="stack"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cells(machine: Machine) -> str:
    styles = {"verdict": f"status {_colour(machine.status)}", COLUMNS[-1]: "number"}
    return "".join(
        f'<td data-label="{name}" class="{"blank" if cell == UNKNOWN else ""} {styles.get(name, "")}">'
        f"<span>{escape(cell)}</span></td>"
        for name, cell in zip(COLUMNS, list_cells(machine), strict=True)
    )


def _cause(group: Group) -> str:
    first = group.machines[0]
    names = prose(name_hosts(group.machines, _MOST_NAMES))
    parts = [
        f'<p><span class="status {_colour(group.status)}">{group.status.value}</span>: {names}</p>',
        f"<p>{prose(first.reason or '')}</p>",
    ]
    if group.match:
        parts.append(
            f"<p><strong>{prose(group.match.title)}</strong> "
            f'<span class="soft">{escape(group.match.id)}</span></p>'
            f"<p>Cause: {prose(group.match.cause)}</p><p>Fix: {prose(group.match.fix)}</p>"
        )
    else:
        parts.append(bullets(list_hints(group)))
    return f'<div class="card cause">{"".join(parts)}</div>'


def _known(rows: Iterable[Row], machines: Sequence[Machine]) -> str:
    return "".join(
        f'<div class="card cause"><p>{prose(row.effect)} '
        f'<span class="soft">({escape(row.source)}, {escape(row.date)}; {escape(row.id)})</span></p>'
        + ("" if row.kind is Kind.GOOD else f"<p>What to do: {prose(row.remedy)}</p>")
        + f'<p class="soft">{prose(name_hosts(list_marked(row, machines), _MOST_NAMES))}</p></div>'
        for row in rows
    )


def _notes(machines: Sequence[Machine]) -> str:
    notes = [f"`{machine.host}`: {note}" for machine in machines for note in machine.notes]
    for profile, locks in count_locks(machines).items():
        told = ", ".join(f"`{lock[:12]}` on {count}" for lock, count in locks.items())
        notes.append(f"lock of `{profile}`: {told}")
    return bullets(notes)
