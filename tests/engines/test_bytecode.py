"""What one environment has compiled serves the next one of the same wheels, and is never wrong."""

import csv
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioner.engines.bytecode.cache import find_compiled_place
from provisioner.events import Event, Listener, Notice, ignore_events
from provisioner.install.file_lists import BYTECODE_NAME
from provisioner.install.generations import Generation
from provisioner.install.inventory import find_list_digests, load_inventory
from provisioner.install.prefix_layout import find_site_packages
from provisioner.pipeline.bytecode import keep_bytecode
from tests.installing import close_clients, install, make_engines, make_plan, run_python, stock_wheel

IMPORT = "import demo.part; print(demo.part.VALUE, demo.part.where.__code__.co_filename)"
FILES = {
    "demo/__init__.py": "",
    "demo/part.py": "VALUE = 'as locked'\ndef where(): ...\n",
    "demo/unused.py": "x = 1\n",
    "demo/broken.py": "def f(\n",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """A data folder, and the wheelhouse with the package `demo`."""

    data: Path
    house: Path

    def build(self, name: str) -> Generation:
        """Build an environment of `demo`."""
        plan = make_plan([stock_wheel(self.house, "demo", files=FILES)], name=name)
        return install(self.data, plan, wheelhouse=self.house)

    def keep(self, generation: Generation, *, on_event: Listener = ignore_events) -> None:
        """Do what `create` does after it has validated a new environment."""
        plan = make_plan([stock_wheel(self.house, "demo", files=FILES)], name=generation.receipt.environment)
        keep_bytecode(generation, plan, make_engines(self.data), on_event=on_event)
        close_clients()

    def archive(self) -> Path:
        """Return the one archive of compiled modules."""
        return next(self.data.glob("cache/bytecode/cpython-*/*.zip"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A data folder whose first environment has imported `demo.part`, and was kept."""
    made = Site(data=tmp_path / "data", house=tmp_path / "wheels")
    first = made.build("first")
    assert not list(first.prefix.rglob("part.*.pyc"))
    run_python(first, IMPORT)
    made.keep(first)
    return made


def list_compiled(generation: Generation) -> list[str]:
    """Return the names of the compiled modules of `demo`."""
    return sorted(path.name.split(".")[0] for path in generation.prefix.rglob("demo/__pycache__/*.pyc"))


def test_the_next_environment_has_what_the_first_one_imported(site: Site) -> None:
    """Each module says where it lies now, and none is compiled again."""
    second = site.build("second")
    assert list_compiled(second) == ["__init__", "part"]
    part = next(second.prefix.rglob("part.*.pyc"))
    before = part.stat()
    value, _, place = run_python(second, IMPORT).rpartition(" ")
    assert value == "as locked"
    assert Path(place) == part.parents[1] / "part.py"
    assert part.stat().st_mtime_ns == before.st_mtime_ns
    assert part.stat().st_nlink == 1


def test_compiled_modules_are_listed_with_their_digests(site: Site) -> None:
    """The list is one of those whose digest the manifest keeps."""
    second = site.build("second")
    rows = list(csv.reader((second.prefix / BYTECODE_NAME).read_text(encoding="utf-8").splitlines()))
    assert sorted(row[0] for row in rows) == sorted(
        path.relative_to(second.prefix).as_posix() for path in second.prefix.rglob("demo/__pycache__/*.pyc")
    )
    assert all(row[1].startswith("sha256=") for row in rows)
    assert BYTECODE_NAME in find_list_digests(load_inventory(second.prefix))


def test_an_edited_module_is_what_runs(site: Site) -> None:
    """However its time is set: Python compares the source itself."""
    second = site.build("second")
    part = next(second.prefix.rglob("demo/part.py"))
    part.write_text(part.read_text(encoding="utf-8").replace("as locked", "as edited"), encoding="utf-8")
    assert run_python(second, IMPORT).startswith("as edited ")
    assert run_python(site.build("third"), IMPORT).startswith("as locked ")


def test_what_is_edited_in_the_first_environment_is_not_kept(tmp_path: Path) -> None:
    """Modules are compiled from the checked wheel, not from what lies in the environment."""
    site = Site(data=tmp_path / "data", house=tmp_path / "wheels")
    first = site.build("first")
    part = next(first.prefix.rglob("demo/part.py"))
    part.write_text("VALUE = 'as edited'\ndef where(): ...\n", encoding="utf-8")
    run_python(first, IMPORT)
    site.keep(first)
    second = site.build("second")
    assert "part" in list_compiled(second)
    assert run_python(second, IMPORT).startswith("as locked ")


@pytest.mark.parametrize("damage", ["one byte", "cut", "no note"])
def test_an_archive_that_was_written_to_is_not_used(site: Site, damage: str) -> None:
    """It is deleted; what does not depend on it works."""
    path = site.archive()
    content = path.read_bytes()
    if damage == "one byte":
        path.write_bytes(content.replace(b"as locked", b"as edited"))
    elif damage == "cut":
        path.write_bytes(content[:-10])
    else:
        path.with_name(f"{path.name}.json").unlink()
    second = site.build("second")
    assert list_compiled(second) == []
    assert not path.exists()
    assert run_python(second, IMPORT).startswith("as locked ")


def test_an_archive_is_hashed_again_after_a_start_of_the_machine(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And kept where it still has its digest."""
    monkeypatch.setattr("provisioner.ground.file_state._boot", lambda: "another start")
    assert list_compiled(site.build("second")) == ["__init__", "part"]


def test_the_same_wheel_gives_the_same_bytes(site: Site, tmp_path: Path) -> None:
    """Wherever and whenever it is compiled."""
    other = Site(data=tmp_path / "elsewhere", house=site.house)
    first = other.build("another")
    run_python(first, IMPORT)
    other.keep(first)
    assert other.archive().read_bytes() == site.archive().read_bytes()


def test_modules_are_added_when_an_environment_needs_more(site: Site) -> None:
    """What the cache had stays; nothing is compiled where nothing is new."""
    second = site.build("second")
    before = site.archive().stat().st_ino
    run_python(second, IMPORT)
    site.keep(second)
    assert site.archive().stat().st_ino == before
    run_python(second, "import demo.unused")
    site.keep(second)
    assert list_compiled(site.build("third")) == ["__init__", "part", "unused"]


def test_a_python_that_cannot_compile_costs_nothing_but_a_sentence(site: Site, tmp_path: Path) -> None:
    """The environment is there and proven all the same."""
    other = Site(data=tmp_path / "elsewhere", house=site.house)
    first = other.build("first")
    run_python(first, IMPORT)
    python = first.python
    python.unlink()
    python.write_text("#!/bin/sh\necho no >&2\nexit 3\n", encoding="utf-8")
    python.chmod(0o755)
    events: list[Event] = []
    other.keep(first, on_event=events.append)
    told = [event.message for event in events if isinstance(event, Notice)]
    assert told == ["modules were not compiled for later environments: no"]


def test_places_on_windows_are_data(tmp_path: Path) -> None:
    """Where packages and their compiled modules lie there, as seen from anywhere."""
    assert find_site_packages(tmp_path, platform="win-64", python="3.11.9") == tmp_path / "Lib/site-packages"
    assert find_compiled_place("demo/part.py", python="3.11.9") == "demo/__pycache__/part.cpython-311.pyc"
    assert find_compiled_place("demo.py", python="3.13.0") == "__pycache__/demo.cpython-313.pyc"
