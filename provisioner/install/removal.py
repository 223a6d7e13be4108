"""What may be deleted below the data folder, and what a build deletes after itself."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner.errors import InstallError
from provisioner.ground.deletion import remove_tree
from provisioner.ground.files import make_private_folder
from provisioner.ground.names import check_profile_name
from provisioner.ground.scratch import hold_folder
from provisioner.install.generations import (
    EnvironmentHome,
    find_generation_folders,
    is_ours,
    list_generations,
    no_environment,
    remove_temporaries,
)
from provisioner.install.receipt import RECEIPT_NAME
from provisioner.install.stable_path import LAUNCHERS_NAME, remove_stable


@contextmanager
def hold_unpacked(home: EnvironmentHome, name: str) -> Iterator[Path]:
    """Yield an empty folder for unpacked packages, and delete it; the caller holds the environment's lock.

    Engines link the files of an environment from there. Nobody else ever does: what a user edits in one
    environment must not change another, nor one that is built later.
    """
    with hold_folder(home.unpacked(name)) as folder:
        for path in (home.cache, folder.parent, folder):
            make_private_folder(path)
        yield folder


def list_unbuilt(home: EnvironmentHome) -> tuple[str, ...]:
    """Return the names whose folder is ours and holds no environment: every build failed, or one runs."""
    root = home.data / "environments"
    if not root.is_dir():
        return ()
    return tuple(
        folder.name
        for folder in sorted(root.iterdir())
        if check_profile_name(folder.name) is None
        and not folder.is_symlink()
        and is_ours(folder)
        and not (folder / "current").exists()
        and not list_generations(home, folder.name)
    )


def list_unpacked(home: EnvironmentHome) -> tuple[str, ...]:
    """Return the names of environments that a build has unpacked packages for, and may have died."""
    root = home.unpacked("x").parent
    if not root.is_dir():
        return ()
    return tuple(folder.name for folder in root.iterdir() if check_profile_name(folder.name) is None)


def remove_leftovers(
    home: EnvironmentHome, name: str, *, remove: Callable[[Path], object] = remove_tree
) -> int:
    """Delete what dead builders left: generations without a receipt. The caller holds the environment's lock.

    ``remove`` is called in place of deleting.

    Returns:
        How many were deleted.
    """
    remove(home.unpacked(name))
    for folder in (home.environment(name), home.environment(name) / LAUNCHERS_NAME):
        remove_temporaries(folder, remove=remove)
    pattern = rf"\.{re.escape(name)}\.(json|[0-9]+-[0-9a-f]+\.users)\..*"
    remove_temporaries(home.locks, pattern=pattern, remove=remove)
    count = 0
    for folder in find_generation_folders(home, name):
        if not (folder / RECEIPT_NAME).is_file():
            remove(folder)
            count += 1
    return count


def remove_generation(folder: Path, *, remove: Callable[[Path], object] = remove_tree) -> None:
    """Delete a generation, its receipt first: what a crash leaves of it is no environment.

    The caller holds the environment's lock, and others from using the generation. ``remove`` is called in
    place of deleting.
    """
    remove(folder / RECEIPT_NAME)
    remove(folder)


def remove_environment(home: EnvironmentHome, name: str) -> None:
    """Delete an environment; the caller holds its lock, and others from using its generations.

    Raises:
        InstallError: ``install.foreign``: the folder does not carry our mark, or is a link.
        UsageError: ``usage.no_environment``: there is none.
    """
    folder = home.environment(name)
    if folder.is_symlink() or (folder.exists() and not is_ours(folder)):
        raise InstallError(
            "install.foreign",
            f"`{folder}` was not made by provision and is left alone",
            hints=["remove it yourself if you do not need it"],
            context={"path": str(folder)},
        )
    if not folder.exists():
        raise no_environment(home, name, hint="see `provision list` for the names")
    (folder / "current").unlink(missing_ok=True)
    remove_stable(folder)
    for generation in find_generation_folders(home, name):
        remove_generation(generation)
    remove_tree(folder)
