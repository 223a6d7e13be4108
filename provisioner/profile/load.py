"""Find profiles in folders, read them with the stacks they extend, and return them merged."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import ErrorList, Problem, UsageError
from provisioner.ground.files import NotRegularError, read_file
from provisioner.ground.names import check_profile_name
from provisioner.ground.text import did_you_mean, shown
from provisioner.ground.yaml_reader import MAX_BYTES, read_yaml
from provisioner.ground.yaml_tree import Leaf, Origin, PlacedProblem, plain, raise_problems
from provisioner.profile.contradictions import find_contradictions, find_unknown_indexes
from provisioner.profile.merge import build_profile, merge_files
from provisioner.profile.model import Profile
from provisioner.profile.parse import ProfileFile, find_missing, parse_file

MAX_EXTENDS_DEPTH = 8
SUFFIX = ".yaml"
LEDGER = "known.yaml"
"""What is known about card, driver and wheel lies beside the built-in profiles, and is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileEntry:
    """One line of ``provision list``: a profile, a stack's description, or the error of a broken file."""

    name: str
    file: str
    stack: bool = False
    description: str | None = None
    profile: Profile | None = None
    error: ErrorList | UsageError | None = None


def load_profile(name: str, *, folders: Sequence[Path]) -> Profile:
    """Return the profile ``name`` of the first folder that has ``NAME.yaml``, merged with what it extends.

    Raises:
        ErrorList: Of ``UsageError``, every problem of the profile and of its stacks at once.
        UsageError: ``profile.bad_name``, ``profile.not_found``, ``profile.is_stack``.
    """
    if reason := check_profile_name(name):
        raise UsageError("profile.bad_name", reason, hints=("`provision list` shows the names",))
    path = _find(name, folders)
    if path is None:
        missing = _explain_missing(name, folders, known=[entry.name for entry in list_profiles(folders)])
        raise UsageError(
            f"profile.{missing.code}",
            missing.message,
            hints=missing.hints,
            context={"folders": [str(folder) for folder in folders]},
        )
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
    if reason := check_profile_name(name):
        error = UsageError("profile.bad_name", reason, hints=(f"rename {shown(path.name)}",))
        return ProfileEntry(name=name, file=str(path), error=error)
    try:
        files = _load_chain(name, path, folders)
        profile = None if files[0].stack else _merge(files)
    except ErrorList as errors:
        return ProfileEntry(name=name, file=str(path), error=errors)
    description = plain(files[0].root).get("description")
    return ProfileEntry(
        name=name, file=str(path), stack=profile is None, description=description, profile=profile
    )


def _merge(files: Sequence[ProfileFile]) -> Profile:
    merged = merge_files(files)
    extended = [file.name for file in files[1:]]
    missing = find_missing(merged.keys.__contains__, files[0].root.origin, extended=extended)
    raise_problems(missing, area="profile")
    raise_problems(find_contradictions(merged), area="profile")
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
        # What is right is merged all the same: a route to an unknown index is reported in the same run.
        names = {name for each in files for name in each.indexes}
        chain.problems.extend(find_unknown_indexes(merge_files(files), sorted(names)))
    raise_problems(chain.problems, area="profile")
    return files


class _Chain:
    """The files on the way from a profile to all that it extends, each followed once.

    ``done`` has a file after everything it extends (depth first, the farthest first), so read backwards it is
    the order of precedence: among what one file extends the first named is nearest, and a stack that two
    files extend is farther than both. ``whole`` tells that every file could be read.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = folders
        self.problems: list[PlacedProblem] = []
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
                self._note("cycle", f"extends goes in a circle: {ring}", leaf)
            elif len(trail) > MAX_EXTENDS_DEPTH:
                self._note("too_deep", f"stacks are nested more than {MAX_EXTENDS_DEPTH} deep", leaf)
            elif leaf.text not in self.seen and (found := self._load(leaf)):
                self.follow(found, trail)
        self.done.append(file)

    def _load(self, leaf: Leaf) -> ProfileFile | None:
        path = _find(leaf.text, self.folders)
        file = None
        if path is None:
            missing = _explain_missing(leaf.text, self.folders, known=_file_names(self.folders))
            self._note(missing.code, missing.message, leaf, *missing.hints)
        else:
            file = _load_file(leaf.text, path, self.problems)
        self.whole = self.whole and file is not None
        return file

    def _note(self, code: str, message: str, leaf: Leaf, *hints: str) -> None:
        self.problems.append(PlacedProblem(code=code, message=message, origin=leaf.origin, hints=hints))


def _load_file(name: str, path: Path, problems: list[PlacedProblem]) -> ProfileFile | None:
    """Read and check one file; None where it cannot be read, with the problem noted."""
    file = str(path)
    try:
        root, found = read_yaml(read_file(path, max_bytes=MAX_BYTES, follow_links=False), file)
    except OSError as error:
        code = "not_regular" if isinstance(error, NotRegularError) else "unreadable"
        message = f"the file cannot be read: {(error.strerror or str(error)).lower()}"
        problems.append(PlacedProblem(code=code, message=message, origin=Origin(file, 1, 1)))
        return None
    problems.extend(found)
    return None if root is None else parse_file(name, file, root, problems)


def _profile_paths(folder: Path) -> Iterator[Path]:
    """Yield the folder's profile files by name; nothing where there is no such folder."""
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return
    for path in paths:
        if path.name.endswith(SUFFIX) and not path.name.startswith(".") and path.name != LEDGER:
            yield path


def _find(name: str, folders: Sequence[Path]) -> Path | None:
    """Return the first folder's file of that name, a broken link included."""
    if f"{name}{SUFFIX}" == LEDGER:
        return None
    return next((path for folder in folders if os.path.lexists(path := folder / f"{name}{SUFFIX}")), None)


def _file_names(folders: Sequence[Path]) -> list[str]:
    return sorted({path.name.removesuffix(SUFFIX) for folder in folders for path in _profile_paths(folder)})


def _explain_missing(name: str, folders: Sequence[Path], *, known: Sequence[str]) -> Problem:
    """Return the problem of a missing profile, with the names that there are."""
    if f"{name}{SUFFIX}" == LEDGER:
        message = f"profile `{name}` is not found; `{LEDGER}` is the ledger of drivers, and no profile"
        return Problem(code="not_found", message=message, hints=("give the profile another name",))
    for folder in folders:
        if os.path.lexists(other := folder / f"{name}.yml"):
            message = f"profile `{name}` is not found; {shown(str(other))} has another ending"
            return Problem(code="not_found", message=message, hints=(f"rename it to `{name}{SUFFIX}`",))
    message = f"profile `{name}` is not found{did_you_mean(name, known)}"
    hint = f"known profiles: {', '.join(known)}" if known else "name a folder of profiles with `--envs`"
    return Problem(code="not_found", message=message, hints=(hint,))
