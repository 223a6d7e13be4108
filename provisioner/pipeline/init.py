"""The job of `provision init`: a first profile in this folder, for this machine.

facts of the machine -> the stack that its card runs -> what the other tool's file asks for -> write the files
"""

import os
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.errors import InstallError, InternalError, UnvalidatedError, UsageError
from provisioner.ground.files import read_file, write_atomically
from provisioner.ground.names import check_profile_name
from provisioner.ground.text import replace_controls, shorten
from provisioner.ground.yaml_reader import read_yaml
from provisioner.ground.yaml_tree import raise_problems
from provisioner.install.generations import EnvironmentHome
from provisioner.pipeline.doctor import gather_facts
from provisioner.pipeline.gate import judge_machine
from provisioner.pipeline.proposal import propose_profile
from provisioner.pipeline.settings import CONFIG_NAME, Settings, builtin_folder
from provisioner.profile.foreign.collect import Collection, ForeignLine
from provisioner.profile.foreign.environment_yml import read_conda_lock, read_environment
from provisioner.profile.foreign.project_toml import read_pixi, read_pyproject
from provisioner.profile.foreign.requirements import read_requirements
from provisioner.profile.model import Device, Profile
from provisioner.profile.rules import requirement_name
from provisioner.profile.template import FirstProfile, format_profile

_FIRST_FAMILY = "llama3"
_MAX_BYTES = 32 * 1024**2
_CONFIG = """\
# Settings of this folder; docs/configuration.md has all of them.
profile: {name}          # what `provision create`, `run`, `validate` and others mean without a name

# mirrors:               # canonical prefix: what is asked instead
#   https://download.pytorch.org/: https://mirror.example.org/pytorch/
# find_links: []         # folders or pages that hold wheels
"""
_GITIGNORE = """\
# what `provision` may leave here; profiles and lockfiles are committed
provision-*.html
provision-*.txt
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """What was written.

    Attributes:
        name: Of the profile.
        extends: What it builds on.
        reasons: Why.
        files: The files, as seen from the folder.
        notes: What the name already means here.
        is_folders: Whether verbs without a name mean it.
        device: Device that ``create`` has to be given on this machine; None: none.
        lines: What an imported file asks for, taken or not.
    """

    name: str
    extends: str
    reasons: tuple[str, ...]
    files: tuple[str, ...]
    is_folders: bool
    notes: tuple[str, ...] = ()
    device: str | None = None
    source: str | None = None
    lines: tuple[ForeignLine, ...] = ()


def begin_folder(
    settings: Settings,
    folder: Path,
    *,
    name: str | None = None,
    extends: str | None = None,
    source: Path | None = None,
    facts_file: Path | None = None,
) -> Begun:
    """Write a profile, ``provision.yaml`` and ``.gitignore`` into a folder that has none of ours.

    Args:
        settings: Where things are.
        folder: The folder.
        name: Of the profile; None: the source's where a profile may have it, else the folder's. A folder
            that has ``provision.yaml`` gets another profile by name.
        extends: What it builds on; None: what this machine's card runs.
        source: Another tool's file to import.
        facts_file: Saved facts of the machine in place of this one's.

    Raises:
        UsageError: A file is there already, the folder's name is no profile's, or the source cannot be read.
    """
    begun = os.path.lexists(folder / CONFIG_NAME)
    if begun and name is None:
        raise _there(folder, folder / CONFIG_NAME)
    if name is not None or source is None:
        name = _choose_name(folder, name)
    if extends is None:
        proposal = propose_profile(settings, gather_facts(settings, facts_file), family=_FIRST_FAMILY)
        if proposal.profile is None:
            raise InternalError("internal.no_profile", f"no profile of `{_FIRST_FAMILY}` is for a CPU")
        base = proposal.profile
        first = "Made by `provision init` for what `provision doctor` finds on this machine:"
        reasons: tuple[str, ...] = (first, *proposal.reasons)
    else:
        base, reasons = settings.load_profile(extends), (f"Made by `provision init --extends {extends}`.",)
    found = Collection(python=base.python, brought=_find_brought(base), name=name)
    if source is not None:
        _read_source(source, found)
    name = _choose_name(folder, found.name)
    profile_path = folder / "envs" / f"{name}.yaml"
    if os.path.lexists(profile_path):
        raise _there(folder, profile_path)
    left = tuple(each for each in found.lines if each.reason)
    text = format_profile(
        FirstProfile(
            name=name,
            description=f"What the folder {shorten(folder.absolute().name, 60)} needs",
            reasons=reasons,
            extends=base.name,
            python=found.python if found.python != base.python else None,
            channels=tuple(found.channels),
            pip=found.pip,
            conda=found.conda,
            env=found.env,
            left=tuple(
                replace_controls(f"{source}:{each.line}: {each.text}: {each.reason}") for each in left
            ),
        )
    )
    notes = tuple(_find_notes(settings, name))
    files = {profile_path: text}
    if not begun:
        files[folder / CONFIG_NAME] = _CONFIG.format(name=name)
    if not (folder / ".gitignore").exists():
        files[folder / ".gitignore"] = _GITIGNORE
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content, mode=0o644)
    return Begun(
        name=name,
        extends=base.name,
        reasons=reasons,
        files=tuple(path.relative_to(folder).as_posix() for path in files),
        is_folders=not begun,
        notes=notes,
        device=None if facts_file else _find_device(settings, base),
        source=str(source) if source else None,
        lines=tuple(found.lines),
    )


def _there(folder: Path, path: Path) -> UsageError:
    return UsageError(
        "usage.init_exists",
        f"`{path.relative_to(folder)}` is there already; nothing was written",
        hints=["edit it, or name another profile for this folder: `provision init NAME`"],
        context={"path": str(path)},
    )


def _choose_name(folder: Path, name: str | None) -> str:
    chosen = name or _make_name(folder.absolute().name)
    if reason := check_profile_name(chosen):
        raise UsageError("usage.init_name", reason, hints=["name the profile: `provision init NAME`"])
    return chosen


def _make_name(text: str) -> str:
    """Return a folder's name as a profile's: small letters without their marks; empty where none are left."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(each for each in letters if not unicodedata.combining(each))
    return re.sub(r"[^a-z0-9._-]+", "-", bare).strip("-._")[:64]


def _find_notes(settings: Settings, name: str) -> Iterator[str]:
    """Yield what a new profile's name already means on this machine."""
    if os.path.exists(EnvironmentHome(data=settings.data).environment(name)):  # noqa: PTH110 - raises never
        yield (
            f"an environment `{name}` is there already, of another folder perhaps: `create` replaces it;"
            " `create --name OTHER` does not"
        )
    if (builtin_folder("envs") / f"{name}.yaml").is_file():
        yield f"in this folder `{name}` means the new profile, elsewhere the one that came with provision"


def _find_device(settings: Settings, base: Profile) -> str | None:
    """Return the device to name for a proof on this machine; None: the profile's own is here."""
    try:
        if base.device is Device.XPU:
            judge_machine(settings, base, enforce=True)
    except UnvalidatedError:
        return "cpu"
    except InstallError:  # the disk: `create` says so
        pass
    return None


def _find_brought(base: Profile) -> Mapping[str, str]:
    return {requirement_name(each): base.name for platform in base.platforms for each in platform.pip}


def _read_source(path: Path, found: Collection) -> None:
    """Collect what another tool's file asks for.

    Raises:
        UsageError: It cannot be read, or no format is known by its name.
    """
    try:
        data = read_file(path, max_bytes=_MAX_BYTES)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise _unreadable(path, why.lower()) from error
    if len(data) > _MAX_BYTES:
        raise _unreadable(path, f"it is larger than {_MAX_BYTES} bytes")
    name = path.name.lower()
    if name.endswith(".toml"):
        try:
            document = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise _unreadable(path, f"it is no TOML: {str(error)[:200].lower()}") from error
        read_toml: Callable[[Mapping[str, Any], str, Collection], None]
        read_toml = read_pyproject if "project" in document or "tool" in document else read_pixi
        read_toml(document, text, found)
    elif name.endswith((".yml", ".yaml")):
        root, problems = read_yaml(data, str(path), max_bytes=_MAX_BYTES)
        raise_problems(problems, area="import")
        if root is not None:  # else its problems were raised
            (read_conda_lock if root.get("package") is not None else read_environment)(root, found)
    elif name.endswith((".txt", ".in")):
        read_requirements(text, found)
    else:
        raise _unreadable(path, "its name tells no format")


def _unreadable(path: Path, why: str) -> UsageError:
    return UsageError(
        "usage.init_source",
        f"`{path}` cannot be imported: {why}",
        hints=["name an environment.yml, requirements.txt, pyproject.toml, pixi.toml or conda-lock.yml"],
        context={"path": str(path)},
    )
