"""Keep compiled modules by the wheel's digest and the Python that compiled them, and put them in place.

``<python>/<sha256>.zip``       modules as they lie in ``site-packages``, and a RECORD of their digests
``<python>/<sha256>.zip.json``  its digest, and its state when it was last hashed

An archive is taken only while it is as it was when it was last hashed, or still has its digest; else it is
deleted, and its modules are compiled again.
"""

import csv
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from provisioner.engines.process.run import run_program
from provisioner.errors import InternalError
from provisioner.ground.deletion import remove_tree
from provisioner.ground.file_state import hash_file, read_state
from provisioner.ground.files import make_private_folder, replace, write_atomically
from provisioner.ground.scratch import hold_scratch

_WORKER = Path(__file__).with_name("worker.py")
_TIMEOUT_S = 600.0
_MOST_PROCESSES = 8
_RECORD = "RECORD"


class BytecodeCache:
    """A folder of ours with compiled modules."""

    def __init__(self, root: Path, *, environ: Mapping[str, str]) -> None:
        """Keep the folder, and the environment of the processes that compile."""
        self.root = root
        self._environ = environ

    def find(self, sha256: str, *, python: str) -> Path | None:
        """Return the archive of a wheel's modules for a version of Python; None where there is none."""
        path = self._path(sha256, python)
        note = _note_of(path)
        try:
            kept = json.loads(note.read_bytes())
            seen = read_state(path)
            if kept["seen"] == seen:
                return path
            if kept["sha256"] == hash_file(path):
                _write_note(path, sha256=kept["sha256"], seen=seen)
                return path
        except (OSError, ValueError, LookupError, TypeError):
            pass
        with suppress(OSError):
            note.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        return None

    def compile(
        self, interpreter: Path, wheels: Mapping[Path, Sequence[str]], *, python: str, processes: int
    ) -> None:
        """Compile modules of wheels with an environment's Python, and keep them.

        Args:
            interpreter: The Python.
            wheels: Modules, by the wheel in the store, whose folder is named by its digest.
            python: The version of that Python.
            processes: How many may compile at once.

        Raises:
            InternalError: It failed.
            OSError: It could not be started, did not end in time, or could not write.
        """
        make_private_folder(self.root)
        with hold_scratch("bytecode", parent=self.root) as folder:
            parts = {wheel: folder / f"{wheel.parent.name}.zip" for wheel in wheels}
            task = {
                "processes": min(processes, _MOST_PROCESSES),
                "wheels": [
                    {"wheel": str(wheel), "modules": sorted(modules), "archive": str(parts[wheel])}
                    for wheel, modules in wheels.items()
                ],
            }
            done = run_program(
                [interpreter, "-I", "-S", "-B", _WORKER],
                env=self._environ,
                cwd=folder,
                timeout_s=_TIMEOUT_S,
                stdin=json.dumps(task).encode(),
            )
            if done.exit_code != 0:
                raise InternalError("internal.bytecode", done.stderr.strip()[-2000:] or "it says nothing")
            for wheel, part in parts.items():
                self._publish(part, self._path(wheel.parent.name, python))

    def _publish(self, part: Path, path: Path) -> None:
        make_private_folder(path.parent)
        digest = hash_file(part)
        replace(part, path)
        _write_note(path, sha256=digest, seen=read_state(path))

    def _path(self, sha256: str, python: str) -> Path:
        return self.root / f"cpython-{python}" / f"{sha256}.zip"


def list_compiled(archive: Path) -> frozenset[str]:
    """Return the places of an archive's modules in ``site-packages``."""
    with zipfile.ZipFile(archive) as opened:
        return frozenset(opened.namelist()) - {_RECORD}


def unpack_modules(archive: Path, site: Path) -> Iterator[tuple[str, str, str]]:
    """Write an archive's modules into ``site-packages``, and yield place, digest and size of each.

    Raises:
        OSError: One could not be written.
    """
    with zipfile.ZipFile(archive) as opened:
        folders = set()
        for row in csv.reader(opened.read(_RECORD).decode().splitlines()):
            path = site / row[0]
            if path.parent not in folders:
                path.parent.mkdir(parents=True, exist_ok=True)
                folders.add(path.parent)
            path.write_bytes(opened.read(row[0]))
            yield row[0], row[1], row[2]


def find_compiled_place(module: str, *, python: str) -> str:
    """Return where CPython keeps a compiled module, beside its source (PEP 3147)."""
    path = PurePosixPath(module)
    tag = "".join(python.split(".")[:2])
    return (path.parent / "__pycache__" / f"{path.stem}.cpython-{tag}.pyc").as_posix()


def list_modules(wheel: Path) -> list[str]:
    """Return the modules that a wheel brings into ``site-packages`` under the names that it has them."""
    with zipfile.ZipFile(wheel) as opened:
        return [
            name
            for name in opened.namelist()
            if name.endswith(".py") and not name.partition("/")[0].endswith(".data")
        ]


def remove_compiled(
    root: Path, *, kept: frozenset[str], before: float, remove: Callable[[Path], object] = remove_tree
) -> tuple[Path, ...]:
    """Delete archives that were made before a time (seconds of the epoch), but for those of kept wheels.

    ``remove`` is called in place of deleting.

    Returns:
        The archives.
    """
    removed = []
    for path in sorted(root.glob("cpython-*/*.zip")):
        if path.stem not in kept and path.stat().st_mtime < before:
            remove(path)
            remove(_note_of(path))
            removed.append(path)
    return tuple(removed)


def _note_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _write_note(path: Path, *, sha256: str, seen: Sequence[object]) -> None:
    text = json.dumps({"sha256": sha256, "seen": list(seen)}) + "\n"
    write_atomically(_note_of(path), text, sync=False)
