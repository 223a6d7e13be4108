"""The path of an environment that stays while its generations come and go, for tools that keep a path.

environments/<name>/env     a link to the current generation (Windows: a junction), for tools that look there
environments/<name>/bin/    programs that stand before the environment's own (`provisioner.install.launchers`)

A program that is started through the link imports later what a new generation brings; one that ``bin/python``
became keeps its generation, and ``clean`` keeps it, too. Windows has no such program: there activation names
the generation, and only tools that look use the link.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from provisioner.install.generations import Generation
from provisioner.install.prefix_layout import WINDOWS

LINK_NAME = "env"
LAUNCHERS_NAME = "bin"


@dataclass(frozen=True, kw_only=True, slots=True)
class StablePath:
    """Where tools find an environment, whatever its generation.

    Attributes:
        link: Stands for the current generation's folder.
        launchers: Folder of programs that go before the environment's own.
        python: What starts the current generation's interpreter.
    """

    link: Path
    launchers: Path
    python: Path


def find_stable(generation: Generation) -> StablePath:
    """Return the stable path of a generation's environment, whether it was made or not."""
    folder = generation.prefix.parents[1]
    link, launchers = folder / LINK_NAME, folder / LAUNCHERS_NAME
    python = launchers / "python"
    if generation.receipt.platform == WINDOWS:
        python = link / generation.python.relative_to(generation.prefix)
    return StablePath(link=link, launchers=launchers, python=python)


def is_stable(generation: Generation) -> bool:
    """Tell whether the stable path leads to this generation."""
    try:
        target = (generation.prefix.parents[1] / LINK_NAME).readlink()
    except OSError:
        return False
    return target.name == generation.prefix.name


def remove_stable(folder: Path) -> None:
    """Delete an environment's link, never what it leads to."""
    with suppress(FileNotFoundError):
        (folder / LINK_NAME).unlink()
