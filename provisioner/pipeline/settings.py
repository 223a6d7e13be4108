"""What every job may need to know; `provisioner.cli.settings` reads it from flags, variables and files."""

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import provisioner
from provisioner.diagnose.advisories.ignore import Ignore
from provisioner.errors import UsageError
from provisioner.ground.text import shown
from provisioner.install.generations import EnvironmentHome, Generation, load_environment
from provisioner.lock.file import lockfile_path
from provisioner.profile.load import load_profile
from provisioner.profile.model import Profile

CONFIG_NAME = "provision.yaml"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Where things are and how to reach the network.

    Attributes:
        environ: The process's environment, read once.
        profile_folders: In the order in which a profile is looked for.
        lockfiles: The folder that the user named, or None: beside the profile's folder.
        data: Folder for environments, downloads and caches.
        mirrors: Canonical prefix to mirror prefix.
        find_links: Wheelhouses that the user named for this tool.
        offline: Whether the network may not be used.
        profile: What a verb means that gets no name.
        bundle: Where files are, before any other place.
        ignores: What `audit` does not count, by the id of an advisory or of an end of life.
    """

    environ: Mapping[str, str]
    profile_folders: tuple[Path, ...]
    lockfiles: Path | None
    data: Path
    mirrors: Mapping[str, str] = field(default_factory=dict)
    find_links: tuple[str, ...] = ()
    offline: bool = False
    profile: str | None = None
    bundle: Path | None = None
    ignores: Mapping[str, Ignore] = field(default_factory=dict)

    def choose_name(self, name: str | None) -> str:
        """Return the name that a verb was given, else the folder's profile.

        Raises:
            UsageError: ``usage.no_name``: there is neither.
        """
        chosen = name or self.profile
        if chosen:
            return chosen
        raise UsageError(
            "usage.no_name",
            f"no name was given, and no `{CONFIG_NAME}` says `profile`",
            hints=["name one that `provision list` shows", "or begin this folder with `provision init`"],
        )

    def load_profile(self, name: str) -> Profile:
        """Return a profile by name, or by the path of its file; errors as from `provisioner.profile.load`."""
        path = Path(name)
        if path.suffix == ".yaml" and path.is_file():
            return load_profile(path.stem, folders=(path.parent, *self.profile_folders))
        if path.suffix == ".yaml" and path.name != name:
            hint = "name a profile's file, or a name that `provision list` shows"
            raise UsageError("profile.not_found", f"there is no file {shown(name)}", hints=(hint,))
        return load_profile(name, folders=self.profile_folders)

    def load_environment(self, name: str) -> Generation:
        """Return an environment's current generation; errors as from `provisioner.install.generations`."""
        known = any((folder / f"{name}.yaml").is_file() for folder in self.profile_folders)
        hint = f"run `provision create {name}`" if known else "see `provision list` for the names"
        return load_environment(EnvironmentHome(data=self.data), name, hint=hint)

    def load_profile_of(self, generation: Generation) -> Profile:
        """Return the profile of a built environment; where no folder has it, the copy that it keeps."""
        try:
            return self.load_profile(generation.receipt.profile)
        except UsageError as error:
            if error.code != "profile.not_found" or not generation.record.is_dir():
                raise
        return load_profile(generation.receipt.profile, folders=(generation.record / "envs",))

    def find_lockfile(self, profile: Profile) -> Path:
        """Return the lockfile of a profile, for reading."""
        return lockfile_path(self._find_lockfile_folder(profile.file), profile.name)

    def choose_lockfile_folder(self, profile: Profile) -> Path:
        """Return the folder that a lockfile is written to: a built-in profile's goes to `./lockfiles`."""
        if self.lockfiles is not None:
            return self.lockfiles
        if Path(profile.file).parent == _packed_folder("envs"):
            return Path("lockfiles")
        return _beside(profile.file)

    def _find_lockfile_folder(self, profile_file: str) -> Path:
        if self.lockfiles is not None:
            return self.lockfiles
        local = Path("lockfiles")
        name = Path(profile_file).name.removesuffix(".yaml")
        if (local / f"{name}.conda-lock.yml").is_file():
            return local
        return _beside(profile_file)


def _beside(profile_file: str) -> Path:
    """Return the folder of lockfiles beside a profile's folder, also where that is the working folder."""
    return Path(os.path.normpath(Path(profile_file).parent / ".." / "lockfiles"))


def builtin_folder(name: str) -> Path:
    """Return a folder that travels with the package: in the wheel, else beside a checkout's package."""
    packed = _packed_folder(name)
    return packed if packed.is_dir() else Path(provisioner.__file__).parents[1] / name


def _packed_folder(name: str) -> Path:
    return Path(provisioner.__file__).parent / "builtin" / name


def host_platform() -> str:
    """Return the platform (conda's subdir) of this machine.

    Raises:
        UsageError: provision has no profiles for it.
    """
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
