"""What `provision verify` answers: every file that is not as it was built, whose it is, and what to do."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from provisioner.engines.store.store import StoreCheck
from provisioner.errors import ExitCode, InstallError
from provisioner.ground.text import count_of
from provisioner.install.generations import Generation
from provisioner.install.verify import Change, Comparison, Difference
from provisioner.render.result import Result

_SHOWN = 20  # of one package; the document has all
_WORDS = {
    Change.CHANGED: "changed",
    Change.MISSING: "missing",
    Change.ADDED: "added",
    Change.LINK: "leading elsewhere",
    Change.MODE: "with other permissions",
}


def render_verify(
    environments: Sequence[tuple[Generation, Comparison | InstallError]],
    broken: Sequence[tuple[str, InstallError]],
    *,
    startup: Collection[str],
    store: StoreCheck,
    fast: bool,
    seconds: float,
) -> Result:
    """Return the answer of a verification.

    Args:
        environments: Every generation with its comparison, or why there is none.
        broken: Environments that cannot be used, with why.
        startup: Files that Python runs at every start, among those that differ.
        store: What came of the stored files.
        fast: Whether only files were read that look changed.
        seconds: How long it took.
    """
    errors = [error for _, error in broken]
    lines = [f"{name}: cannot be verified" for name, _ in broken]
    rows = []
    for generation, compared in environments:
        name = generation.receipt.environment
        row: dict[str, Any] = {
            "environment": name,
            "generation": generation.number,
            "prefix": str(generation.prefix),
        }
        if isinstance(compared, InstallError):
            errors.append(compared)
            lines.append(f"{name}: cannot be verified")
            rows.append(row | {"files": 0, "hashed": 0, "error": compared.message, "differences": []})
            continue
        found = [_row(each, startup=each.file in startup) for each in compared.differences]
        rows.append(row | {"files": compared.files, "hashed": compared.hashed, "differences": found})
        lines += _lines(name, compared, startup)
        if found:
            errors.append(_changed(name, compared))
    lines += [
        f"store: `{path.name}` is not the file with sha256 {path.parent.name}" for path in store.damaged
    ]
    if store.damaged:
        errors.append(_damaged(store.damaged))
    else:
        lines.append(f"store: {count_of(store.files, 'file')} as they should be")
    data = {
        "fast": fast,
        "seconds": round(seconds, 3),
        "environments": rows,
        "broken": [{"environment": name, "error": error.message} for name, error in broken],
        "store": {
            "files": store.files,
            "hashed": store.hashed,
            "damaged": [str(path) for path in store.damaged],
        },
    }
    return Result(
        data=data,
        text="\n".join(lines),
        exit_code=ExitCode.INSTALL if errors else ExitCode.OK,
        errors=tuple(errors),
    )


def render_repair(environment: Result, restored: Sequence[Difference]) -> Result:
    """Return the answer of a repair: that of the environment, and the files that were put back."""
    lines = [_describe_restored(each) for each in restored[:_SHOWN]]
    if len(restored) > _SHOWN:
        lines.append(f"and {count_of(len(restored) - _SHOWN, 'more file')}")
    return replace(
        environment,
        data={**environment.data, "restored": [asdict(each) for each in restored]},
        text="\n".join([*lines, environment.text]),
    )


def _describe_restored(difference: Difference) -> str:
    if difference.change is Change.ADDED:
        return f"removed {difference.file}: {difference.detail}"
    missing = difference.change is Change.MISSING
    was = "it was missing" if missing else difference.detail.replace(" is ", " was ")
    return f"restored {difference.file}: {was}"


def describe_changes(differences: Sequence[Difference]) -> str:
    """Return the counts in words: ``2 files changed, 1 missing``."""
    counts = Counter(each.change for each in differences)
    first, *others = [(counts[change], word) for change, word in _WORDS.items() if counts[change]]
    return ", ".join([f"{count_of(first[0], 'file')} {first[1]}", *(f"{n} {word}" for n, word in others)])


def _row(difference: Difference, *, startup: bool) -> dict[str, Any]:
    return asdict(difference) | {"startup": startup}


def _lines(name: str, compared: Comparison, startup: Collection[str]) -> Iterator[str]:
    if not compared.differences:
        yield f"{name}: {count_of(compared.files, 'file')} as built"
        return
    yield f"{name}: {describe_changes(compared.differences)}, of {compared.files}"
    by_package: dict[tuple[str, str], list[Difference]] = {}
    for each in compared.differences:
        by_package.setdefault((each.package or "", each.version or ""), []).append(each)
    for (package, version), differences in sorted(by_package.items()):
        yield f"  {package} {version}" if package else "  no package"
        for each in differences[:_SHOWN]:
            origin = f" ({each.origin})" if each.origin else ""
            note = "; Python runs it at every start" if each.file in startup else ""
            yield f"    {each.change.value:<8} {each.file}{origin}: {each.detail}{note}"
        if len(differences) > _SHOWN:
            yield f"    and {len(differences) - _SHOWN} more; `--json` lists all"


def _changed(name: str, compared: Comparison) -> InstallError:
    return InstallError(
        "install.changed",
        f"environment `{name}` is not as it was built: {describe_changes(compared.differences)}",
        hints=[f"run `provision repair {name}` to restore these files"],
        context={"environment": name, "count": len(compared.differences)},
    )


def _damaged(paths: Sequence[Path]) -> InstallError:
    names = ", ".join(f"`{path.name}`" for path in paths[:3])
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return InstallError(
        "install.store_damaged",
        f"stored files are not what was locked: {names}{more}",
        hints=["delete them, or leave them: the next build that needs one notices it and fetches it again"],
        context={"paths": [str(path) for path in paths]},
    )
