"""Read a built environment from its files: packages, and libraries that its binaries ask for in vain."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from provisioner.diagnose.machine.facts import EnvironmentFacts
from provisioner.engines.machine.binaries import Needs, read_needs

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
    "torch/lib/*.so*",
    "torch/lib/*.dll",
    "torch/_C*",
    "torchvision/*.so",
    "torchvision/*.pyd",
    "intel_extension_for_pytorch/lib/*.so*",
    "intel_extension_for_pytorch/bin/*.dll",
    "intel_extension_for_pytorch/_C*",
    "xe_linear*",
    "xe_addons*",
    "xe_batch*",
)
_PROVIDERS = (
    "torch/lib",
    "intel_extension_for_pytorch/lib",
    "intel_extension_for_pytorch/bin",
    "*.libs",
    "nvidia/*/lib",
)
_PARTS_OF_WINDOWS = ("api-ms-win-", "ext-ms-")


def gather_environment(
    prefix: Path,
    *,
    platform: str,
    locked: Mapping[str, str] | None = None,
    system_folders: Iterable[Path] | None = None,
) -> EnvironmentFacts:
    """Return what is in an environment; nothing of it is run.

    Args:
        prefix: Folder of the venv or conda prefix.
        platform: ``linux-64`` or ``win-64``: the layout to read.
        locked: Normalised name to version of what was installed from the lock, where the caller knows.
        system_folders: Where the system's own libraries are; the platform's usual folders by default.
    """
    windows = platform == "win-64"
    site = _find_site_packages(prefix, windows=windows)
    if site is None:
        return EnvironmentFacts(locked=locked)
    folders = tuple(system_folders or (_WINDOWS_SYSTEM if windows else _LINUX_SYSTEM))
    return EnvironmentFacts(
        python=_read_python(prefix, site),
        distributions=_list_distributions(site),
        locked=locked,
        missing_libraries=_list_missing(prefix, site, folders, windows=windows),
    )


def _find_site_packages(prefix: Path, *, windows: bool) -> Path | None:
    candidates = (
        [prefix / "Lib/site-packages"] if windows else sorted(prefix.glob("lib/python3*/site-packages"))
    )
    return next((folder for folder in candidates if folder.is_dir()), None)


def _read_python(prefix: Path, site: Path) -> str | None:
    records = sorted(path.name for path in (prefix / "conda-meta").glob("python-3*.json"))
    if records:
        return records[0].split("-")[1]
    try:
        text = (prefix / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
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


def _list_missing(
    prefix: Path, site: Path, system_folders: tuple[Path, ...], *, windows: bool
) -> tuple[str, ...]:
    provided = {
        _fold(path.name, windows=windows)
        for folder in _list_provider_folders(prefix, site, windows=windows)
        for path in _list_files(folder)
    }
    missing: dict[str, str] = {}
    for binary in sorted({path for pattern in _BINARIES for path in site.glob(pattern) if path.is_file()}):
        needs = read_needs(binary) or Needs(names=())
        for name in needs.names:
            known = _fold(name, windows=windows) in provided
            if known or (windows and name.lower().startswith(_PARTS_OF_WINDOWS)):
                continue
            if not _is_found(name, binary, needs, system_folders):
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
