"""Find profiles in folders, read them with the stacks they extend, and return them merged."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import ErrorList, UsageError
from provisioner.ground.yaml_fields import did_you_mean
from provisioner.ground.yaml_reader import MAX_BYTES, read_yaml
from provisioner.ground.yaml_tree import Leaf, Origin, Problem, raise_problems, shown
from provisioner.profile import rules
from provisioner.profile.contradictions import find_contradictions, find_unknown_indexes
from provisioner.profile.merge import build_profile, find_missing, merge_files
from provisioner.profile.model import Device, Family, Profile, Upstream
from provisioner.profile.parse import ProfileFile, parse_file

MAX_EXTENDS_DEPTH = 8
SUFFIX = ".yaml"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileEntry:
    """One line of ``provision list``; where ``error`` is set, the profile cannot be used."""

    name: str
    file: str
    stack: bool = False
    description: str | None = None
    family: Family | None = None
    device: Device | None = None
    upstream: Upstream | None = None
    error: ErrorList | UsageError | None = None


def load_profile(name: str, *, folders: Sequence[Path]) -> Profile:
    """Return the profile ``name`` of the first folder that has ``NAME.yaml``, merged with what it extends.

    Raises:
        ErrorList: Of ``UsageError``, every problem of the profile and of its stacks at once.
        UsageError: ``profile.bad_name``, ``profile.not_found``, ``profile.is_stack``.
    """
    if reason := rules.check_profile_name(name):
        raise UsageError("profile.bad_name", reason, hints=("`provision list` shows the names",))
    path = _find(name, folders)
    if path is None:
        raise _not_found(name, folders, known=[entry.name for entry in list_profiles(folders)])
    files = _load_chain(name, path, folders)
    if files[0].stack:
        message = f"`{name}` is a stack, which other profiles extend; it is no environment itself"
        raise UsageError("profile.is_stack", message, hints=("`provision list` shows the profiles",))
    return _merge(files)


def list_profiles(folders: Sequence[Path], *, stacks: bool = False) -> tuple[ProfileEntry, ...]:
    """Return every profile of the folders by name; a name's first folder counts, as in ``load_profile``.

    A profile that cannot be read is listed with its error. Stacks are left out unless ``stacks``.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for path in _profile_paths(folder):
            found.setdefault(path.name.removesuffix(SUFFIX), path)
    entries = (_entry(name, found[name], folders) for name in sorted(found))
    return tuple(entry for entry in entries if stacks or not entry.stack)


def _entry(name: str, path: Path, folders: Sequence[Path]) -> ProfileEntry:
    if reason := rules.check_profile_name(name):
        error = UsageError("profile.bad_name", reason, hints=(f"rename {shown(path.name)}",))
        return ProfileEntry(name=name, file=str(path), error=error)
    try:
        files = _load_chain(name, path, folders)
        if files[0].stack:
            return _stack_entry(files)
        profile = _merge(files)
    except ErrorList as errors:
        return ProfileEntry(name=name, file=str(path), error=errors)
    return ProfileEntry(
        name=name,
        file=str(path),
        description=profile.description,
        family=profile.family,
        device=profile.device,
        upstream=profile.upstream,
    )


def _stack_entry(files: Sequence[ProfileFile]) -> ProfileEntry:
    description = files[0].root.get("description")
    text = description.text if isinstance(description, Leaf) else None
    return ProfileEntry(name=files[0].name, file=files[0].file, stack=True, description=text)


def _merge(files: Sequence[ProfileFile]) -> Profile:
    merged = merge_files(files)
    raise_problems(list(find_missing(merged, files)))
    raise_problems(list(find_contradictions(merged)))
    return build_profile(files, merged)


def _load_chain(name: str, path: Path, folders: Sequence[Path]) -> list[ProfileFile]:
    """Return the profile and everything it extends, each once, a file always before what it extends.

    Raises:
        ErrorList: Every problem of every file.
    """
    chain = _Chain(folders)
    if file := _load_file(name, path, chain.problems):
        chain.follow(file, ())
    files = chain.done[::-1]
    if chain.problems and chain.whole:
        # What is right is merged all the same, so that a route to nowhere is told in the same run.
        names = {name for each in files for name in each.indexes}
        chain.problems.extend(find_unknown_indexes(merge_files(files), sorted(names)))
    raise_problems(chain.problems)
    return files


class _Chain:
    """The files on the way from a profile to all that it extends, each followed once.

    ``done`` has a file after everything it extends (depth first, the farthest first), so read backwards it is
    the order of precedence: among what one file extends the first named is nearest, and a stack that two
    files extend is farther than both. ``whole`` tells that every file could be read.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = folders
        self.problems: list[Problem] = []
        self.done: list[ProfileFile] = []
        self.seen: set[str] = set()
        self.whole = True

    def follow(self, file: ProfileFile, above: tuple[str, ...]) -> None:
        """Load what ``file`` extends, and what that extends; ``above`` is the way from the profile to it."""
        trail = (*above, file.name)
        self.seen.add(file.name)
        for leaf in reversed(file.extends):
            if leaf.text in trail:
                ring = " -> ".join((*trail[trail.index(leaf.text) :], leaf.text))
                self._note("profile.cycle", f"extends goes in a circle: {ring}", leaf)
            elif len(trail) > MAX_EXTENDS_DEPTH:
                self._note("profile.too_deep", f"stacks are nested more than {MAX_EXTENDS_DEPTH} deep", leaf)
            elif leaf.text not in self.seen and (found := self._load(leaf)):
                self.follow(found, trail)
        self.done.append(file)

    def _load(self, leaf: Leaf) -> ProfileFile | None:
        path = _find(leaf.text, self.folders)
        file = None
        if path is None:
            missing = _not_found(leaf.text, self.folders, known=_file_names(self.folders))
            self._note(missing.code, missing.message, leaf, *missing.hints)
        else:
            file = _load_file(leaf.text, path, self.problems)
        self.whole = self.whole and file is not None
        return file

    def _note(self, code: str, message: str, leaf: Leaf, *hints: str) -> None:
        self.problems.append(Problem(code=code, message=message, origin=leaf.origin, hints=hints))


def _load_file(name: str, path: Path, problems: list[Problem]) -> ProfileFile | None:
    """Read and check one file; None where it cannot be read, with the problem noted."""
    file = str(path)
    start = Origin(file=file, line=1, column=1)
    try:
        data = _read(path)
    except OSError as error:
        message = f"the file cannot be read: {(error.strerror or str(error)).lower()}"
        problems.append(Problem(code="profile.unreadable", message=message, origin=start))
        return None
    if data is None:
        message = "this is not a regular file; links and devices are not followed"
        problems.append(Problem(code="profile.not_regular", message=message, origin=start))
        return None
    root, found = read_yaml(data, file)
    problems.extend(found)
    return None if root is None else parse_file(name, file, root, problems)


def _read(path: Path) -> bytes | None:
    """Return at most one byte more than a profile may have, None for what is no regular file.

    The kind is asked before the file is opened (a pipe would block) and again afterwards (a link put there
    meanwhile).
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        return None
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    )
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None
        return file.read(MAX_BYTES + 1)


def _profile_paths(folder: Path) -> Iterator[Path]:
    """Yield the folder's profile files by name; nothing where there is no such folder."""
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return
    for path in paths:
        if path.name.endswith(SUFFIX) and not path.name.startswith("."):
            yield path


def _find(name: str, folders: Sequence[Path]) -> Path | None:
    """Return the first folder's file of that name, a broken link included."""
    return next((path for folder in folders if os.path.lexists(path := folder / f"{name}{SUFFIX}")), None)


def _file_names(folders: Sequence[Path]) -> list[str]:
    return sorted({path.name.removesuffix(SUFFIX) for folder in folders for path in _profile_paths(folder)})


def _not_found(name: str, folders: Sequence[Path], *, known: Sequence[str]) -> UsageError:
    """Return the error that names what there is; a profile of the other ending is told as such."""
    for folder in folders:
        if os.path.lexists(other := folder / f"{name}.yml"):
            message = f"profile `{name}` is not found; {shown(str(other))} has another ending"
            return UsageError("profile.not_found", message, hints=(f"rename it to `{name}{SUFFIX}`",))
    message = f"profile `{name}` is not found{did_you_mean(name, tuple(known))}"
    hint = f"known profiles: {', '.join(known)}" if known else "name a folder of profiles with `--envs`"
    return UsageError(
        "profile.not_found", message, hints=(hint,), context={"folders": [str(f) for f in folders]}
    )
