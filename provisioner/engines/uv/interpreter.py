"""Look on this machine for a Python that a virtual environment can be made of."""

import re
import sys
import tempfile
from pathlib import Path

from provisioner.engines.uv.managed import find_managed, find_unpacked
from provisioner.engines.uv.program import Uv
from provisioner.errors import InstallError

_TIMEOUT_S = 60.0


def find_interpreter(version: str, *, uv: Uv, platform: str, managed: Path) -> Path:
    """Return a Python of ``version`` (``3.11`` or ``3.11.7``) on this machine; nothing is written.

    First choice is the one that runs us, outside its virtual environment; then what uv finds: ``PATH``, the
    registry and the launcher on Windows, and interpreters that uv has installed; then a managed one of ours.

    Args:
        version: What the profile asks for.
        uv: Looks for interpreters.
        platform: This machine's.
        managed: Folder of the managed Pythons that were unpacked.

    Raises:
        InstallError: ``install.no_python``: there is none.
    """
    own = Path(getattr(sys, "_base_executable", None) or sys.executable)
    if _matches(version, sys.version_info[:3]) and sys.implementation.name == "cpython" and own.is_file():
        return own
    found = _find_with_uv(version, uv) or find_unpacked(version, platform, folder=managed)
    if found is None:
        raise _missing(version, platform)
    return found


def _find_with_uv(version: str, uv: Uv) -> Path | None:
    completed = uv.run(
        *("python", "find", f"cpython@{version}", "--system", "--no-project", "--offline", "--no-cache"),
        cwd=Path(tempfile.gettempdir()),
        timeout_s=_TIMEOUT_S,
    )
    found = completed.stdout.strip()
    return Path(found) if completed.exit_code == 0 and found else None


def _matches(wanted: str, running: tuple[int, ...]) -> bool:
    """Tell whether a version begins with the wanted numbers."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", wanted))
    return running[: len(numbers)] == numbers


def _missing(version: str, platform: str) -> InstallError:
    managed = find_managed(version, platform)
    bring = f"add `--managed-python`, which brings Python {managed.version} along" if managed else None
    return InstallError(
        "install.no_python",
        f"there is no Python {version} to make a virtual environment of: none of the interpreters on this"
        " machine has that version",
        hints=[
            *([bring] if bring else []),
            f"install Python {version} from your system's packages or its own site",
            "or give the profile a `conda` section, whose base brings its own Python",
        ],
        context={"python": version},
    )
