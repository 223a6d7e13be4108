"""The job of `provision add`: change a profile's packages, lock, build and validate, or leave all as it was.

edit the YAML -> lock what moved -> build -> validate -> keep all, or put back YAML, lockfile and environment
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from provisioner.errors import UnvalidatedError, UsageError
from provisioner.events import Listener
from provisioner.ground.files import read_file, write_atomically
from provisioner.ground.names import PLATFORMS
from provisioner.ground.yaml_edit import UneditableError, remove_item, set_item
from provisioner.ground.yaml_reader import MAX_BYTES
from provisioner.lock.file import lockfile_path
from provisioner.pipeline.create import CreateChoices, Created, create, pass_gate
from provisioner.pipeline.engines import Engines
from provisioner.pipeline.lock import Locked, lock_profile
from provisioner.pipeline.settings import Settings, builtin_folder
from provisioner.pipeline.undo import all_or_nothing
from provisioner.profile.model import Profile
from provisioner.profile.rules import check_conda_spec, check_requirement, conda_name, requirement_name
from provisioner.validate.model import Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What a user wants of a profile's packages.

    Attributes:
        packages: Requirements to put in, or names to take out.
        conda: Whether they are conda packages.
        remove: Whether they are taken out.
    """

    packages: tuple[str, ...]
    conda: bool = False
    remove: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """What became of it.

    Attributes:
        created: The environment; None where it was not asked for.
        kept: Whether profile, lockfile and environment are the new ones; else all are as they were.
    """

    profile: Profile
    locked: Locked
    created: Created | None
    kept: bool


def change_packages(
    settings: Settings, name: str, change: Change, choices: CreateChoices | None, *, on_event: Listener
) -> Changed:
    """Change a profile's packages, lock it and update its environment; all of it or nothing.

    Args:
        settings: Where things are.
        name: The profile.
        change: What to put in or to take out.
        choices: How to build; None: only profile and lockfile are changed.
        on_event: Gets steps and notices.

    Raises:
        ProvisionError: It did not come about; profile, lockfile and environment are as they were.
    """
    profile = settings.load_profile(name)
    file = _find_editable(profile)
    before = read_file(file, max_bytes=MAX_BYTES)
    after = edit_packages(before.decode(), change, file=profile.file)
    if choices is not None:
        _pass_gate(settings, profile, choices)
    environment = (choices.name if choices else None) or profile.name
    lockfile = lockfile_path(settings.choose_lockfile_folder(profile), profile.name)
    with all_or_nothing(
        settings, Path(profile.file), lockfile, environment, edited=after.encode(), on_event=on_event
    ) as put_back:
        if after != before.decode():
            write_atomically(file, after, mode=file.stat().st_mode & 0o777)
        profile = settings.load_profile(name)
        with Engines(settings, on_event=on_event) as engines:
            locked = lock_profile(profile, engines, on_event=on_event)
        created = create(settings, profile, choices, on_event=on_event) if choices else None
        report = created.report if created else None
        kept = report is None or report.verdict is not Verdict.FAILED
        if not kept:
            put_back()
    return Changed(profile=profile, locked=locked, created=created, kept=kept)


def _pass_gate(settings: Settings, profile: Profile, choices: CreateChoices) -> None:
    """Ask of the machine what `create` would ask, before anything is resolved; see `pass_gate`."""
    try:
        pass_gate(settings, profile, choices)
    except UnvalidatedError as error:
        error.hints = (error.hints[-1], "change and lock the profile only: `--no-create`")
        raise


def edit_packages(text: str, change: Change, *, file: str) -> str:
    """Return a profile's text with its packages changed; comments and every other byte stay.

    Raises:
        UsageError: A package is no requirement, is not in the file, or its YAML is out of the ordinary.
    """
    key = "conda" if change.conda else "pip"
    check, name_of = (check_conda_spec, conda_name) if change.conda else (check_requirement, requirement_name)
    for package in change.packages:
        if reason := check(package):
            hint = "name a package, with versions if you want some: `numpy<3`"
            raise UsageError("usage.add_package", reason, hints=[hint])
        same = partial(_is_same, name_of, name_of(package))
        try:
            if change.remove:
                text = _remove(text, key, package, same=same, file=file)
            else:
                text = set_item(text, (key, "packages"), package, same=same)
        except UneditableError as error:
            raise UsageError(
                "usage.add_yaml",
                f"`{file}`: the list `{key}.packages` cannot be changed: {error}",
                hints=["change it by hand, and run `provision create --lock`"],
                context={"path": file},
            ) from error
    return text


def _is_same(name_of: Callable[[str], str], name: str, other: str) -> bool:
    return name_of(other) == name


def _remove(text: str, key: str, package: str, *, same: Callable[[str], bool], file: str) -> str:
    """Take a package out of the list for all platforms and of those for one."""
    after = text
    for place in ((), *((platform,) for platform in PLATFORMS)):
        after = remove_item(after, (*place, key, "packages"), same=same)
    if after == text:
        raise UsageError(
            "usage.add_missing",
            f"`{file}` has no package `{package}` under `{key}.packages`",
            hints=["`provision show` says which file names it; only the profile's own is changed"],
            context={"path": file, "package": package},
        )
    return after


def _find_editable(profile: Profile) -> Path:
    """Return a profile's file.

    Raises:
        UsageError: ``usage.add_builtin``: it came with provision.
    """
    file = Path(profile.file)
    if file.parent == builtin_folder("envs"):
        raise UsageError(
            "usage.add_builtin",
            f"the profile `{profile.name}` came with provision and is not changed",
            hints=[
                f"run `provision init --extends {profile.name}` for a profile of your own that builds on it"
            ],
            context={"path": profile.file},
        )
    return file
