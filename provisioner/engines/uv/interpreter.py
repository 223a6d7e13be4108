"""Find the Python that a virtual environment is made of."""

import re
import sys
from pathlib import Path

from provisioner.engines.uv.program import Uv
from provisioner.errors import InstallError

_TIMEOUT_S = 60.0


def find_interpreter(version: str, *, uv: Uv, cwd: Path) -> Path:
    """Return a Python of ``version`` (``3.11`` or ``3.11.7``) on this machine; nothing is downloaded.

    First choice is the one that runs us, outside its virtual environment; then what uv finds: ``PATH``, the
    registry and the launcher on Windows, and interpreters that uv has installed.

    Raises:
        InstallError: ``install.no_python``: there is none.
    """
    own = Path(getattr(sys, "_base_executable", None) or sys.executable)
    if _matches(version, sys.version_info[:3]) and sys.implementation.name == "cpython" and own.is_file():
        return own
    completed = uv.run(
        *("python", "find", f"cpython@{version}", "--system", "--no-project", "--offline"),
        cwd=cwd,
        timeout_s=_TIMEOUT_S,
    )
    found = completed.stdout.strip()
    if completed.exit_code != 0 or not found:
        raise _missing(version, "none of the interpreters on this machine has that version")
    return Path(found)


def _matches(wanted: str, running: tuple[int, ...]) -> bool:
    """Tell whether a version begins with the wanted numbers."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", wanted))
    return running[: len(numbers)] == numbers


def _missing(version: str, why: str) -> InstallError:
    return InstallError(
        "install.no_python",
        f"there is no Python {version} to make a virtual environment of: {why}",
        hints=[
            f"install Python {version} from your system's packages or its own site",
            "or give the profile a `conda` section, whose base brings its own Python",
        ],
        context={"python": version},
    )
