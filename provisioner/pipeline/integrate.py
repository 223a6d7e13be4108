"""The job of `provision integrate`: let Jupyter and VS Code start an environment, whatever its generation."""

import json
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from packaging.utils import canonicalize_name

from provisioner.errors import UsageError
from provisioner.ground.deletion import remove_among_others
from provisioner.ground.files import read_file, write_atomically
from provisioner.ground.json_edit import read_json, remove_key, set_key
from provisioner.ground.yaml_edit import UneditableError
from provisioner.install.environment_lock import hold_environment
from provisioner.install.generations import EnvironmentHome, Generation
from provisioner.install.kernel import (
    KERNEL_PACKAGE,
    SPEC_NAME,
    find_kernel_folder,
    format_kernel,
    read_kernel_owner,
)
from provisioner.install.launchers import write_stable
from provisioner.install.stable_path import find_stable
from provisioner.install.tools import VSCODE_FILE, VSCODE_KEY, Integrated, Tools
from provisioner.pipeline.settings import Settings, builtin_folder
from provisioner.profile.model import Profile

_MAX_BYTES = 1 << 20
_FOLDERS_NAME = "vscode-folders.json"  # in the environment's folder: which folders' settings we have written


def check_tools(tools: Tools, profile: Profile, packages: Collection[str]) -> None:
    """Refuse what the tools would need and the environment has not.

    Args:
        tools: What is wanted.
        profile: The environment's.
        packages: Names of what is installed in it, or locked for it.

    Raises:
        UsageError: ``usage.no_ipykernel`` or ``usage.no_folder``.
    """
    if tools.vscode and not tools.folder.is_dir():
        raise UsageError(
            "usage.no_folder",
            f"there is no folder `{tools.folder}`",
            hints=["name the folder that VS Code opens with `--folder`"],
        )
    if tools.jupyter and KERNEL_PACKAGE not in {canonicalize_name(name) for name in packages}:
        add = f"run `provision add {profile.name} {KERNEL_PACKAGE}`, which locks it, builds and validates"
        own = (
            f"run `provision init my-notebook --extends {profile.name}` in a folder of your own, then "
            f"`provision add my-notebook {KERNEL_PACKAGE}`: a profile that came with provision is not changed"
        )
        builtin = Path(profile.file).parent == builtin_folder("envs")
        raise UsageError(
            "usage.no_ipykernel",
            f"the profile `{profile.name}` has no package `{KERNEL_PACKAGE}`, which starts for Jupyter",
            hints=[own if builtin else add],
            context={"profile": profile.name},
        )


def integrate(settings: Settings, generation: Generation, tools: Tools) -> Integrated:
    """Write the kernel and the settings that start an environment's stable path; what is there stays.

    Raises:
        UsageError: The environment has no ``ipykernel``, or a file is not ours to change.
    """
    profile = settings.load_profile_of(generation)
    check_tools(tools, profile, [package.name for package in generation.receipt.packages])
    name = generation.receipt.environment
    home = EnvironmentHome(data=settings.data)
    with hold_environment(home, name, command=f"provision integrate {name}"):
        write_stable(home, generation)  # it may have been built by an older version
    python = find_stable(generation).python
    replaced: list[str] = []

    def put(text: str) -> str:
        before = read_json(text).get(VSCODE_KEY)
        if before and before != str(python):
            replaced.append(str(before))
        return set_key(text, VSCODE_KEY, str(python))

    if tools.vscode:
        _remember(home.environment(name), tools.folder)
    vscode = _change_settings(tools.folder, put, python) if tools.vscode else None
    return Integrated(
        jupyter=_write_kernel(settings, generation) if tools.jupyter else None,
        vscode=vscode,
        replaced=replaced[0] if replaced else None,
    )


def separate(settings: Settings, name: str, tools: Tools) -> Integrated:
    """Take back what `integrate` wrote for an environment, whether it is still there or not.

    Raises:
        UsageError: The settings cannot be changed.
    """
    folder = EnvironmentHome(data=settings.data).environment(name)
    return Integrated(
        jupyter=remove_kernel(settings, name) if tools.jupyter else None,
        vscode=_change_settings(tools.folder, lambda text: _take_out(text, folder), folder)
        if tools.vscode and (tools.folder / VSCODE_FILE).exists()
        else None,
    )


def find_settings(settings: Settings, name: str) -> tuple[Path, ...]:
    """Return the files of VS Code's settings that `integrate` wrote and that start the environment still."""
    environment = EnvironmentHome(data=settings.data).environment(name)
    found = []
    for folder in _read_folders(environment):
        path = Path(folder) / VSCODE_FILE
        with suppress(OSError, UneditableError, UnicodeDecodeError):
            text = read_file(path, max_bytes=_MAX_BYTES).decode()
            if _take_out(text, environment) != text:
                found.append(path)
    return tuple(found)


def remove_kernel(settings: Settings, name: str) -> Path | None:
    """Delete an environment's kernel and return where it was; None where there is none of ours."""
    folder = find_kernel_folder(settings.environ, name)
    with suppress(OSError):
        if read_kernel_owner(folder) == EnvironmentHome(data=settings.data).environment(name):
            remove_among_others(folder)
            return folder
    return None


def _remember(environment: Path, folder: Path) -> None:
    path = environment / _FOLDERS_NAME
    folders = _read_folders(environment) | {str(folder.absolute())}
    try:
        write_atomically(path, json.dumps(sorted(folders)) + "\n")
    except OSError as error:
        raise _unwritable(path, error) from error


def _read_folders(environment: Path) -> set[str]:
    try:
        return {
            str(each) for each in json.loads(read_file(environment / _FOLDERS_NAME, max_bytes=_MAX_BYTES))
        }
    except (OSError, ValueError, TypeError):
        return set()


def _write_kernel(settings: Settings, generation: Generation) -> Path:
    folder = find_kernel_folder(settings.environ, generation.receipt.environment)
    spec = folder / SPEC_NAME
    try:
        if spec.exists() and read_kernel_owner(folder) is None:
            raise UsageError(
                "usage.integrate",
                f"`{folder}` holds a kernel that provision did not write",
                hints=["move it away"],
                context={"path": str(folder)},
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(spec, format_kernel(generation), mode=0o644)
    except OSError as error:
        raise _unwritable(spec, error) from error
    return folder


def _change_settings(folder: Path, change: Callable[[str], str], value: Path) -> Path | None:
    """Change a folder's settings of VS Code; None where they are as they should be."""
    path = folder / VSCODE_FILE
    try:
        before = read_file(path, max_bytes=_MAX_BYTES) if path.exists() else None
        after = change((before or b"").decode()).encode()
        if after == before:
            return None
        path.parent.mkdir(exist_ok=True)
        # where it is a link, to the file that it names
        write_atomically(path.resolve(), after, mode=path.stat().st_mode & 0o777 if before else 0o644)
    except OSError as error:
        raise _unwritable(path, error) from error
    except (UneditableError, UnicodeDecodeError) as error:
        raise UsageError(
            "usage.integrate",
            f"`{path}` cannot be changed: {error}",
            hints=[f'mend it, or write by hand: "{VSCODE_KEY}": "{value}"'],
            context={"path": str(path)},
        ) from error
    return path


def _take_out(text: str, folder: Path) -> str:
    """Return settings without the interpreter of an environment; another one stays."""
    value = read_json(text).get(VSCODE_KEY)
    return remove_key(text, VSCODE_KEY) if value and Path(str(value)).is_relative_to(folder) else text


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        "usage.integrate",
        f"`{error.filename or path}` cannot be read or written: {(error.strerror or str(error)).lower()}",
        hints=["mend its permissions"],
        context={"path": str(path)},
    )
