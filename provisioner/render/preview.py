"""What `create --dry-run` answers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from provisioner.ground.text import count_of
from provisioner.install.plan import InstallPlan
from provisioner.lock.diff import Kind, LockDiff
from provisioner.render.amounts import format_bytes
from provisioner.render.lock_diff import as_text
from provisioner.render.result import Result
from provisioner.resolve.model import CondaPackage, PipPackage


def render_preview(
    plan: InstallPlan,
    wanted: Sequence[tuple[CondaPackage | PipPackage, str]],
    *,
    up_to_date: bool,
    changed: Sequence[str],
    validate: str | None,
    changes: LockDiff,
    stored_bytes: int,
    disk_bytes: int,
    free_bytes: int,
) -> Result:
    """Return what would be fetched from where and changed, and what the disk needs.

    ``wanted`` names each file's source, ``changes`` compares the lock with the one that was built. Where
    nothing would be built, ``changed`` are edited files, and ``validate`` the device of a validation.
    """
    sizes = [package.size for package, _ in wanted]
    known = sum(size or 0 for size in sizes)
    data = {
        "environment": plan.environment,
        "profile": plan.profile,
        "platform": plan.platform,
        "base": plan.base,
        "up_to_date": up_to_date,
        "changed": list(changed),
        "validate": validate,
        "packages": {"conda": len(plan.conda), "wheel": len(plan.wheels), "asset": len(plan.assets)},
        "changes": asdict(changes) | {"text": as_text(changes)},
        "fetch": [
            {"filename": package.filename, "bytes": package.size, "from": source}
            for package, source in wanted
        ],
        "fetch_bytes": known,
        "unknown_sizes": sum(size is None for size in sizes),
        "stored_bytes": stored_bytes,
        "disk_bytes": disk_bytes,
        "free_bytes": free_bytes,
    }
    if up_to_date:
        return Result(data=data, text=_describe_built(plan.environment, changed, validate))
    have = len({package.sha256 for package in plan.files}) - len(wanted)
    lines = [
        f"{plan.environment}: would be built as a {plan.base} of {count_of(len(plan.files), 'file')}",
        f"  in the store already: {count_of(have, 'file')}, {format_bytes(stored_bytes)}",
    ]
    for source, count in Counter(source for _, source in wanted).most_common():
        own = [package.size for package, each in wanted if each == source]
        unknown = sum(size is None for size in own)
        size = format_bytes(sum(each or 0 for each in own)) + (
            f" and {unknown} of unknown size" if unknown else ""
        )
        lines.append(f"  from {source}: {count_of(count, 'file')}, {size}")
    if any(platform.kind is Kind.CHANGED for platform in changes.platforms):
        lines += [f"  {line}" for line in as_text(changes).splitlines()]
    lines.append(f"  disk: more than {format_bytes(disk_bytes)} needed, {format_bytes(free_bytes)} free")
    return Result(data=data, text="\n".join(lines))


def _describe_built(name: str, changed: Sequence[str], validate: str | None) -> str:
    state = f"{count_of(len(changed), 'file')} changed since it was built" if changed else "up to date"
    then = f", it would be validated on {validate}" if validate else ""
    return f"{name}: {state}, nothing would be built{then}"
