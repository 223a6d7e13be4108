"""Whenever a build dies, the environment is the old one or the new one, and the next run completes."""

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from provisioner.errors import BusyError, InstallError
from provisioner.events import Event, Notice
from provisioner.install.environment_lock import hold_environment
from provisioner.install.generations import EnvironmentHome, Generation, find_environment, list_environments
from provisioner.pipeline.clean import CleanChoices, clean
from provisioner.pipeline.settings import Settings
from tests.installing import install, make_plan, run_python, stock_wheel

if sys.platform == "win32":
    pytest.skip("kills process groups as POSIX does", allow_module_level=True)

JOB = Path(__file__).with_name("install_job.py")
ROOT = Path(__file__).parents[2]
_MORE_EVENTS = 20


def start(data: Path, version: str, fault: str = "none") -> subprocess.Popen[str]:
    command = [sys.executable, str(JOB), str(data), str(data.parent / "wheels"), version, fault]
    scratch = data.parent / "scratch"
    scratch.mkdir(exist_ok=True, parents=True)
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HOME": os.environ.get("HOME", "/"),
            "TMPDIR": str(scratch),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    out, err = process.communicate(timeout=120)
    assert process.returncode in {0, -signal.SIGKILL}, err
    return process.returncode, out.splitlines()


def works(generation: Generation | None) -> str:
    """Return the version that the environment really holds."""
    assert generation is not None
    return run_python(generation, "import demo, o499; print(demo.VERSION)")


def prepared(tmp_path: Path) -> Path:
    """Return a data folder with version 1.0 built."""
    data = tmp_path / "data"
    code, lines = finish(start(data, "1.0"))
    assert (code, lines[-1]) == (0, "done 1 True")
    return data


def check_after_death(data: Path) -> None:
    """The old or the new one is current and works; nothing else is listed; the next run completes."""
    home = EnvironmentHome(data=data)
    listed = list(list_environments(home))
    assert [name for name, _ in listed] == ["demo"]
    assert works(find_environment(home, "demo")) in {"1.0", "2.0"}
    code, _ = finish(start(data, "2.0"))
    assert code == 0
    assert works(find_environment(home, "demo")) == "2.0"
    left = [folder.name for folder in home.generations("demo").iterdir()]
    assert len(left) == 2, left


@pytest.mark.parametrize(
    "number",
    [n if n in {2, 5, 9} else pytest.param(n, marks=pytest.mark.slow) for n in range(1, _MORE_EVENTS + 1)],
)
def test_dying_at_every_step_leaves_a_working_environment(tmp_path: Path, number: int) -> None:
    """The process kills itself at its n-th event, for all of them."""
    data = prepared(tmp_path)
    code, lines = finish(start(data, "2.0", f"die:{number}"))
    if number == _MORE_EVENTS:
        assert (code, lines[-1]) == (0, "done 2 True"), "there are more events than this test knows"
    else:
        check_after_death(data)


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 40))]
)
def test_dying_at_any_moment_leaves_a_working_environment(tmp_path: Path, seed: int) -> None:
    """SIGKILL to the whole group at a random time of the build."""
    data = prepared(tmp_path)
    process = start(data, "2.0")
    time.sleep(random.Random(seed).uniform(0.1, 1.6))  # noqa: S311 - reproducible moments
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    check_after_death(data)


def find_processes(data: Path) -> list[str]:
    """Return the command lines of all processes that name the data folder, on Linux."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended meanwhile
            found.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return [line for line in found if str(data) in line]


def check_after_first_death(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next create completes, and `clean` leaves nothing of the dead one."""
    code, lines = finish(start(data, "1.0"))
    assert (code, lines[-1].rpartition(" ")[0]) == (0, "done 1")  # it may have died just before the switch
    monkeypatch.setattr("tempfile.tempdir", str(data.parent / "scratch"))
    monkeypatch.setattr("provisioner.ground.scratch._LONG_DEAD_S", 0.0)
    settings = Settings(environ={}, profile_folders=(), lockfiles=None, data=data)
    clean(settings, CleanChoices(), lock_timeout_s=5)
    assert works(find_environment(EnvironmentHome(data=data), "demo")) == "1.0"
    assert list((data.parent / "scratch").glob("provision-*")) == []
    assert list((data / "cache" / "unpacked").iterdir()) == []
    assert not [path for path in data.rglob("*") if path.name.endswith((".provision-tmp", ".part"))]


@pytest.mark.parametrize("number", [*range(1, 9), 15, 20])
def test_dying_early_in_a_first_build_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The process kills itself before it makes its n-th folder, or syncs or renames a file."""
    data = tmp_path / "data"
    code, _ = finish(start(data, "1.0", f"call:{number}"))
    assert code == -signal.SIGKILL
    check_after_first_death(data, monkeypatch)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_dying_anywhere_in_a_first_build_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for every such moment of a first build."""
    for number in itertools.count(1):
        data = tmp_path / f"{number}" / "data"
        code, _ = finish(start(data, "1.0", f"call:{number}"))
        if code == 0:
            break
        check_after_first_death(data, monkeypatch)
        shutil.rmtree(data.parent)
    assert number > 20


def test_the_engine_dies_with_us(tmp_path: Path) -> None:
    """No uv goes on writing after its parent was killed."""
    data = prepared(tmp_path)
    process = start(data, "2.0")
    assert process.stdout is not None
    for line in process.stdout:
        if "wheels" in line:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    time.sleep(0.3)
    assert find_processes(data) == []
    check_after_death(data)


def test_a_failed_build_deletes_what_it_made(tmp_path: Path) -> None:
    """An engine's error leaves the old generation, and no half of a new one."""
    house, data = tmp_path / "wheels", tmp_path / "data"
    old = install(data, make_plan([stock_wheel(house, "demo")]), wheelhouse=house)
    bad = stock_wheel(house, "demo-bad", files={"demo_bad.py": "", "demo-bad.data/scripts/x": "x"})
    with pytest.raises(InstallError):
        install(data, make_plan([bad, stock_wheel(house, "demo_bad", "2.0")]), wheelhouse=house)
    home = EnvironmentHome(data=data)
    assert [folder.name for folder in home.generations("demo").iterdir()] == [old.prefix.name]
    assert run_python(old, "import demo; print(demo.VERSION)") == "1.0"


@pytest.mark.parametrize("number", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_two_builds_of_one_environment(tmp_path: Path, number: int) -> None:
    """One does the work; the others wait, then see that it is done."""
    data = tmp_path / "data"
    outcomes = [finish(process) for process in [start(data, "1.0") for _ in range(number)]]
    assert [code for code, _ in outcomes] == [0] * number
    ends = sorted(lines[-1] for _, lines in outcomes)
    assert ends == ["done 1 False"] * (number - 1) + ["done 1 True"]
    assert works(find_environment(EnvironmentHome(data=data), "demo")) == "1.0"


def test_two_builds_of_different_locks(tmp_path: Path) -> None:
    """They come one after the other; what is current is one of the two, whole."""
    data = tmp_path / "data"
    outcomes = [finish(process) for process in [start(data, version) for version in ("1.0", "2.0")]]
    assert [code for code, _ in outcomes] == [0, 0]
    home = EnvironmentHome(data=data)
    assert works(find_environment(home, "demo")) in {"1.0", "2.0"}
    assert len(list(home.generations("demo").iterdir())) == 2


def test_a_dead_holder_holds_nothing(tmp_path: Path) -> None:
    """The next build goes on at once when the one that held the environment was killed."""
    data = tmp_path / "data"
    holder = start(data, "1.0", "stop:3")
    assert holder.stdout is not None
    for _ in range(3):
        holder.stdout.readline()
    waiter = start(data, "1.0")
    assert waiter.stdout is not None
    assert f"process {holder.pid}" in waiter.stdout.readline()
    os.killpg(holder.pid, signal.SIGKILL)
    holder.communicate(timeout=30)
    code, lines = finish(waiter)
    assert (code, lines[-1]) == (0, "done 1 True")


def test_a_held_environment_is_busy_after_the_time_out(tmp_path: Path) -> None:
    """Exit 9 names who holds it, what it does and since when; after a second the waiting is told."""
    home = EnvironmentHome(data=tmp_path / "data")
    events: list[Event] = []
    with hold_environment(home, "demo", command="provision create demo"):
        started = time.monotonic()
        with pytest.raises(BusyError) as caught:
            install(home.data, make_plan(), lock_timeout_s=1.5, on_event=events.append)
        assert 1.4 < time.monotonic() - started < 4
    assert caught.value.exit_code == 9
    assert f"process {os.getpid()} (`provision create demo`" in caught.value.message
    assert [event for event in events if isinstance(event, Notice) and str(os.getpid()) in event.message]
    assert install(home.data, make_plan(), lock_timeout_s=1.5).new


def test_different_environments_share_a_cold_store(tmp_path: Path) -> None:
    """Builds of several names at once fetch into one store and all succeed."""
    house, data = tmp_path / "wheels", tmp_path / "data"
    packages = [stock_wheel(house, f"demo-{number}") for number in range(10)]
    script = (
        "import sys; from pathlib import Path; from tests.installing import *;"
        "data, house, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3];"
        "own = house.parent / 'own' / name;"
        "plan = make_plan([stock_wheel(own, f'demo-{n}') for n in range(10)], name=name);"
        "install(data, plan, wheelhouse=house)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(data), str(house), f"env{number}"], cwd=ROOT)
        for number in range(4)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0, 0]
    names = [
        name for name, found in list_environments(EnvironmentHome(data=data)) if isinstance(found, Generation)
    ]
    assert names == ["env0", "env1", "env2", "env3"]
    assert len(list((data / "store").rglob("*.whl"))) == len(packages)
