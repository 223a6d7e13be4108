"""Read a built environment from its files: its Python, its packages, and what they lack; nothing is run."""

import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name

from provisioner.diagnose.machine.facts import EnvironmentFacts
from provisioner.engines.machine.binaries import Needs, read_needs
from provisioner.install.generations import Generation
from provisioner.install.snapshot import find_changed

_LINUX_SYSTEM = tuple(
    Path(folder)
    for folder in (
        "/lib/x86_64-linux-gnu",
        "/usr/lib/x86_64-linux-gnu",
        "/lib64",
        "/usr/lib64",
        "/usr/lib",
        "/lib",
    )
)
_WINDOWS_SYSTEM = (Path("C:/Windows/System32"),)
# The binaries whose failure users see as a stack trace; the hundreds below them are reached through these.
_BINARIES = (
    "torch/lib/*",
    "torch/_C*",
    "torchvision/*",
    "intel_extension_for_pytorch/lib/*",
    "intel_extension_for_pytorch/bin/*",
    "intel_extension_for_pytorch/_C*",
    "xe_linear*",
    "xe_addons*",
    "xe_batch*",
)
_LIBRARY = re.compile(r"\.(so(\.[0-9.]+)?|dll|pyd)$")
# Packages without which no model runs; their records are compared with the disk.
_RECORDED = ("torch-", "torchvision-", "intel_extension_for_pytorch-", "bigdl_core_")
_FIRST_READ = ("torch/__init__.py", "torch/version.py")
_MAGIC = {True: (b"MZ",), False: (b"\x7fELF", b"#!")}
_PROVIDERS = (
    "torch/lib",
    "intel_extension_for_pytorch/lib",
    "intel_extension_for_pytorch/bin",
    "*.libs",
    "nvidia/*/lib",
)
_PARTS_OF_WINDOWS = ("api-ms-win-", "ext-ms-")


def gather_built(generation: Generation) -> EnvironmentFacts:
    """Return what is in an environment that we built; nothing of it is run."""
    receipt = generation.receipt
    facts = gather_environment(
        generation.prefix,
        platform=receipt.platform,
        interpreter=generation.python,
        locked={package.name: package.version for package in receipt.packages if package.kind == "wheel"},
    )
    return replace(facts, changed=find_changed(generation.prefix))


def gather_environment(
    prefix: Path,
    *,
    platform: str,
    interpreter: Path | None = None,
    locked: Mapping[str, str] | None = None,
    system_folders: Iterable[Path] | None = None,
) -> EnvironmentFacts:
    """Return what is in an environment; nothing of it is run.

    Args:
        prefix: Folder of the venv or conda prefix.
        platform: ``linux-64`` or ``win-64``: the layout to read.
        interpreter: Where its Python belongs; None: it is not looked at.
        locked: Normalised name to version of what was installed from the lock, where the caller knows.
        system_folders: Where the system's own libraries are; the platform's usual folders by default.
    """
    windows = platform == "win-64"
    damage = [] if interpreter is None else list(_find_broken_python(prefix, interpreter, windows=windows))
    site = _find_site_packages(prefix, windows=windows)
    if site is None:
        damage.append("the folder of packages (`site-packages`) is missing")
        return EnvironmentFacts(locked=locked, damage=tuple(damage))
    binaries = _read_binaries(site)
    folders = tuple(system_folders or (_WINDOWS_SYSTEM if windows else _LINUX_SYSTEM))
    damage += _find_damaged_files(site, binaries)
    return EnvironmentFacts(
        python=_read_python(prefix, site),
        distributions=_list_distributions(site),
        locked=locked,
        torch_version=_read_torch_version(site),
        damage=tuple(damage),
        missing_libraries=_list_missing(prefix, site, folders, binaries, windows=windows),
    )


def list_files(prefix: Path) -> Iterator[str]:
    """Yield every file's path in the environment, with the system's separators; no link is followed."""
    for folder, _, names in os.walk(prefix):
        yield from (os.path.relpath(os.path.join(folder, name), prefix) for name in names)  # noqa: PTH118 - thousands


def _find_site_packages(prefix: Path, *, windows: bool) -> Path | None:
    candidates = (
        [prefix / "Lib/site-packages"] if windows else sorted(prefix.glob("lib/python3*/site-packages"))
    )
    return next((folder for folder in candidates if folder.is_dir()), None)


def _read_python(prefix: Path, site: Path) -> str | None:
    records = sorted(path.name for path in (prefix / "conda-meta").glob("python-3*.json"))
    if records:
        return records[0].split("-")[1]
    text = _read_text(prefix / "pyvenv.cfg")
    match = re.search(r"^version(?:_info)?\s*=\s*(\d+(?:\.\d+)+)", text, re.MULTILINE)
    if match:
        return match.group(1)
    return site.parent.name.removeprefix("python") if site.parent.name.startswith("python3") else None


def _list_distributions(site: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for folder in sorted(site.glob("*.dist-info")):
        name, _, version = folder.name.removesuffix(".dist-info").rpartition("-")
        if name:
            found[canonicalize_name(name)] = version
    return found


def find_base_python_folder(prefix: Path) -> Path | None:
    """Return the folder of the Python that a virtual environment was made of; None where none is told."""
    home = re.search(r"^home\s*=\s*(.+?)\s*$", _read_text(prefix / "pyvenv.cfg"), re.MULTILINE)
    return Path(home.group(1)) if home else None


def _find_broken_python(prefix: Path, interpreter: Path, *, windows: bool) -> Iterator[str]:
    name = interpreter.relative_to(prefix).as_posix()
    try:
        with interpreter.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError:
        target = os.path.realpath(interpreter)
        gone = f" is a link to `{target}`, which is gone" if interpreter.is_symlink() else " is missing"
        yield f"the interpreter `{name}`{gone}"
    except OSError as error:
        yield f"the interpreter `{name}` cannot be read: {(error.strerror or str(error)).lower()}"
    else:
        if not magic.startswith(_MAGIC[windows]):
            yield f"the interpreter `{name}` is no program that this system can start"
        elif not windows and not os.access(interpreter, os.X_OK):
            yield f"the interpreter `{name}` may not be run: it is not marked as executable"
    if (prefix / "conda-meta").is_dir():
        return
    home = find_base_python_folder(prefix)
    if home is None:
        yield "`pyvenv.cfg`, by which Python finds this environment's packages, is missing or damaged"
    elif not home.is_dir():
        yield f"the environment's Python came from `{home}`, which is gone"


def _find_damaged_files(site: Path, binaries: Mapping[Path, Needs | None]) -> Iterator[str]:
    """Compare torch and the native parts with their packages' records, and find unreadable libraries."""
    for record in sorted(site.glob("*.dist-info/RECORD")):
        for path, size in _list_recorded_files(record):
            try:
                found = (site / path).stat().st_size
            except OSError:
                yield f"`{path}` is missing"
                continue
            if found != size:
                yield f"`{path}` has {found} bytes, and had {size} when it was installed"
    for binary, needs in binaries.items():
        if needs is None:
            yield f"`{binary.relative_to(site).as_posix()}` is no library that this system can load"


def _list_recorded_files(record: Path) -> Iterator[tuple[str, int]]:
    """Yield path and size of the files of a package that decide whether torch starts.

    Source: the PyPA's specification of RECORD.
    """
    if not any(record.parent.name.startswith(name) for name in _RECORDED):
        return
    rows = csv.reader(_read_text(record).splitlines())
    for row in sorted(rows, key=lambda row: row[:1] not in ([name] for name in _FIRST_READ)):
        if len(row) == 3 and row[2].isdecimal() and (row[0] in _FIRST_READ or _LIBRARY.search(row[0])):
            yield row[0], int(row[2][:15])


def _read_torch_version(site: Path) -> str | None:
    """Return the version that torch's own code carries, with the build that the record may leave out."""
    match = re.search(
        r"^__version__ = ['\"]([^'\"\n]+)['\"]", _read_text(site / _FIRST_READ[1]), re.MULTILINE
    )
    return match.group(1) if match else None


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _read_binaries(site: Path) -> dict[Path, Needs | None]:
    found = {path for pattern in _BINARIES for path in site.glob(pattern) if _LIBRARY.search(path.name)}
    return {path: read_needs(path) for path in sorted(found) if path.is_file()}


def _list_missing(
    prefix: Path,
    site: Path,
    system_folders: tuple[Path, ...],
    binaries: Mapping[Path, Needs | None],
    *,
    windows: bool,
) -> tuple[str, ...]:
    provided = {
        _fold(path.name, windows=windows)
        for folder in _list_provider_folders(prefix, site, windows=windows)
        for path in _list_files(folder)
    }
    missing: dict[str, str] = {}
    for binary, needs in binaries.items():
        for name in needs.names if needs else ():
            known = _fold(name, windows=windows) in provided
            if known or (windows and name.lower().startswith(_PARTS_OF_WINDOWS)):
                continue
            if needs and not _is_found(name, binary, needs, system_folders):
                missing.setdefault(name, f"{name} (needed by {binary.relative_to(site).as_posix()})")
    return tuple(missing.values())


def _fold(name: str, *, windows: bool) -> str:
    return name.lower() if windows else name


def _list_provider_folders(prefix: Path, site: Path, *, windows: bool) -> Iterator[Path]:
    yield from (prefix / part for part in (("Library/bin", "bin", "", "DLLs") if windows else ("lib",)))
    for pattern in _PROVIDERS:
        yield from site.glob(pattern)


def _list_files(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except OSError:
        return


def _is_found(name: str, binary: Path, needs: Needs, system_folders: tuple[Path, ...]) -> bool:
    if "/" in name or "\\" in name:
        return False  # a path where a name belongs
    origin = str(binary.parent)
    folders = [folder.replace("${ORIGIN}", origin).replace("$ORIGIN", origin) for folder in needs.folders]
    return any((folder / name).exists() for folder in (*map(Path, folders), binary.parent, *system_folders))
