"""The environments under the data folder: where they are, their generations, and the current one.

environments/<name>/provision-environment.json    our mark: without it nothing here is deleted
environments/<name>/current                       the name of the current generation's folder
environments/<name>/generations/<number>-<id>/    one built environment at its final path, receipt last
locks/<name>.lock                                 held while an environment is built or removed
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import InstallError, UsageError
from provisioner.ground.deletion import remove_tree
from provisioner.ground.files import is_temporary, make_private_folder, write_atomically
from provisioner.ground.names import check_profile_name
from provisioner.install.plan import InstallPlan
from provisioner.install.prefix_layout import find_python
from provisioner.install.receipt import RECEIPT_NAME, RECORD_NAME, REPORT_NAME, Receipt, parse_receipt

MARK_NAME = "provision-environment.json"
_MARK = {"schema": "provision.environment/1"}
_GENERATION = re.compile(r"([1-9][0-9]{0,8})-([0-9a-f]{8})")


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentHome:
    """The data folder."""

    data: Path

    @property
    def store(self) -> Path:
        """Return the folder of fetched files."""
        return self.data / "store"

    @property
    def cache(self) -> Path:
        """Return the folder of what can be made again."""
        return self.data / "cache"

    @property
    def locks(self) -> Path:
        """Return the folder of locks."""
        return self.data / "locks"

    @property
    def pythons(self) -> Path:
        """Return the folder of managed Pythons, of which environments are made."""
        return self.data / "pythons"

    def unpacked(self, name: str) -> Path:
        """Return the folder of the packages that a build of an environment is unpacking."""
        return self.cache / "unpacked" / name

    def environment(self, name: str) -> Path:
        """Return an environment's folder.

        Raises:
            UsageError: The name is not one safe path component.
        """
        reason = check_profile_name(name)
        if reason is not None:
            raise UsageError("usage.environment_name", reason, hints=["see `provision list` for the names"])
        return self.data / "environments" / name

    def generations(self, name: str) -> Path:
        """Return the folder of an environment's generations."""
        return self.environment(name) / "generations"


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """One built environment; ``new`` tells that this call built it."""

    number: int
    prefix: Path
    receipt: Receipt
    new: bool = False

    @property
    def python(self) -> Path:
        """Return its interpreter."""
        return find_python(self.prefix, base=self.receipt.base, platform=self.receipt.platform)

    @property
    def record(self) -> Path:
        """Return the folder with the copies of profile and lockfile that it was built from."""
        return self.prefix / RECORD_NAME

    @property
    def report(self) -> Path:
        """Return where its validation report lies or will lie."""
        return self.prefix / REPORT_NAME


def find_environment(home: EnvironmentHome, name: str) -> Generation | None:
    """Return the current generation; None where there is no such environment.

    Raises:
        InstallError: ``install.receipt`` or ``install.moved``: there is one, and it cannot be used.
        UsageError: The name is not one safe path component.
    """
    pointer = home.environment(name) / "current"
    try:
        folder = pointer.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        why = f"the pointer to the current generation cannot be read: {why.lower()}"
        raise _unusable(name, pointer, why, closed=isinstance(error, PermissionError)) from error
    if _GENERATION.fullmatch(folder) is None:
        raise _unusable(name, pointer, "the pointer to the current generation is damaged")
    generation = _read_generation(home.generations(name) / folder)
    if generation is None:
        raise _unusable(name, pointer, f"its current generation `{folder}` is gone")
    return generation


def load_environment(home: EnvironmentHome, name: str, *, hint: str) -> Generation:
    """Return an environment's current generation; ``hint`` is what to do where there is none.

    Raises:
        InstallError: There is one, and it cannot be used.
        UsageError: There is no such environment; the known ones are named.
    """
    generation = find_environment(home, name)
    if generation is None:
        raise no_environment(home, name, hint=hint)
    return generation


def no_environment(home: EnvironmentHome, name: str, *, hint: str) -> UsageError:
    """Return the error for a name that no environment has, with the names that there are."""
    names = [f"`{each}`" for each, _ in list_environments(home)]
    known = f"; there {'is' if len(names) == 1 else 'are'} {', '.join(names)}" if names else ""
    return UsageError("usage.no_environment", f"there is no environment `{name}`{known}", hints=[hint])


def list_environments(home: EnvironmentHome) -> Iterator[tuple[str, Generation | InstallError]]:
    """Yield every environment's name with its current generation, or with what is wrong with it."""
    root = home.data / "environments"
    if not root.is_dir():
        return
    for folder in sorted(root.iterdir()):
        if not (folder / MARK_NAME).is_file() or check_profile_name(folder.name) is not None:
            continue
        try:
            found = find_environment(home, folder.name)
        except InstallError as error:
            yield folder.name, error
        else:
            if found is not None:
                yield folder.name, found


def list_generations(home: EnvironmentHome, name: str) -> tuple[Generation, ...]:
    """Return every complete generation, oldest first."""
    found = []
    for folder in find_generation_folders(home, name):
        try:
            generation = _read_generation(folder)
        except InstallError:
            continue
        if generation is not None:
            found.append(generation)
    return tuple(found)


def matches_plan(generation: Generation, plan: InstallPlan) -> bool:
    """Tell whether a generation is what the plan asks for; only its interpreter is looked at."""
    receipt = generation.receipt
    return receipt.fingerprint == plan.fingerprint and generation.python.is_file()


def prepare_environment(home: EnvironmentHome, name: str) -> Path:
    """Make an environment's folder, marked as ours, and return the folder of its generations.

    Raises:
        InstallError: ``install.foreign``: something else lies there.
    """
    make_private_folder(home.data)
    make_private_folder(home.data / "environments")
    folder = make_private_folder(home.environment(name))
    mark = folder / MARK_NAME
    if not mark.is_file():
        if not is_ours(folder):
            raise InstallError(
                "install.foreign",
                f"the folder `{folder}` holds something that provision did not make",
                hints=["move it away, or choose another name for the environment"],
                context={"path": str(folder)},
            )
        remove_temporaries(folder)
        write_atomically(mark, json.dumps(_MARK) + "\n")
    return make_private_folder(home.generations(name))


def next_number(home: EnvironmentHome, name: str) -> int:
    """Return a generation number that was never used as far as the folder tells."""
    numbers = [int(folder.name.partition("-")[0]) for folder in find_generation_folders(home, name)]
    return max(numbers, default=0) + 1


def publish(home: EnvironmentHome, name: str, folder: str) -> None:
    """Make a complete generation the current one, in one step."""
    write_atomically(home.environment(name) / "current", f"{folder}\n")


def remove_temporaries(
    folder: Path, *, pattern: str = ".*", remove: Callable[[Path], object] = remove_tree
) -> None:
    """Delete what a process that died while it wrote a file has left; nobody writes such files there now.

    ``remove`` is called in place of deleting.
    """
    for path in folder.iterdir() if folder.is_dir() and not folder.is_symlink() else ():
        if is_temporary(path.name) and re.fullmatch(pattern, path.name):
            remove(path)


def is_ours(folder: Path) -> bool:
    """Tell whether we made a folder: it has our mark, or its maker died before the mark was there."""
    if (folder / MARK_NAME).is_file():
        return True
    return folder.is_dir() and all(is_temporary(path.name) for path in folder.iterdir())


def find_current_name(home: EnvironmentHome, name: str) -> str:
    """Return the name of the current generation's folder, whether it is there or not; empty for none."""
    with suppress(OSError, UnicodeDecodeError):
        return (home.environment(name) / "current").read_text(encoding="utf-8").strip()
    return ""


def find_generation_folders(home: EnvironmentHome, name: str) -> list[Path]:
    """Return the folders of all generations, complete or not, oldest first."""
    root = home.generations(name)
    if not root.is_dir():
        return []
    found = [folder for folder in root.iterdir() if _GENERATION.fullmatch(folder.name)]
    return sorted(found, key=lambda folder: int(folder.name.partition("-")[0]))


def _read_generation(folder: Path) -> Generation | None:
    path = folder / RECEIPT_NAME
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unusable(
            folder.parents[1].name,
            path,
            f"its receipt cannot be read: {error.strerror}",
            closed=isinstance(error, PermissionError),
        ) from error
    receipt = parse_receipt(text, where=str(path))
    if Path(receipt.prefix) != folder:
        raise InstallError(
            "install.moved",
            f"the environment in `{folder}` was built in `{receipt.prefix}` and works only there",
            hints=[f"run `provision create {receipt.profile}` to build it here"],
            context={"path": str(folder), "built_in": receipt.prefix},
        )
    return Generation(number=int(folder.name.partition("-")[0]), prefix=folder, receipt=receipt)


def _unusable(name: str, path: Path, why: str, *, closed: bool = False) -> InstallError:
    anew = f"run `provision create PROFILE --name {name}` to build it anew"
    mend = f"give yourself the right to read `{path}`, or name a data folder of your own with `--data-dir`"
    return InstallError(
        "install.receipt",
        f"the environment `{name}` cannot be used: {why}",
        hints=[mend if closed else anew],
        context={"path": str(path)},
    )
