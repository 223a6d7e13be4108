"""The map of the house names rooms that are there, and all of them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAP = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_every_path_of_the_map_is_there() -> None:
    """A reader who follows a path of docs/architecture.md finds the file or folder."""
    named = set(re.findall(r"`((?:provisioner|envs|lockfiles|scripts|tests|docs)/[^`\s]*)`", MAP))
    assert len(named) > 40
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_every_room_is_on_the_map() -> None:
    """A folder of Python that the map does not name is a room that nobody finds."""
    package = ROOT / "provisioner"
    rooms = {path.parent for path in package.rglob("*.py") if path.name != "__init__.py"} - {package}
    missing = [room for room in rooms if f"`{room.relative_to(ROOT).as_posix()}/" not in MAP]
    assert [room.relative_to(package).as_posix() for room in sorted(missing)] == []
