"""What `provision lock` answers: written lockfiles, checked ones, and files that were asked for."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from provisioner.errors import ErrorList, ExitCode, ProvisionError
from provisioner.ground.text import count_of
from provisioner.lock.model import Lock
from provisioner.render.result import Result


def render_locked(outcomes: Iterable[tuple[str, tuple[Path, Lock, bool] | ProvisionError]]) -> Result:
    """Return what became of each profile: its lockfile, its lock and whether bytes changed, or the error."""
    rows: list[dict[str, Any]] = []
    lines: list[str] = []
    errors: list[ProvisionError] = []
    for profile, outcome in outcomes:
        if isinstance(outcome, ProvisionError):
            errors.extend(outcome.errors if isinstance(outcome, ErrorList) else [outcome])
            continue
        path, lock, changed = outcome
        counts = {part.platform: len(part.conda) + len(part.pip) for part in lock.platforms}
        said = ", ".join(f"{count_of(count, 'file')} for {name}" for name, count in counts.items())
        lines.append(f"{profile}: {path} {'written' if changed else 'unchanged'}, {said}")
        rows.append(
            {
                "profile": profile,
                "lockfile": str(path),
                "changed": changed,
                "packages": counts,
                "notes": list(lock.notes),
            }
        )
    return _result(rows, lines, errors)


def render_checked(outcomes: Iterable[tuple[str, PurePath, ProvisionError | None]]) -> Result:
    """Return which lockfiles are fresh, and why the others are not."""
    rows = []
    lines = []
    errors = []
    for profile, path, problem in outcomes:
        rows.append(
            {
                "profile": profile,
                "lockfile": str(path),
                "fresh": problem is None,
                "code": problem.code if problem else None,
                "changes": problem.context.get("changes", []) if problem else [],
            }
        )
        if problem is None:
            lines.append(f"{profile}: fresh ({path})")
        else:
            errors.append(problem)
    return _result(rows, lines, errors)


def render_verified(outcomes: Iterable[tuple[str, int, Sequence[ProvisionError]]]) -> Result:
    """Return how many files of each lockfile were asked for, and what is wrong with some."""
    rows = []
    lines = []
    errors: list[ProvisionError] = []
    for profile, files, problems in outcomes:
        rows.append({"profile": profile, "files": files, "problems": len(problems)})
        lines.append(f"{profile}: {count_of(files, 'file')} asked for, {count_of(len(problems), 'problem')}")
        errors.extend(problems)
    return _result(rows, lines, errors)


def render_attested(
    outcomes: Iterable[tuple[str, Mapping[str, str], Sequence[str], Sequence[ProvisionError]]],
) -> Result:
    """Return who signed the files of each lockfile, which have no attestation, and what does not hold."""
    rows = []
    lines = []
    errors: list[ProvisionError] = []
    for profile, publishers, silent, problems in outcomes:
        rows.append(
            {
                "profile": profile,
                "publishers": dict(publishers),
                "no_attestation": list(silent),
                "problems": len(problems),
            }
        )
        lines.append(
            f"{profile}: {count_of(len(publishers), 'file')} with an attestation that holds, "
            f"no attestation for {count_of(len(silent), 'file')}, {count_of(len(problems), 'problem')}"
        )
        lines += [f"  {filename}: {publisher}" for filename, publisher in publishers.items()]
        errors.extend(problems)
    return _result(rows, lines, errors)


def _result(rows: list[dict[str, Any]], lines: list[str], errors: Sequence[ProvisionError]) -> Result:
    return Result(
        data={"profiles": rows},
        text="\n".join(lines),
        exit_code=errors[0].exit_code if errors else ExitCode.OK,
        errors=tuple(errors),
    )
