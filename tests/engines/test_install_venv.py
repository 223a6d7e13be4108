"""A virtual environment is built from locked wheels alone, and an up-to-date one is left alone."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.engines.net.settings import NetworkSettings
from provisioner.errors import InstallError, ProvisionError, UnavailableError
from provisioner.events import Event, Notice
from provisioner.install.generations import (
    EnvironmentHome,
    find_environment,
    list_environments,
    list_generations,
)
from provisioner.install.removal import remove_environment, remove_generation
from tests.installing import install, list_tree, make_engines, make_plan, run_python, steps_of, stock_wheel
from tests.loopback import serve
from tests.wheels import lock_wheel, make_wheel


def test_wheels_are_installed_and_run(tmp_path: Path) -> None:
    """The environment's Python imports them, their scripts run, and the receipt says what is there."""
    house = tmp_path / "wheels"
    tool = stock_wheel(
        house,
        "demo-tool",
        files={"demo_tool.py": "import demo_base\ndef main(): print('tool', demo_base.VERSION)\n"},
        requires=("demo-base",),
        entry_points="[console_scripts]\ndemo-tool = demo_tool:main\n",
    )
    base = stock_wheel(house, "demo-base", "2.5")
    asset = replace(stock_wheel(house, "weights"), validation=True)
    built = install(tmp_path / "data", make_plan([base, tool, asset]), wheelhouse=house)
    assert built.new
    assert run_python(built, "import demo_base; print(demo_base.VERSION)") == "2.5"
    script = subprocess.run([built.prefix / "bin" / "demo-tool"], capture_output=True, check=True, text=True)
    assert script.stdout == "tool 2.5\n"
    with pytest.raises(subprocess.CalledProcessError):
        run_python(built, "import weights")
    receipt = json.loads((built.prefix / "provision-receipt.json").read_text(encoding="utf-8"))
    assert receipt["schema"] == "provision.receipt/1"
    assert receipt["base"] == "venv"
    assert receipt["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {(package["kind"], package["name"]) for package in receipt["packages"]} == {
        ("wheel", "demo-base"),
        ("wheel", "demo-tool"),
        ("asset", "weights"),
    }


def test_no_place_of_ours_is_left_in_the_environment(tmp_path: Path) -> None:
    """Packages know nothing of the store: no direct_url.json, no path of it anywhere."""
    house = tmp_path / "wheels"
    built = install(tmp_path / "data", make_plan([stock_wheel(house, "demo")]), wheelhouse=house)
    assert not list(built.prefix.rglob("direct_url.json"))
    store = str(tmp_path / "data" / "store").encode()
    assert not [path for path in built.prefix.rglob("*") if path.is_file() and store in path.read_bytes()]


def test_an_environment_that_is_up_to_date_is_not_touched(tmp_path: Path) -> None:
    """The second call builds no engine, writes nothing and says nothing."""
    house, data = tmp_path / "wheels", tmp_path / "data"
    plan = make_plan([stock_wheel(house, "demo")])
    first = install(data, plan, wheelhouse=house)
    before = list_tree(data)
    events: list[Event] = []

    def no_engines() -> None:
        raise AssertionError("nothing has to be built")

    again = install(data, plan, engines=no_engines, on_event=events.append)  # type: ignore[arg-type] # never called
    assert (again.new, again.prefix) == (False, first.prefix)
    assert events == []
    assert list_tree(data) == before


def test_looking_whether_it_is_up_to_date_loads_nothing_heavy(tmp_path: Path) -> None:
    """The check of a finished environment imports neither clients nor engines nor asyncio."""
    house, data = tmp_path / "wheels", tmp_path / "data"
    install(data, make_plan([stock_wheel(house, "demo")]), wheelhouse=house)
    script = (
        "import sys; from pathlib import Path;"
        "from provisioner.install.generations import EnvironmentHome, find_environment;"
        "import provisioner.install.transaction;"
        "assert find_environment(EnvironmentHome(data=Path(sys.argv[1])), 'demo');"
        "print(*({'httpx', 'rattler', 'rich', 'asyncio', 'ssl', 'uv', 'zipfile'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(data)], capture_output=True, check=True, text=True
    )
    assert result.stdout.strip() == ""


def test_a_changed_lock_makes_a_new_generation(tmp_path: Path) -> None:
    """The new one becomes current, the old one stays and works, and cleaning deletes it."""
    house, data = tmp_path / "wheels", tmp_path / "data"
    home = EnvironmentHome(data=data)
    old = install(data, make_plan([stock_wheel(house, "demo", "1.0")]), wheelhouse=house)
    new = install(data, make_plan([stock_wheel(house, "demo", "2.0")]), wheelhouse=house)
    current = find_environment(home, "demo")
    assert current is not None
    assert (current.number, current.prefix) == (2, new.prefix)
    assert run_python(new, "import demo; print(demo.VERSION)") == "2.0"
    assert run_python(old, "import demo; print(demo.VERSION)") == "1.0"
    assert len(list_generations(home, "demo")) == 2
    remove_generation(old.prefix)
    assert [generation.prefix for generation in list_generations(home, "demo")] == [new.prefix]


def test_an_edited_file_reaches_no_other_environment(tmp_path: Path) -> None:
    """Two environments of one wheel share no file, and a later one is built of the locked bytes."""
    house, data = tmp_path / "wheels", tmp_path / "data"
    wheel = stock_wheel(house, "demo")
    edited, other = (install(data, make_plan([wheel], name=name), wheelhouse=house) for name in ("a", "b"))
    (module,) = edited.prefix.glob("lib/python3.*/site-packages/demo.py")
    with module.open("a", encoding="utf-8") as file:
        file.write("VERSION = 'edited'\n")
    later = install(data, make_plan([wheel], name="c"), wheelhouse=house)
    rebuilt = install(data, make_plan([wheel], name="a"), wheelhouse=house, rebuild=True)
    for built in (other, later, rebuilt):
        assert run_python(built, "import demo; print(demo.VERSION)") == "1.0"
    assert run_python(edited, "import demo; print(demo.VERSION)") == "edited"
    assert list((data / "cache" / "unpacked").iterdir()) == []


def test_going_back_to_an_older_lock_builds_nothing(tmp_path: Path) -> None:
    """A generation that is still there is made current again."""
    house, data = tmp_path / "wheels", tmp_path / "data"
    plans = [make_plan([stock_wheel(house, "demo", version)]) for version in ("1.0", "2.0")]
    old, new = (install(data, plan, wheelhouse=house) for plan in plans)
    again = install(data, plans[0], wheelhouse=house)
    assert (again.prefix, again.new) == (old.prefix, False)
    assert find_environment(EnvironmentHome(data=data), "demo") == again
    assert install(data, plans[1], wheelhouse=house).prefix == new.prefix


def test_old_generations_are_told_when_they_pile_up(tmp_path: Path) -> None:
    """Building deletes none, which may take long; it says when cleaning is worth it."""
    events: list[Event] = []
    for _ in range(6):
        install(tmp_path / "data", make_plan(), rebuild=True, on_event=events.append)
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert len(notices) == 1
    assert "provision clean" in notices[0]


def test_steps_are_told_in_order(tmp_path: Path) -> None:
    """The user sees what happens."""
    events: list[Event] = []
    house = tmp_path / "wheels"
    install(
        tmp_path / "data", make_plan([stock_wheel(house, "demo")]), wheelhouse=house, on_event=events.append
    )
    assert steps_of(events) == [
        "install: venv base",
        "fetch: 1 file",
        "install: 1 wheel",
        "install: receipt",
        "install: switch",
    ]


def test_only_what_is_locked_is_installed(tmp_path: Path) -> None:
    """A requirement that the lock does not have is not fetched from anywhere."""
    house = tmp_path / "wheels"
    demo = stock_wheel(house, "demo", requires=("not-in-the-lock",))
    stock_wheel(house, "not-in-the-lock")
    built = install(tmp_path / "data", make_plan([demo]), wheelhouse=house)
    found = run_python(built, "import importlib.util; print(importlib.util.find_spec('not_in_the_lock'))")
    assert found == "None"


def test_startup_code_needs_the_profiles_leave(tmp_path: Path) -> None:
    """A wheel that runs code at every start is refused; where the profile allows it, it is told."""
    house, data = tmp_path / "wheels", tmp_path / "data"
    canary = tmp_path / "canary"
    files = {"site-packages/sitecustomize.py": "", "lib.txt": ""}
    packages = [
        stock_wheel(house, name, files={f"{name}-1.0.data/data/lib/python3.11/{place}": text})
        for name, (place, text) in zip(("one", "two"), files.items(), strict=True)
    ]
    # Not by `sitecustomize`: Debian's Python has one of its own, which comes first.
    packages.append(
        stock_wheel(house, "three", files={"three.pth": f"import sys; open({str(canary)!r}, 'w')\n"})
    )
    with pytest.raises(ProvisionError) as caught:
        install(data, make_plan(packages), wheelhouse=house)
    assert caught.value.code == "install.startup"
    assert caught.value.exit_code == 5
    assert "site-packages/sitecustomize.py" in caught.value.message
    assert "three.pth" in caught.value.message
    assert "two" not in caught.value.message
    assert list(list_environments(EnvironmentHome(data=data))) == []
    plan = make_plan(packages, startup={"one": "we wrote it", "three": "it is ours"})
    built = install(data, plan, wheelhouse=house)
    assert [notice for notice in built.receipt.notices if "we wrote it" in notice]
    assert not canary.exists()
    subprocess.run([built.python, "-c", ""], check=True)
    assert canary.exists()


def test_the_users_variables_for_pip_and_uv_do_not_reach_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Targets, overrides and indexes in the environment steer other tools, not this one."""
    monkeypatch.setenv("UV_TARGET", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("UV_NO_CACHE", "1")
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("tests.installing.ENVIRON", dict(os.environ))
    house = tmp_path / "wheels"
    built = install(tmp_path / "data", make_plan([stock_wheel(house, "demo")]), wheelhouse=house)
    assert run_python(built, "import demo; print(demo.VERSION)") == "1.0"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("folder", ["sp ace", "dépôt 漢", 'it\'s "quoted" $HOME;&', "-leading"])
def test_data_folders_may_have_any_name(tmp_path: Path, folder: str) -> None:
    """Blanks, quotes, letters of the world and shell characters in the path work."""
    house, data = tmp_path / "wheels", tmp_path / folder
    demo = stock_wheel(
        house,
        "demo",
        files={"demo.py": "def main(): print('runs')\n"},
        entry_points="[console_scripts]\ndemo = demo:main\n",
    )
    built = install(data, make_plan([demo]), wheelhouse=house)
    result = subprocess.run([built.prefix / "bin" / "demo"], capture_output=True, check=True, text=True)
    assert result.stdout == "runs\n"


def test_a_wheel_of_another_digest_installs_nothing(tmp_path: Path) -> None:
    """The index serves another file than was locked: exit 5, both digests, and the old one stays current."""
    data, house = tmp_path / "data", tmp_path / "wheels"
    old = install(data, make_plan([stock_wheel(house, "demo")]), wheelhouse=house)
    filename, changed = make_wheel("demo", "2.0", files={"demo.py": "EVIL = 1\n"})
    _, locked = make_wheel("demo", "2.0")
    page = f'<a href="/ok/{filename}">{filename}</a>'.encode()
    with serve({filename: changed, "simple/demo/": page}) as index:
        index.types["simple/demo/"] = "text/html"
        entry = lock_wheel(filename, locked)
        with pytest.raises(InstallError) as caught:
            install(
                data,
                make_plan([entry]),
                engines=lambda: make_engines(data, default_index=f"{index.url}/ok/simple"),
            )
    assert caught.value.code == "install.hash_mismatch"
    assert caught.value.exit_code == 5
    assert entry.sha256 in caught.value.message
    assert hashlib.sha256(changed).hexdigest() in caught.value.message
    home = EnvironmentHome(data=data)
    assert find_environment(home, "demo") == replace(old, new=False)
    assert len(list(home.generations("demo").iterdir())) == 1
    assert run_python(old, "import demo; print(demo.VERSION)") == "1.0"


def test_a_file_that_cannot_be_had_leaves_everything(tmp_path: Path) -> None:
    """No network: exit 8, the host is named, no folder is left, the environment still works."""
    data, house = tmp_path / "data", tmp_path / "wheels"
    old = install(data, make_plan([stock_wheel(house, "demo")]), wheelhouse=house)
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1"):
        install(data, make_plan([lock_wheel(*make_wheel("absent"))]))
    assert [path.name for path in EnvironmentHome(data=data).generations("demo").iterdir()] == [
        old.prefix.name
    ]


def test_offline_works_from_the_store_and_names_all_that_is_missing(tmp_path: Path) -> None:
    """What was fetched once needs no network; what was not is listed completely."""
    data, house = tmp_path / "data", tmp_path / "wheels"
    offline = NetworkSettings(offline=True)
    plan = make_plan([stock_wheel(house, "demo")])
    install(data, plan, wheelhouse=house)
    shutil.rmtree(house)
    again = install(data, plan, engines=lambda: make_engines(data, network=offline), rebuild=True)
    assert run_python(again, "import demo; print(demo.VERSION)") == "1.0"
    missing = [lock_wheel(*make_wheel(name)) for name in ("one", "two", "three")]
    with pytest.raises(ProvisionError) as caught:
        install(data, make_plan(missing), engines=lambda: make_engines(data, network=offline))
    assert caught.value.exit_code == 8
    assert all(name in caught.value.message for name in ("one", "two", "three"))


def test_a_python_that_is_not_here_is_named(tmp_path: Path) -> None:
    """The profile's version is in the message, and nothing is downloaded."""
    with pytest.raises(InstallError, match=r"Python 3\.6") as caught:
        install(tmp_path / "data", make_plan(python="3.6"))
    assert caught.value.code == "install.no_python"
    assert not list(EnvironmentHome(data=tmp_path / "data").generations("demo").iterdir())


def test_removing_deletes_the_environment_only(tmp_path: Path) -> None:
    """Other environments and the store stay."""
    house, data = tmp_path / "wheels", tmp_path / "data"
    demo = stock_wheel(house, "demo")
    install(data, make_plan([demo], name="one"), wheelhouse=house)
    install(data, make_plan([demo], name="two"), wheelhouse=house)
    home = EnvironmentHome(data=data)
    assert [name for name, _ in list_environments(home)] == ["one", "two"]
    remove_environment(home, "one")
    assert [name for name, _ in list_environments(home)] == ["two"]
    assert not home.environment("one").exists()
    assert list(home.store.rglob("*.whl"))
