"""Write a mirror's folder to a disk, for any web server: copies of locked files, and the pages among them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provisioner.engines.net.transfer import CHUNK_BYTES, Transfer
from provisioner.errors import InstallError, UsageError
from provisioner.events import Listener, Progress
from provisioner.ground.file_lock import hold_output
from provisioner.ground.file_state import hash_file
from provisioner.ground.files import replace, write_atomically
from provisioner.ground.refusals import disk_error
from provisioner.lock.mirror_tree import REQUIREMENTS, SIMPLE, WEB
from provisioner.pipeline.mirror import MAP_NAME, MirrorTree, write_map
from provisioner.pipeline.space import check_room

_TOP = {SIMPLE.split("/")[0], WEB, REQUIREMENTS, MAP_NAME}
_LOCK = ".provision-mirror.lock"
# A web server runs as another user.
_FOLDER_MODE, _FILE_MODE = 0o755, 0o644


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What an export did.

    Attributes:
        files: Files in the folder, pages among them.
        size: Their bytes.
        copied: Files that were not there before.
        removed: Files of an earlier export that are not part of it any more.
    """

    files: int
    size: int
    copied: int
    removed: int


def export_tree(tree: MirrorTree, folder: Path, *, url: str | None, on_event: Listener) -> Exported:
    """Make a folder exactly the tree; what is there already is kept, and what is not in the tree deleted.

    Pages are written after the files that they name, so that the folder may be served meanwhile.

    Args:
        tree: What is to be there.
        folder: Absent, empty, or an earlier export.
        url: The address at which it will be served; with it the folder has a map of mirrors.
        on_event: Is told how far it is.

    Raises:
        BusyError: Another process exports to the folder.
        InstallError: A file in the store changed meanwhile, or the disk does not take it.
        UsageError: ``usage.mirror_folder``: the folder holds something else.
    """
    pages = dict(tree.pages)
    if url is not None:
        pages[MAP_NAME] = write_map(tree.files.keys(), url)
    try:
        with _hold_folder(folder):
            missing = {
                place: path for place, path in tree.files.items() if not _is_there(folder, place, tree)
            }
            needed = sum(path.stat().st_size for path in missing.values()) + sum(map(len, pages.values()))
            advice = "free some space, or name a folder on another disk with `--export`"
            check_room("the mirror", folder, needed, advice=advice)
            _copy_files(tree, missing, folder, on_event=on_event)
            for place, body in pages.items():
                _make_parents(folder, place)
                write_atomically(folder / place, body, mode=_FILE_MODE, sync=False)
            removed = _remove_others(folder, {*tree.files, *pages})
    except OSError as error:
        raise disk_error(folder, error, instead="name a folder on another disk with `--export`") from error
    return Exported(
        files=len(tree.files) + len(pages),
        size=sum((folder / place).stat().st_size for place in (*tree.files, *pages)),
        copied=len(missing),
        removed=removed,
    )


@contextmanager
def _hold_folder(folder: Path) -> Iterator[None]:
    """Keep other exports out; the folder is made if it is absent."""
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in {*_TOP, _LOCK})
    if foreign:
        raise UsageError(
            "usage.mirror_folder",
            f"`{folder}` holds `{foreign[0]}`, which is not part of a mirror",
            hints=["name an empty folder, or one that an earlier export wrote: what is not part is deleted"],
            context={"path": str(folder)},
        )
    refusal = "another process exports to"
    with hold_output(folder / _LOCK, folder, code="busy.mirror", refusal=refusal, instead="another folder"):
        yield


def _is_there(folder: Path, place: str, tree: MirrorTree) -> bool:
    path = folder / place
    if path.is_symlink() or not path.is_file():
        return False
    return hash_file(path) == tree.digests[place]


def _copy_files(tree: MirrorTree, missing: Mapping[str, Path], folder: Path, *, on_event: Listener) -> None:
    """Copy, never link: a link would make the store's own file writable and readable to others."""
    total = sum(path.stat().st_size for path in missing.values())
    done = 0
    for place, path in missing.items():
        target = _make_parents(folder, place)
        part = target.with_name(f".{target.name}.provision-tmp")
        transfer = Transfer(part)
        transfer.restart()
        with path.open("rb") as source:
            transfer.append(iter(lambda: source.read(CHUNK_BYTES), b""), total=None)
        if transfer.digest() != tree.digests[place]:
            part.unlink()
            raise InstallError(
                "install.hash_mismatch",
                f"`{path.name}` in the store is not the locked file any more: expected sha256"
                f" `{tree.digests[place]}`, got `{transfer.digest()}`",
                hints=["run the same command again: a damaged file in the store is fetched again"],
                context={"expected": tree.digests[place], "got": transfer.digest()},
            )
        part.chmod(_FILE_MODE)
        transfer.sync()
        replace(part, target)
        done += transfer.size
        on_event(Progress(stage="export", item=place, done=done, total=total))


def _make_parents(folder: Path, place: str) -> Path:
    """Make the folders of a place, readable to a web server whatever the user's umask."""
    target = folder / place
    for parent in reversed([each for each in target.parents if each.is_relative_to(folder)]):
        if parent.is_symlink():
            parent.unlink()
        parent.mkdir(exist_ok=True)
        if parent.stat().st_mode & 0o777 != _FOLDER_MODE:
            parent.chmod(_FOLDER_MODE)
    return target


def _remove_others(folder: Path, places: set[str]) -> int:
    """Delete what is not part of the tree; return how many files that were."""
    removed = 0
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder comes before it
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in places and path.name != _LOCK:
            path.unlink()
            removed += 1
    return removed
