"""Folders of wheels on this machine: what they have, and what they cannot do.

They give files that a lockfile names, and never answer in place of an index: docs/decisions/0013.
"""

from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from provisioner.engines.net.addresses import local_path
from provisioner.errors import ErrorList, ProvisionError
from provisioner.ground.names import DEFAULT_INDEX
from provisioner.lock.file import read_lock
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.settings import CONFIG_NAME
from provisioner.profile.model import Profile


def list_wheelhouses(engines: Engines) -> list[Path]:
    """Return the folders that the user's settings and pip's name; some may not be there."""
    return [
        local_path(place) if place.startswith("file:") else Path(place)
        for place in (*engines.settings.find_links, *engines.packages.find_links)
        if place.startswith("file:") or "://" not in place
    ]


def hint_wheelhouse(error: ProvisionError, profile: Profile, engines: Engines) -> None:
    """Say, where a profile's index could not be read, what of it is here, and how a lock gets at it.

    Args:
        error: Gets a hint for each index (``context["index"]``) of which a profile that this one extends has
            locked files, or that a wheel here could have come from.
        profile: What was to be locked.
        engines: Know the wheelhouses.
    """
    for each in error.errors if isinstance(error, ErrorList) else (error,):
        index = each.context.get("index")
        if index and (hint := _advise_mirror(profile, index, engines)):
            each.hints = tuple(dict.fromkeys((*each.hints, hint)))
            continue
        requirements = _list_requirements(profile, index) if index else []
        wheel = _find_wheel(list_wheelhouses(engines), requirements)
        if wheel is None:
            continue
        hint = (
            f"name a mirror of `{index}` in `mirrors`, as docs/how-to/mirror.md makes one of the wheels that "
            f"you have (`{wheel}`): no lock is made of a wheelhouse, which does not say what an index has"
        )
        if hint not in each.hints:  # profiles share the error of an index that does not answer
            each.hints = (*each.hints, hint)


def _advise_mirror(profile: Profile, index: str, engines: Engines) -> str | None:
    """Return how the lock of a profile that this one extends stands for an index; None where none can."""
    for name in profile.stacks:
        try:
            path = engines.settings.find_lockfile(engines.settings.load_profile(name))
            locked = read_lock(path)
        except ProvisionError:  # a stack has no lock
            continue
        if any(package.index == index for part in locked.platforms for package in part.pip):
            return (
                f"let the lock of `{name}` stand for `{index}`, whose pages every lock asks: run"
                f" `provision mirror {name} --export DIR --url file://DIR`, and copy the lines of"
                f" DIR/mirrors.yaml, without that of `{DEFAULT_INDEX}`, below `mirrors` in {CONFIG_NAME}"
            )
    return None


def _list_requirements(profile: Profile, index: str) -> list[Requirement]:
    """Return what the profile itself asks of an index."""
    asked = ((part, Requirement(text)) for part in profile.platforms for text in part.pip)
    return [
        requirement
        for part, requirement in asked
        if part.routes.get(canonicalize_name(requirement.name), DEFAULT_INDEX) == index
    ]


def _find_wheel(folders: Sequence[Path], requirements: Sequence[Requirement]) -> Path | None:
    """Return a wheel that answers one of the requirements."""
    for folder in folders:
        for path in sorted(folder.glob("*.whl")):
            try:
                name, version, *_ = parse_wheel_filename(path.name)
            except InvalidWheelFilename:
                continue
            for requirement in requirements:
                if canonicalize_name(requirement.name) == name and version in requirement.specifier:
                    return path
    return None
