"""Where things are and how to reach the network: flags, then PROVISION_ variables, then `provision.yaml`."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import provisioner
from provisioner.errors import UsageError
from provisioner.ground.yaml_fields import ListOf, MapOf, Record, Text, check_node
from provisioner.ground.yaml_reader import read_yaml
from provisioner.ground.yaml_tree import Problem, plain, raise_problems

CONFIG_NAME = "provision.yaml"

_CONFIG = Record(
    description="Settings of provision.",
    fields={
        "mirrors": MapOf(
            key=Text(description="Canonical prefix of an address."),
            value=Text(description="What is asked instead."),
            description="Mirrors of indexes, channels and files.",
        ),
        "find_links": ListOf(item=Text(), description="Folders or pages that hold wheels."),
        "envs": Text(description="Folder of profiles."),
        "lockfiles": Text(description="Folder of lockfiles."),
        "data_dir": Text(description="Folder for environments and downloads."),
    },
)
_MIRRORS = MapOf(key=Text(), value=Text(), description="Canonical prefix to mirror prefix.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What every verb may need to know.

    Attributes:
        environ: The process's environment, read once.
        profile_folders: In the order in which a profile is looked for.
        lockfiles: The folder that the user named, or None: beside the profile's folder.
        data: Folder for environments, downloads and caches.
        mirrors: Canonical prefix to mirror prefix.
        find_links: Wheelhouses that the user named for this tool.
        offline: Whether the network may not be used.
    """

    environ: Mapping[str, str]
    profile_folders: tuple[Path, ...]
    lockfiles: Path | None
    data: Path
    mirrors: Mapping[str, str] = field(default_factory=dict)
    find_links: tuple[str, ...] = ()
    offline: bool = False

    def find_lockfile_folder(self, profile_file: str) -> Path:
        """Return the folder of the lockfile that belongs to a profile's file, for reading."""
        if self.lockfiles is not None:
            return self.lockfiles
        local = Path("lockfiles")
        name = Path(profile_file).name.removesuffix(".yaml")
        if (local / f"{name}.conda-lock.yml").is_file():
            return local
        return Path(profile_file).parent.parent / "lockfiles"

    def choose_lockfile_folder(self, profile_file: str) -> Path:
        """Return the folder that a lockfile is written to: a built-in profile's goes to `./lockfiles`."""
        if self.lockfiles is not None:
            return self.lockfiles
        if Path(profile_file).parent == _packed_folder("envs"):
            return Path("lockfiles")
        return Path(profile_file).parent.parent / "lockfiles"


def builtin_folder(name: str) -> Path:
    """Return the folder of built-in profiles or lockfiles: in the wheel, else beside a checkout's package."""
    packed = _packed_folder(name)
    return packed if packed.is_dir() else packed.parents[2] / name


def _packed_folder(name: str) -> Path:
    return Path(provisioner.__file__).parent / "builtin" / name


def read_settings(
    *,
    envs: str | None = None,
    lockfiles: str | None = None,
    data_dir: str | None = None,
    config: str | None = None,
    mirrors: str | None = None,
    find_links: Sequence[str] = (),
    offline: bool = False,
) -> Settings:
    """Merge the flags with the configuration files.

    Raises:
        UsageError: A named file does not exist or does not parse; ``ErrorList`` for several problems.
    """
    environ = dict(os.environ)
    user = _user_folder(environ)
    written = _read_config(config, user)
    folders = [Path("envs"), user / "envs", builtin_folder("envs")]
    named = envs or written.get("envs")
    if named is not None:
        if not Path(named).is_dir():
            place = "`--envs`" if envs else "`envs` in the configuration"
            raise UsageError(
                "usage.no_folder",
                f"there is no folder `{named}`, which {place} names",
                hints=["name a folder of profiles"],
            )
        folders.insert(0, Path(named))
    chosen = lockfiles or written.get("lockfiles")
    data = data_dir or written.get("data_dir")
    return Settings(
        environ=environ,
        profile_folders=tuple(folders),
        lockfiles=Path(chosen) if chosen else None,
        data=Path(data).expanduser().absolute() if data else _platform_folder("data"),
        mirrors=written.get("mirrors", {}) | (_read_mapping(Path(mirrors)) if mirrors else {}),
        find_links=(*find_links, *written.get("find_links", ())),
        offline=offline,
    )


def _read_config(named: str | None, user: Path) -> dict[str, Any]:
    candidates = [Path(named)] if named else [Path(CONFIG_NAME), user / CONFIG_NAME]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        if named:
            raise UsageError(
                "usage.no_config", f"`--config`: there is no file `{named}`", hints=["name a YAML file"]
            )
        return {}
    return _read(path, _CONFIG)


def _read_mapping(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise UsageError(
            "usage.no_mirrors",
            f"`--mirrors`: there is no file `{path}`",
            hints=["name a YAML or JSON file that maps prefixes to mirrors"],
        )
    return _read(path, _MIRRORS)


def _read(path: Path, spec: Record | MapOf) -> dict[str, Any]:
    table, problems = read_yaml(path.read_bytes(), str(path))
    found: list[Problem] = list(problems)
    checked = check_node(table, spec, found) if table is not None else None
    raise_problems(found, area="config")
    if checked is None:
        return {}
    values: dict[str, Any] = plain(checked)
    return values


def _user_folder(environ: Mapping[str, str]) -> Path:
    return (
        Path(environ["PROVISION_CONFIG_DIR"])
        if environ.get("PROVISION_CONFIG_DIR")
        else _platform_folder("config")
    )


def _platform_folder(kind: str) -> Path:
    # 30 ms that `--help` does not pay.
    import platformdirs  # noqa: PLC0415 - see above

    if kind == "config":
        return Path(platformdirs.user_config_dir("provision", appauthor=False))
    return Path(platformdirs.user_data_dir("provision", appauthor=False))


def host_platform() -> str:
    """Return the conda subdir of this machine.

    Raises:
        UsageError: provision has no profiles for it.
    """
    import platform  # noqa: PLC0415 - only verbs that build need it

    machine = platform.machine().lower()
    if machine in {"x86_64", "amd64"}:
        if sys.platform == "linux":
            return "linux-64"
        if sys.platform == "win32":
            return "win-64"
    raise UsageError(
        "usage.platform",
        f"this machine is {sys.platform} on {machine}; environments are built on x86-64 Linux and Windows",
        hints=["lock and check lockfiles here, and create the environment on a supported machine"],
    )
