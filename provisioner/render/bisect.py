"""What `provision bisect` answers: the culprit as a lock diff, and what to write into the profile."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from provisioner.lock.diff import LockDiff
from provisioner.render.lock_diff import as_text
from provisioner.render.result import Result


def render_bisect(
    profile: str,
    *,
    platform: str,
    sizes: tuple[int, int],
    builds: Sequence[tuple[int, str, str, bool]],
    difference: LockDiff,
    pins: Sequence[tuple[str, str]],
    unsure: bool,
) -> Result:
    """Return the answer of a bisection.

    Args:
        profile: The profile's name.
        platform: Whose packages were compared.
        sizes: How many packages differ, and in how many groups that go together.
        builds: Of each build the number of groups, outcome, reason, and whether an earlier run made it.
        difference: The culprit.
        pins: Manager and requirement of what the culprit replaced.
        unsure: Whether builds that could not be judged leave more suspects than culprits.
    """
    changes, groups = sizes
    made = sum(not earlier for *_, earlier in builds)
    data = {
        "profile": profile,
        "platform": platform,
        "changes": changes,
        "groups": groups,
        "builds": made,
        "earlier_builds": len(builds) - made,
        "judged": [
            {"groups": count, "outcome": outcome, "reason": reason, "earlier": earlier}
            for count, outcome, reason, earlier in builds
        ],
        "unsure": unsure,
        "culprit": asdict(difference),
        "pins": [{"manager": manager, "requirement": requirement} for manager, requirement in pins],
    }
    again = f", {len(builds) - made} judged earlier" if made < len(builds) else ""
    what = "among these is" if unsure else "this is"
    lines = [
        f"{profile}: of {changes} changes {what} what turned good into bad ({made} builds{again})",
        as_text(difference).rstrip(),
        *_pin_lines(profile, pins),
    ]
    return Result(data=data, text="\n".join(lines))


def _pin_lines(profile: str, pins: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yield the lines for the profile, by section."""
    if not pins:
        yield "every package of it is new: ask the one that needs it for an older version"
        return
    yield f"until it is mended, keep the old one: in the profile `{profile}`"
    for section in ("conda", "pip"):
        wanted = [
            requirement for manager, requirement in pins if (manager == "conda") == (section == "conda")
        ]
        if wanted:
            yield f"  {section}:"
            yield "    packages:"
            yield from (f"      - {requirement}" for requirement in wanted)
    yield f"then: provision lock {profile} && provision create {profile}"
