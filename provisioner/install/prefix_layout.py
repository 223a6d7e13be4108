"""Where things lie in an environment, as data: by base and platform."""

from collections.abc import Mapping
from pathlib import Path

from provisioner.install.plan import CONDA, VENV

WINDOWS = "win-64"

_PYTHON: Mapping[tuple[str, bool], str] = {
    (VENV, False): "bin/python",
    (CONDA, False): "bin/python",
    (VENV, True): "Scripts/python.exe",
    (CONDA, True): "python.exe",
}
_SITE: Mapping[bool, str] = {False: "lib/python{}/site-packages", True: "Lib/site-packages"}
# conda's own order; an empty part is the prefix itself
_PATH: Mapping[tuple[str, bool], tuple[str, ...]] = {
    (VENV, False): ("bin",),
    (CONDA, False): ("bin",),
    (VENV, True): ("Scripts",),
    (CONDA, True): ("", "Library/mingw-w64/bin", "Library/usr/bin", "Library/bin", "Scripts", "bin"),
}


def find_python(prefix: Path, *, base: str, platform: str) -> Path:
    """Return the environment's interpreter."""
    return prefix / _PYTHON[base, platform == WINDOWS]


def find_path_entries(prefix: Path, *, base: str, platform: str) -> tuple[Path, ...]:
    """Return the folders that go before ``PATH``."""
    return tuple(prefix / part if part else prefix for part in _PATH[base, platform == WINDOWS])


def find_site_packages(prefix: Path, *, platform: str, python: str) -> Path:
    """Return the folder of the environment's packages; ``python`` is the version of its Python."""
    return prefix / _SITE[platform == WINDOWS].format(".".join(python.split(".")[:2]))
