"""The two ends of a bisection: a lockfile, a git revision, or the profile as of a date."""

import re
from dataclasses import replace
from pathlib import Path

from provisioner.errors import UsageError
from provisioner.events import Listener
from provisioner.lock.assemble import make_lock
from provisioner.lock.file import SUFFIX
from provisioner.lock.model import Lock
from provisioner.pipeline.diff import read_lock_of
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.settings import Settings
from provisioner.profile.model import Profile
from provisioner.resolve.solve import resolve_profile

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def choose_profile(settings: Settings, good: str, bad: str, name: str | None) -> Profile:
    """Return the profile that a bisection is about: the named one, or that of a lockfile.

    Raises:
        LockError: A lockfile is damaged.
        UsageError: Neither end tells it, or there is no such profile.
    """
    if name is not None:
        return settings.load_profile(name)
    for place in (good, bad):
        if not _DATE.fullmatch(place) and (Path(place).is_file() or place.endswith(SUFFIX)):
            lock = read_lock_of(settings, place)
            if lock is not None:
                return settings.load_profile(lock.profile)
    raise UsageError(
        "usage.bisect_profile",
        f"neither `{good}` nor `{bad}` is a lockfile, so it is not known which profile is meant",
        hints=["name it: `--profile PROFILE`"],
    )


def load_end(
    settings: Settings, place: str, profile: Profile, engines: Engines, *, on_event: Listener
) -> Lock:
    """Return the lock of one end.

    Args:
        settings: Where things are.
        place: A lockfile, ``REVISION``, ``REVISION:PATH``, or a date.
        profile: Whose lock, where the place does not say it.
        engines: What solves.
        on_event: Gets steps.

    Raises:
        LockError: The lockfile is damaged.
        ResolveError: Nothing answers the profile as of that date.
        UnavailableError: An index could not be reached.
        UsageError: There is no such lockfile or revision, or it is another profile's.
    """
    if _DATE.fullmatch(place) and not Path(place).exists():
        dated = replace(profile, as_of=place)
        resolution = resolve_profile(
            dated,
            conda=engines.conda_solver,
            pip=engines.pip_solver,
            previous={},
            update=(),
            on_event=on_event,
        )
        return make_lock(dated, resolution, source=f"../envs/{profile.name}.yaml")
    named = place if Path(place).is_file() or ":" in place else f"{place}:{settings.find_lockfile(profile)}"
    lock = read_lock_of(settings, named)
    if lock is None or lock.profile != profile.name:
        why = f"it is of profile `{lock.profile}`" if lock else "there is none"
        raise UsageError(
            "usage.bisect_lock",
            f"`{place}` gives no lockfile of `{profile.name}`: {why}",
            hints=["name a lockfile, a git revision that has one, or a date such as 2026-10-01"],
        )
    return lock
