"""Put the files of an environment back as they were built; what does not get its old digest is left alone.

Files come from a second build of the same packages in a folder beside the environment whose path has the same
length: what an engine wrote with its path differs in nothing but that path, and digests say when it does not.
"""

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from provisioner.ground.deletion import remove_tree
from provisioner.ground.files import replace, write_atomically
from provisioner.ground.scratch import hold_folder
from provisioner.install.inventory import BuiltFile, digest_file, digest_text, is_bytecode, read_list
from provisioner.install.verify import Change, Difference

_LINK = "link:"


@contextmanager
def hold_second(prefix: Path) -> Iterator[Path]:
    """Yield the folder of the second build, absent, and delete it; the caller holds the environment's lock.

    It has a generation's name, of the same length, and no receipt: after a kill it is a leftover as others.
    """
    number, _, digest = prefix.name.partition("-")
    source = prefix.with_name(f"{number}-{int(digest, 16) ^ 1:08x}")
    with hold_folder(source):
        yield source


def needs_source(difference: Difference, inventory: Mapping[str, BuiltFile]) -> bool:
    """Tell whether a file's content has to come from somewhere: links and permissions are known."""
    if difference.change in {Change.ADDED, Change.MODE} or is_bytecode(difference.file):
        return False
    return not inventory[difference.file].content.startswith(_LINK)


def restore_files(
    prefix: Path,
    differences: Sequence[Difference],
    inventory: Mapping[str, BuiltFile],
    *,
    source: Path,
) -> tuple[str, ...]:
    """Make files what they were, each in one step, and delete those that were added.

    Args:
        prefix: The environment; nobody uses it.
        differences: What is not as it was.
        inventory: What was built.
        source: Folder of the second build, from which files are taken.

    Returns:
        The files that could not be made, because the second build has others.

    Raises:
        OSError: The file system refuses.
    """
    failed = []
    # Added ones first: one of them may be a link in place of a folder.
    for each in sorted(differences, key=lambda each: each.change is not Change.ADDED):
        path = prefix / each.file
        if each.change is Change.ADDED or is_bytecode(each.file):  # Python makes it again
            path.unlink(missing_ok=True)
            _remove_empty(path.parent, prefix)
        elif each.change is Change.MODE:
            _set_executable(path, executable=inventory[each.file].executable)
        elif not _restore(prefix, each.file, inventory, source=source):
            failed.append(each.file)
        _drop_bytecode(path, prefix, inventory)
    return tuple(failed)


def _restore(prefix: Path, name: str, inventory: Mapping[str, BuiltFile], *, source: Path) -> bool:
    path, built = prefix / name, inventory[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)  # what it held was added, and is gone
    if built.content.startswith(_LINK):
        path.unlink(missing_ok=True)
        path.symlink_to(built.content.removeprefix(_LINK))
        return True
    copy = source / name
    try:
        if copy.is_symlink() or not copy.is_file():
            return False
        if digest_file(copy) == built.content:
            replace(copy, path)
        else:
            data = _translate(source, name, prefix=prefix, inventory=inventory)
            if digest_text(hashlib.sha256(data).digest()) != built.content:
                return False
            write_atomically(path, data, mode=copy.stat().st_mode & 0o777)
    except FileNotFoundError:
        return False
    os.utime(path, ns=(built.seen[1], built.seen[1]))
    _set_executable(path, executable=built.executable)
    return True


def _translate(source: Path, name: str, *, prefix: Path, inventory: Mapping[str, BuiltFile]) -> bytes:
    """Return what the second build's file would be here: with our path, in lists with our files' digests."""
    data = (source / name).read_bytes().replace(os.fsencode(source), os.fsencode(prefix))
    if not name.endswith(("/RECORD", ".json")):
        return data
    for inside, was in read_list(source, name):
        now = inventory[inside].content if inside in inventory else was
        if was and now != was:
            for form in (str.encode, _as_hex):
                data = data.replace(form(was), form(now))
    return data


def _as_hex(digest: str) -> bytes:
    """Return a digest of RECORD as ``conda-meta`` writes it."""
    return base64.urlsafe_b64decode(digest.removeprefix("sha256=") + "=").hex().encode()


def _set_executable(path: Path, *, executable: bool) -> None:
    """Let everybody run a file who may read it, or nobody."""
    if os.name == "posix":
        mode = path.stat().st_mode & 0o777
        path.chmod(mode | (mode & 0o444) >> 2 if executable else mode & ~0o111)


def _drop_bytecode(path: Path, prefix: Path, inventory: Mapping[str, BuiltFile]) -> None:
    """Delete what Python compiled of another content: it may take it for ours, of equal size and time."""
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc") if path.suffix == ".py" else ():
        if compiled.relative_to(prefix).as_posix() not in inventory:
            compiled.unlink()
    _remove_empty(path.parent / "__pycache__", prefix)


def _remove_empty(folder: Path, prefix: Path) -> None:
    """Delete folders that hold nothing any more."""
    with suppress(OSError):
        while folder != prefix:
            folder.rmdir()
            folder = folder.parent
