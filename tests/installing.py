"""Build real environments in a temporary data folder: real uv, real rattler, wheels made on the fly."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from provisioner.engines.bytecode.cache import BytecodeCache
from provisioner.engines.conda.linker import RattlerLinker
from provisioner.engines.net.download import Downloader
from provisioner.engines.net.pip_config import PackageSettings
from provisioner.engines.net.settings import NetworkSettings
from provisioner.engines.store.fetch import StoreFetcher
from provisioner.engines.store.store import Store
from provisioner.engines.uv.installer import UvInstaller
from provisioner.events import Event, Listener, StageStarted, ignore_events
from provisioner.install.generations import EnvironmentHome, Generation
from provisioner.install.plan import VENV, InstallPlan, plan_install
from provisioner.install.receipt import Receipt
from provisioner.install.transaction import install_environment
from provisioner.lock.model import Lock, LockedPlatform
from provisioner.pipeline.build import BuildEngines, build_generation
from provisioner.resolve.model import CondaPackage, PipPackage
from tests.wheels import lock_wheel, make_wheel, write_wheel

ENVIRON = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
_CLIENTS: list[Downloader] = []
NOWHERE = "http://127.0.0.1:1/simple"


def make_plan(
    pip: Sequence[PipPackage] = (),
    conda: Sequence[CondaPackage] = (),
    *,
    name: str = "demo",
    python: str = "3.11",
    startup: Mapping[str, str] | None = None,
) -> InstallPlan:
    """Return the plan of a lock with these packages."""
    part = LockedPlatform(platform="linux-64", fingerprint="f", pip=tuple(pip), conda=tuple(conda))
    lock = Lock(profile=name, source=f"../envs/{name}.yaml", platforms=(part,))
    return plan_install(lock, platform="linux-64", python=python, startup=startup)


def make_engines(
    data: Path,
    *,
    wheelhouses: Sequence[str] = (),
    default_index: str = NOWHERE,
    extra_indexes: Sequence[str] = (),
    no_index: bool = False,
    network: NetworkSettings | None = None,
    on_event: Listener = ignore_events,
) -> BuildEngines:
    """Return real engines that work below ``data``."""
    home = EnvironmentHome(data=data)
    uv = UvInstaller(cache=home.cache / "uv", environ=ENVIRON)
    settings = network or NetworkSettings(tries=1, stall_timeout_s=2.0, connect_timeout_s=2.0)
    fetcher = StoreFetcher(
        Store(home.store),
        downloader=_open_client(settings, on_event),
        packages=PackageSettings(
            default_index=default_index, extra_indexes=tuple(extra_indexes), no_index=no_index
        ),
        wheelhouses=wheelhouses,
        on_event=on_event,
    )
    return BuildEngines(
        fetcher=fetcher,
        uv=uv,
        rattler=RattlerLinker(environ=ENVIRON),
        bytecode=BytecodeCache(home.cache / "bytecode", environ=ENVIRON),
        home=home,
        tools={"uv": "under test"},
    )


def find_base(plan: InstallPlan, engines: BuildEngines) -> Path:
    """Return the interpreter that a virtual environment is made of."""
    return engines.uv.find_python(plan.python, platform=plan.platform, managed=engines.home.pythons)


def _open_client(settings: NetworkSettings, on_event: Listener) -> Downloader:
    client = Downloader(settings, on_event=on_event)
    _CLIENTS.append(client)
    return client


def install(
    data: Path,
    plan: InstallPlan,
    *,
    wheelhouse: Path | None = None,
    on_event: Listener = ignore_events,
    engines: Callable[[], BuildEngines] | None = None,
    lock_timeout_s: float = 300.0,
    rebuild: bool = False,
) -> Generation:
    """Build a plan with real engines."""
    houses = [str(wheelhouse)] if wheelhouse else []
    make = engines or (lambda: make_engines(data, wheelhouses=houses, on_event=on_event))

    def build(prefix: Path) -> Receipt:
        made = make()
        interpreter = find_base(plan, made) if plan.base == VENV else None
        return build_generation(plan, prefix, engines=made, interpreter=interpreter, on_event=on_event)

    try:
        return install_environment(
            plan,
            home=EnvironmentHome(data=data),
            build=build,
            on_event=on_event,
            lock_timeout_s=lock_timeout_s,
            rebuild=rebuild,
        )
    finally:
        close_clients()


def close_clients() -> None:
    """Close what the engines have opened."""
    while _CLIENTS:
        _CLIENTS.pop().close()


def stock_wheel(folder: Path, name: str, version: str = "1.0", **options: object) -> PipPackage:
    """Write a small wheel into a folder and return its lock entry."""
    filename, data = make_wheel(name, version, **options)  # type: ignore[arg-type] # passed on
    write_wheel(folder, filename, data)
    return lock_wheel(filename, data)


def run_python(generation: Generation, script: str) -> str:
    """Run a script in an environment and return what it printed."""
    result = subprocess.run(
        [generation.python, "-I", "-c", script], env={}, capture_output=True, check=True, text=True
    )
    return result.stdout.strip()


def steps_of(events: Sequence[Event]) -> list[str]:
    """Return the steps that were started, in order."""
    return [f"{event.stage}: {event.detail}" for event in events if isinstance(event, StageStarted)]


def list_tree(folder: Path) -> dict[str, bytes | str]:
    """Return every path below a folder with its content or link target."""
    return {
        path.relative_to(folder).as_posix(): str(path.readlink())
        if path.is_symlink()
        else (path.read_bytes() if path.is_file() else "")
        for path in sorted(folder.rglob("*"))
    }
