"""Platforms are solved side by side, keep what they had, and stop when the user does."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from provisioner.errors import UnavailableError
from provisioner.events import Event, Notice
from provisioner.profile.model import Decision, Device, Family, Platform, Profile, TorchVariant
from provisioner.resolve.model import CondaPackage, PipPackage, PlatformResolution
from provisioner.resolve.request import CondaRequest, PipRequest, PipSolution
from provisioner.resolve.solve import resolve_profile

TORCH = PipPackage(
    name="torch", version="2.13.0+cpu", filename="t.whl", url="pypi:t.whl", index="pypi", sha256="0" * 64
)
SETUPTOOLS = CondaPackage(
    name="setuptools",
    version="75.1",
    build="0",
    subdir="noarch",
    url="https://conda.example.com/c/noarch/setuptools-75.1-0.conda",
    sha256="0" * 64,
    md5="0" * 32,
    dependencies={"python": ">=3.8"},
)
PROFILE = Profile(
    name="llama3-cpu",
    description="Llama 3 on a CPU",
    family=Family.LLAMA3,
    device=Device.CPU,
    torch=TorchVariant.CPU,
    python="3.11",
    platforms=(
        Platform(name="linux-64", channels=("conda-forge",), conda=("libuv",), pip=("torch",)),
        Platform(name="win-64", pip=("torch",)),
    ),
)


class FaultySolver:
    """Both protocols; notes what it is asked, and does what the test says meanwhile."""

    def __init__(self, during: Callable[[str], None] = lambda _platform: None) -> None:
        """Answer with one package each."""
        self.during = during
        self.conda: dict[str, CondaRequest] = {}
        self.pip: dict[str, PipRequest] = {}
        self.stopped = threading.Event()

    def solve_conda(self, request: CondaRequest) -> tuple[CondaPackage, ...]:
        """Return setuptools."""
        self.conda[request.platform] = request
        return (SETUPTOOLS,)

    def solve_pip(self, request: PipRequest) -> PipSolution:
        """Return torch."""
        self.pip[request.platform] = request
        self.during(request.platform)
        return PipSolution(packages=(TORCH,), notes=("it rained",))

    def stop(self) -> None:
        """Note it."""
        self.stopped.set()


def test_conda_comes_first_and_its_packages_bind_pip() -> None:
    """A platform with conda packages asks both solvers, one without asks pip only."""
    solver = FaultySolver()
    answer = resolve_profile(PROFILE, conda=solver, pip=solver)
    assert [platform.platform for platform in answer.platforms] == ["linux-64", "win-64"]
    assert solver.conda["linux-64"].specs == ("python 3.11.*", "libuv")
    assert solver.conda["linux-64"].channels == ("https://conda.anaconda.org/conda-forge",)
    assert "win-64" not in solver.conda
    assert solver.pip["linux-64"].provided == {"setuptools": "75.1"}
    assert solver.pip["win-64"].provided == {}


def test_the_previous_answer_is_preferred_but_for_what_may_move() -> None:
    """`update` names packages in any spelling; assets are not preferred."""
    asset = replace(TORCH, name="weights", validation=True)
    numpy = replace(TORCH, name="py-cpuinfo", version="9.0")
    libuv = replace(SETUPTOOLS, name="libuv", version="1.48")
    previous = {
        "linux-64": PlatformResolution(
            platform="linux-64", conda=(SETUPTOOLS, libuv), pip=(TORCH, numpy, asset)
        )
    }
    solver = FaultySolver()
    resolve_profile(PROFILE, conda=solver, pip=solver, previous=previous, update=("Py_CPUinfo", "libuv"))
    assert solver.pip["linux-64"].preferred == {"torch": "2.13.0+cpu"}
    assert solver.conda["linux-64"].preferred == (SETUPTOOLS,)
    assert solver.pip["win-64"].preferred == {}


def test_notes_name_their_platform_and_are_heard_once() -> None:
    """An override's reason is a note, too."""
    override = Decision(requirement="numpy==1.24.4", reason="langchain-chatchat wants it")
    profile = replace(PROFILE, platforms=(replace(PROFILE.platforms[0], overrides=(override,)),))
    heard: list[Event] = []
    solver = FaultySolver()
    answer = resolve_profile(profile, conda=solver, pip=solver, on_event=heard.append)
    assert answer.notes == (
        "linux-64: `numpy==1.24.4` wins over what packages ask for: langchain-chatchat wants it",
        "linux-64: it rained",
    )
    assert [event.message for event in heard if isinstance(event, Notice)] == list(answer.notes)


def test_the_failure_of_one_platform_is_the_profiles() -> None:
    """The other one is waited for, so that nothing runs on in the background."""
    done = []

    def fail_on_linux(platform: str) -> None:
        if platform == "linux-64":
            raise UnavailableError("unavailable.connection", "could not fetch")
        time.sleep(0.3)
        done.append(platform)

    solver = FaultySolver(fail_on_linux)
    with pytest.raises(UnavailableError):
        resolve_profile(PROFILE, conda=solver, pip=solver)
    assert done == ["win-64"]


def test_an_interrupt_stops_both_solvers_and_is_not_held_up() -> None:
    """Ctrl-C while both platforms are being solved ends within a second."""
    import _thread

    solver = FaultySolver()

    def wait_for_stop(platform: str) -> None:
        if platform == "linux-64":
            _thread.interrupt_main()
        solver.stopped.wait(20)

    solver.during = wait_for_stop
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        resolve_profile(PROFILE, conda=solver, pip=solver)
    assert solver.stopped.is_set()
    assert time.monotonic() - started < 1.5


def test_a_size_that_was_known_stays_known() -> None:
    """A server that does not say a file's size today makes the lock no poorer; another file has its own."""
    sized = tuple(
        PlatformResolution(platform=name, pip=(replace(TORCH, size=12345),))
        for name in ("linux-64", "win-64")
    )
    previous = {platform.platform: platform for platform in sized}
    answer = resolve_profile(PROFILE, conda=FaultySolver(), pip=FaultySolver(), previous=previous)
    assert [platform.pip[0].size for platform in answer.platforms] == [12345, 12345]
    other = {
        name: replace(each, pip=(replace(TORCH, sha256="1" * 64, size=1),)) for name, each in previous.items()
    }
    answer = resolve_profile(PROFILE, conda=FaultySolver(), pip=FaultySolver(), previous=other)
    assert [platform.pip[0].size for platform in answer.platforms] == [None, None]
