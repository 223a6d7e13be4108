"""The content-addressed store of fetched files.

``sha256/<first two>/<sha256>/<filename>``       a file with that digest, which passed the scan
``sha256/<first two>/<sha256>/<filename>.json``  its state when it was hashed, and what the scan said
``parts/<sha256>.part``                          what has arrived so far
"""

import json
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from provisioner.engines.archive.scan import SCANNER, scan_package
from provisioner.engines.store.file import StoredFile
from provisioner.errors import InstallError
from provisioner.ground.deletion import remove_tree
from provisioner.ground.file_lock import hold_file
from provisioner.ground.file_state import hash_file, read_state
from provisioner.ground.files import is_temporary, make_private_folder, replace, write_atomically
from provisioner.resolve.model import CondaPackage, PipPackage

Package = CondaPackage | PipPackage


class Store:
    """A folder of ours; a file in it is handed out when it still has the digest that it came with."""

    def __init__(self, root: Path) -> None:
        """Make the folder, or check that it is ours alone.

        Raises:
            InstallError: It is another user's, a link, or open to all.
        """
        self._root = root
        make_private_folder(root.parent)
        make_private_folder(root)
        make_private_folder(root / "parts")

    def find(self, package: Package) -> StoredFile | None:
        """Return a package's file if it is as it was when it was last hashed; None where `check` has to look.

        A file is hashed again after a start of the machine, which may have lost what was not yet on the disk,
        and whenever its size, times or inode are others than they were.
        """
        path = self._path(package)
        try:
            record = json.loads(_record_of(path).read_text(encoding="utf-8"))
            if record["scanner"] == SCANNER and record["seen"] == read_state(path):
                return StoredFile(
                    path=path,
                    notices=tuple(record["notices"]),
                    startup=tuple(record["startup"]),
                    index=dict(record["index"]),
                    unpacked_bytes=int(record["unpacked_bytes"]),
                )
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def check(self, package: Package, *, on_damage: Callable[[], None]) -> StoredFile | None:
        """Hash and scan a package's file; None where there is none, and it has to be fetched.

        Args:
            package: The package.
            on_damage: Called when there was a file that is not the locked one, and it was deleted.

        Raises:
            InstallError: The scan refuses it; it is deleted.
        """
        path = self._path(package)
        try:
            seen = read_state(path)
            if hash_file(path) == package.sha256:
                return self._admit(package, path, seen=seen)
        except FileNotFoundError:
            return None
        path.unlink()
        on_damage()
        return None

    def publish(self, package: Package, part: Path) -> StoredFile:
        """Take a complete part, whose digest was checked, into the store.

        Raises:
            InstallError: The scan refuses it; the part is deleted.
        """
        path = self._path(package)
        make_private_folder(path.parent)
        replace(part, path)
        return self._admit(package, path, seen=read_state(path))

    @contextmanager
    def hold_part(self, package: Package) -> Iterator[Path]:
        """Yield where a package's bytes arrive; another process that wants the same file waits."""
        parts = self._root / "parts"
        with hold_file(parts / f"{package.sha256}.lock", timeout_s=math.inf):
            yield parts / f"{package.sha256}.part"

    def _path(self, package: Package) -> Path:
        """Return a package's place; digest and name come from a lockfile and must not lead elsewhere."""
        digest, name = package.sha256, package.filename
        if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise InstallError(
                "install.no_hash", f"`{name}` has no sha256 in the lockfile", hints=["lock again"]
            )
        if name != Path(name).name or "\\" in name or ":" in name or name in {"", ".", ".."}:
            raise InstallError("install.file_name", f"`{name}` is no file name", hints=["lock again"])
        return _folder_of(self._root, digest) / name

    def _admit(self, package: Package, path: Path, *, seen: Sequence[object]) -> StoredFile:
        try:
            stored = scan_package(path, package)
        except InstallError:
            path.unlink()
            raise
        record = {
            "scanner": SCANNER,
            "seen": seen,
            "notices": stored.notices,
            "startup": stored.startup,
            "index": dict(stored.index),
            "unpacked_bytes": stored.unpacked_bytes,
        }
        write_atomically(_record_of(path), json.dumps(record, sort_keys=True) + "\n")
        return stored


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreCheck:
    """What came of a look at stored files; ``hashed`` counts those that were read."""

    files: int
    hashed: int
    damaged: tuple[Path, ...]


def check_store(root: Path, *, digests: Collection[str] | None = None, fast: bool = False) -> StoreCheck:
    """Compare stored files with the digests that they are stored under; nothing is changed.

    Args:
        root: The store's folder; it need not exist.
        digests: Which files; None: all.
        fast: Read only those that have changed, by size, times and inode, since they were hashed.
    """
    paths = [
        path
        for path in sorted(root.glob("sha256/??/*/*"))
        if not is_temporary(path.name) and not _is_record(path)
        if digests is None or path.parent.name in digests
    ]
    wanted = [path for path in paths if not (fast and _is_as_hashed(path))]
    damaged = tuple(path for path in wanted if not _has_digest(path, path.parent.name))
    return StoreCheck(files=len(paths), hashed=len(wanted), damaged=damaged)


def remove_dead_parts(root: Path, *, remove: Callable[[Path], object] = remove_tree) -> tuple[Path, ...]:
    """Delete what no process is fetching any more, below a store's folder; return the partial downloads.

    ``remove`` is called in place of deleting.
    """
    removed = []
    for lock in sorted((root / "parts").glob("*.lock")):
        with hold_file(lock, timeout_s=0.0) as free:
            if not free:
                continue
            part = lock.with_suffix(".part")
            if part.exists():
                remove(part)
                removed.append(part)
            folder = _folder_of(root, lock.stem)
            for path in folder.iterdir() if folder.is_dir() else ():
                if is_temporary(path.name):
                    remove(path)
            with suppress(PermissionError):  # Windows keeps a file that is open
                remove(lock)
    return tuple(removed)


def measure_stored(root: Path, sha256: str) -> int:
    """Return the bytes of a file in the store at ``root``; 0 where it is not there."""
    files = _folder_of(root, sha256).glob("*")
    return sum(path.stat().st_size for path in files if path.suffix != ".json")


def remove_stored(
    root: Path, *, kept: frozenset[str], before: float, remove: Callable[[Path], object] = remove_tree
) -> tuple[Path, ...]:
    """Delete files that came before a time (seconds of the epoch), but for those with a kept digest.

    Nobody may be using the store meanwhile. ``remove`` is called in place of deleting.

    Returns:
        Their folders.
    """
    removed = []
    for folder in sorted(root.glob("sha256/*/*")):
        if folder.name not in kept and folder.stat().st_mtime < before:
            remove(folder)
            removed.append(folder)
    return tuple(removed)


def _folder_of(root: Path, sha256: str) -> Path:
    return root / "sha256" / sha256[:2] / sha256


def _record_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _is_record(path: Path) -> bool:
    return path.suffix == ".json" and path.with_suffix("").exists()


def _is_as_hashed(path: Path) -> bool:
    """Tell whether a file looks as it did when it was hashed, whenever the machine was started."""
    try:
        record = json.loads(_record_of(path).read_text(encoding="utf-8"))
        return bool(record["seen"][:-1] == read_state(path)[:-1])
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _has_digest(path: Path, sha256: str) -> bool:
    try:
        return path.is_file() and hash_file(path) == sha256
    except OSError:
        return False
