"""Tell whether a lock still answers its profile, and if not, which key changed."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from packaging.utils import canonicalize_name

from provisioner.errors import LockError
from provisioner.ground.yaml_tree import Origin
from provisioner.lock.fingerprint import FIELDS, FINGERPRINT_VERSION, fingerprint_inputs
from provisioner.lock.model import LockHead
from provisioner.profile.model import Platform, Profile


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One difference between what was locked and what the profile says.

    Attributes:
        key: ``linux-64 pip``, or what concerns the whole lock (``profile``, ``platforms``, ``fingerprint``).
        reason: What happened to it: "`tabulate` was added".
        old: What was locked; None where there was nothing.
        new: What the profile says; None where there is nothing.
        origin: Where the profile says it, if that is known.
    """

    key: str
    reason: str
    old: str | None = None
    new: str | None = None
    origin: Origin | None = None

    def __str__(self) -> str:
        """Return the sentence that a user reads."""
        place = f" ({self.origin.file}:{self.origin.line})" if self.origin else ""
        return f"{self.key}: {self.reason}{place}"


def check_freshness(lock: LockHead, profile: Profile, *, lockfile: str) -> LockError | None:
    """Return the error that stops a command which needs a fresh lock; None for a fresh one.

    Needs no network and no file; ``lockfile`` is the file's name for the message.
    """
    changes = list(find_changes(lock, profile))
    if not changes:
        return None
    reasons = "".join(f"\n  {change}" for change in changes)
    found = [
        {**asdict(change), "origin": str(change.origin) if change.origin else None} for change in changes
    ]
    return LockError(
        "lock.stale",
        f"`{lockfile}` does not answer profile `{profile.name}`:{reasons}",
        hints=[f"run `provision lock {profile.name}`"],
        context={"profile": profile.name, "lockfile": lockfile, "changes": found},
    )


def find_changes(lock: LockHead, profile: Profile) -> Iterator[Change]:
    """Yield what makes the lock stale, in the order of the profile's platforms and fields."""
    if lock.profile != profile.name:
        yield Change(
            key="profile",
            reason=f"the lockfile belongs to `{lock.profile}`",
            old=lock.profile,
            new=profile.name,
        )
        return
    if lock.fingerprint_version != FINGERPRINT_VERSION:
        yield Change(
            key="fingerprint",
            reason=f"the lockfile lists fields in version {lock.fingerprint_version}, `provision` in"
            f" version {FINGERPRINT_VERSION}",
            old=str(lock.fingerprint_version),
            new=str(FINGERPRINT_VERSION),
        )
        return
    wanted = fingerprint_inputs(profile)
    locked = {key.partition(" ")[0] for key in lock.inputs}
    for name in sorted(locked.difference(platform.name for platform in profile.platforms)):
        yield Change(key="platforms", reason=f"`{name}` was removed", old=name)
    for number, platform in enumerate(profile.platforms):
        if platform.name not in locked:
            origin = profile.origins.get(f"platforms[{number}]")
            yield Change(
                key="platforms", reason=f"`{platform.name}` was added", new=platform.name, origin=origin
            )
            continue
        for field in FIELDS:
            key = f"{platform.name} {field}"
            if lock.inputs.get(key) != wanted.get(key):
                yield from _compare(profile, platform, field, old=lock.inputs.get(key), new=wanted.get(key))


def _compare(
    profile: Profile, platform: Platform, field: str, *, old: str | None, new: str | None
) -> Iterator[Change]:
    """Yield a change for each item of a list or mapping, or one for a single value."""
    left, right = _by_subject(field, old), _by_subject(field, new)
    for subject in sorted({*left, *right}):
        before, after = left.get(subject), right.get(subject)
        if before == after:
            continue
        if before is None:
            reason = f"`{subject or after}` was added"
        elif after is None:
            reason = f"`{subject or before}` was removed"
        else:
            reason = (
                f"`{subject}` moved to `{after}`" if field == "routes" else f"`{before}` became `{after}`"
            )
        yield Change(
            key=f"{platform.name} {field}",
            reason=reason,
            old=before,
            new=after,
            origin=_find_origin(profile, platform, FIELDS[field], subject),
        )


def _by_subject(field: str, value: str | None) -> dict[str, str]:
    """Return what can change on its own: packages by name, a single value under an empty one."""
    if value is None:
        return {}
    content = json.loads(value)
    if isinstance(content, dict):
        return {str(name): str(item) for name, item in content.items()}
    if not isinstance(content, list):
        return {"": str(content)}
    if field == "channels":  # whose order has a meaning
        return {"": ", ".join(str(item) for item in content)}
    found: dict[str, str] = {}
    for item in content:
        name = _subject_of(str(item))
        found[name] = f"{found[name]}, {item}" if name in found else str(item)
    return found


def _subject_of(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement.rpartition("::")[2])
    return canonicalize_name(match[0]) if match else requirement


def _find_origin(profile: Profile, platform: Platform, key: str, subject: str) -> Origin | None:
    values = platform.by_key().get(key)
    if values is None:
        return profile.origins.get(key)
    place = f"{platform.name}.{key}"
    if isinstance(values, Mapping):
        return profile.origins.get(f"{place}.{subject}")
    numbers = (n for n, item in enumerate(values) if not subject or _subject_of(str(item)) == subject)
    return profile.origins.get(f"{place}[{next(numbers, -1)}]")
