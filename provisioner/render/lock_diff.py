"""Write a diff of locks as plain text and as Markdown for a pull request."""

from collections.abc import Iterator, Sequence

from provisioner.lock.diff import Kind, LockDiff, PackageChange, PlatformDiff

_SIGNS = {Kind.ADDED: "+", Kind.REMOVED: "-", Kind.CHANGED: "~"}
_HEADER = ("| | package | before | after | remarks |", "| --- | --- | --- | --- | --- |")
# A comment of a pull request holds 65,536 characters; several profiles share it.
MAX_ROWS = 150


def as_text(diff: LockDiff) -> str:
    """Return lines for a terminal: ``~ torch 2.9.1+xpu -> 2.9.1+cpu (pip): remarks``."""
    if diff.empty:
        return f"{diff.profile}: no change\n"
    lines = []
    for platform in diff.platforms:
        lines.append(f"{diff.profile} {platform.platform}: {_counts(platform)}")
        lines += [f"  {_text_row(change)}" for change in platform.changes]
    lines += [f"note added: {note}" for note in diff.notes_added]
    lines += [f"note removed: {note}" for note in diff.notes_removed]
    return "\n".join(lines) + "\n"


def as_markdown(diff: LockDiff) -> str:
    """Return a section for a pull request: a table for what matters, the rest folded away."""
    lines = [f"### `{diff.profile}`", ""]
    if diff.empty:
        return "\n".join([*lines, "No change.", ""])
    for platform in diff.platforms:
        lines += [f"**{platform.platform}**: {_counts(platform)}", ""]
        lines += _table([change for change in platform.changes if change.important])
        lines += _folded([change for change in platform.changes if not change.important])
    notes = [f"- added: {_cell(note)}" for note in diff.notes_added]
    notes += [f"- removed: {_cell(note)}" for note in diff.notes_removed]
    if notes:
        lines += ["Notes", "", *notes, ""]
    return "\n".join(lines)


def _counts(platform: PlatformDiff) -> str:
    numbers = {kind: sum(change.kind is kind for change in platform.changes) for kind in Kind}
    counts = ", ".join(f"{number} {kind.value}" for kind, number in numbers.items() if number)
    if platform.kind is Kind.CHANGED:
        return counts
    return f"platform {platform.kind.value}" + (f" ({counts})" if counts else "")


def _text_row(change: PackageChange) -> str:
    versions = " -> ".join(version for version in (change.old, change.new) if version)
    remarks = f": {'; '.join(change.flags)}" if change.flags else ""
    source = change.new_source or change.old_source
    return f"{_SIGNS[change.kind]} {change.name} {versions} ({change.manager}, {source}){remarks}"


def _table(changes: Sequence[PackageChange]) -> list[str]:
    return [*_HEADER, *_rows(changes), ""] if changes else []


def _folded(changes: Sequence[PackageChange]) -> list[str]:
    if not changes:
        return []
    summary = f"<details><summary>{len(changes)} other packages</summary>"
    more = [f"and {len(changes) - MAX_ROWS} more", ""] if len(changes) > MAX_ROWS else []
    return [summary, "", *_table(changes[:MAX_ROWS]), *more, "</details>", ""]


def _rows(changes: Sequence[PackageChange]) -> Iterator[str]:
    for change in changes:
        cells = [
            _SIGNS[change.kind],
            f"{_cell(change.name)} ({change.manager})",
            _code(change.old),
            _code(change.new),
            _cell("; ".join(change.flags)),
        ]
        yield f"| {' | '.join(cells)} |"


def _code(text: str | None) -> str:
    return f"`{_cell(text).replace('`', '')}`" if text else ""


def _cell(text: str) -> str:
    # Versions and names come from indexes: none may end a cell, open a tag or call a person by name.
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").replace("@", "@\u200b").split())
