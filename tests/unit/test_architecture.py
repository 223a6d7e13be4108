"""The docs name rooms and files that are there; the map of the house names all rooms."""

import re
from pathlib import Path

from provisioner.diagnose.machine.gate import find_install_bytes
from provisioner.profile.load import load_profile

ROOT = Path(__file__).parents[2]
MAP = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_every_path_of_the_map_is_there() -> None:
    """A reader who follows a path of docs/architecture.md finds the file or folder."""
    named = set(re.findall(r"`((?:provisioner|envs|lockfiles|scripts|tests|docs)/[^`\s]*)`", MAP))
    assert len(named) > 40
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_every_path_of_the_docs_is_there() -> None:
    """README and docs write a module's path from the package on, with or without the package's name."""
    rooms = "|".join(sorted(path.name for path in (ROOT / "provisioner").iterdir() if path.is_dir()))
    lost = [
        f"{page.name}: {path}"
        for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
        for path in re.findall(rf"`(?:provisioner/)?((?:{rooms})/[^`\s]*)`", page.read_text(encoding="utf-8"))
        if not (ROOT / "provisioner" / path).exists()
    ]
    assert lost == []


def test_every_room_is_on_the_map() -> None:
    """A folder of Python that the map does not name is a room that nobody finds."""
    package = ROOT / "provisioner"
    rooms = {path.parent for path in package.rglob("*.py") if path.name != "__init__.py"} - {package}
    missing = [room for room in rooms if f"`{room.relative_to(ROOT).as_posix()}/" not in MAP]
    assert [room.relative_to(package).as_posix() for room in sorted(missing)] == []


def test_readme_says_what_the_gate_counts_with() -> None:
    """The disk that README asks for is the figure of `doctor` and `create` for a profile for the CPU."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    counted = find_install_bytes(load_profile("llama3-cpu", folders=(ROOT / "envs",)))
    assert f"{counted >> 30} GiB of free disk" in text
