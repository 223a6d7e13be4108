"""Which tools start an environment by its stable path, and where they keep it."""

from dataclasses import dataclass
from pathlib import Path

VSCODE_KEY = "python.defaultInterpreterPath"
VSCODE_FILE = Path(".vscode", "settings.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """Which tools are told of an environment.

    Attributes:
        jupyter: The user's Jupyter.
        vscode: VS Code, in one folder.
        folder: That folder.
    """

    jupyter: bool = False
    vscode: bool = False
    folder: Path = Path()


@dataclass(frozen=True, kw_only=True, slots=True)
class Integrated:
    """What was written or removed; None where nothing was.

    Attributes:
        jupyter: The kernel's folder.
        vscode: The file of VS Code's settings.
        replaced: The other interpreter that these settings named before.
    """

    jupyter: Path | None = None
    vscode: Path | None = None
    replaced: str | None = None
