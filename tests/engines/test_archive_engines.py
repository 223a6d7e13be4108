"""We refuse what the engines let through, and leave to them what they refuse themselves."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from provisioner.engines.archive.scan import scan_package
from provisioner.engines.conda import rattler_process
from provisioner.engines.conda.linker import describe_package
from provisioner.engines.store.file import StoredFile
from provisioner.engines.uv.installer import UvInstaller
from provisioner.errors import InstallError
from provisioner.resolve.model import CondaPackage, PipPackage
from tests.conda_channel import PYTHON_VERSION, Member, index_json, lock_conda, make_package
from tests.hostile import STEM, WHEEL, Engine, Hostile, find_conda, find_wheels
from tests.installing import ENVIRON
from tests.wheels import lock_wheel, make_wheel

WHEELS, CONDA = find_wheels(), find_conda()
# Links every task into a prefix of its own, in one process that loads rattler once.
_LINK_ALL = """
import asyncio, json, sys
sys.path.insert(0, sys.argv[1])
import worker
for line in sys.stdin:
    try:
        answer = asyncio.run(worker._link(json.loads(line)))
    except BaseException as error:
        answer = {"failure": repr(error)}
    print(json.dumps(answer), flush=True)
worker.os._exit(0)
"""
_NAMES = re.compile(r"`[^`]*`|'[^']*'|\"[^\"]*\"|None|its (?:name|version|build|subdir)")


def objection(path: Path, package: CondaPackage | PipPackage) -> str | None:
    """Return why our scan refuses a file, or that it needs the profile's leave to run code at every start."""
    try:
        stored = scan_package(path, package)
    except InstallError as error:
        return error.message
    return "it runs code at every start" if stored.startup else None


def lock(kind: Hostile) -> CondaPackage:
    """Return the lock's entry of a hostile conda package."""
    index = index_json("demo", "1.0", subdir="noarch" if kind.noarch else "linux-64")
    return lock_conda(index, kind.data, channel="https://c")


def check(kind: Hostile, *, engine_refuses: bool, ours: str | None) -> None:
    assert engine_refuses == (kind.engine is Engine.REFUSES)
    if kind.engine is not Engine.REFUSES:
        assert (ours is not None) == (kind.engine is Engine.INSTALLS), ours


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment to copy."""
    prefix = tmp_path_factory.mktemp("venv") / "generations" / "1"
    UvInstaller(cache=prefix.parent / "cache", environ=ENVIRON).make_venv(
        prefix, interpreter=Path(getattr(sys, "_base_executable", sys.executable))
    )
    return prefix


@pytest.mark.parametrize("name", ["honest", *WHEELS])
def test_a_hostile_wheel_is_refused_by_uv_or_by_us(venv: Path, tmp_path: Path, name: str) -> None:
    """What bare uv installs and could do harm, our scan refuses, and nothing is written outside."""
    honest = Hostile(data=make_wheel("demo")[1], engine=Engine.HARMLESS)
    kind = WHEELS.get(name, honest)
    (tmp_path / "store").mkdir()
    path = tmp_path / "store" / WHEEL
    path.write_bytes(kind.data)
    package = lock_wheel(WHEEL, kind.data)
    prefix = shutil.copytree(venv, tmp_path / "env" / "generations" / "1", symlinks=True)
    refused = False
    try:
        UvInstaller(cache=tmp_path / "cache", environ=ENVIRON).install_wheels(
            prefix / "bin" / "python",
            [package],
            {package.sha256: StoredFile(path=path)},
            unpacked=tmp_path / "cache",
        )
    except InstallError:
        refused = True
    check(kind, engine_refuses=refused, ours=objection(path, package))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cache", "env", "store"]


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[str, Path]]:
    """What bare rattler says of every conda package, empty where it links it, and the package's folder."""
    root = tmp_path_factory.mktemp("linked")
    folders = {name: root / f"{number}" for number, name in enumerate(CONDA)}
    tasks = [json.dumps(_task(CONDA[name], folder)) for name, folder in folders.items()]
    answers: list[str] = []
    while len(answers) < len(tasks):  # rattler ends the process at some
        command = [sys.executable, "-c", _LINK_ALL, str(Path(rattler_process.__file__).parent)]
        text = "\n".join(tasks[len(answers) :])
        done = subprocess.run(command, input=text, capture_output=True, check=False, text=True)
        answers += [json.loads(line).get("failure", "") for line in done.stdout.splitlines()]
        if done.returncode != 0:
            answers.append(f"it aborts: {done.stderr}")
    return {name: (answer, folders[name]) for name, answer in zip(CONDA, answers, strict=True)}


def _task(kind: Hostile, folder: Path) -> dict[str, Any]:
    """Write a package, with a Python beside one that needs it, and return the worker's task."""
    folder.mkdir()
    index = index_json("demo", "1.0", subdir="noarch" if kind.noarch else "linux-64")
    packages = [(index, kind.data)]
    if kind.noarch:
        # Without a program: two packages that write one file do so in any order, and at times one fails.
        packages.append(make_package("python", PYTHON_VERSION, {"lib/python": Member(data=b"")}))
    described = []
    for info, data in packages:
        package = lock_conda(info, data, channel="https://c")
        path = folder / package.filename
        path.write_bytes(data)
        described.append(describe_package(package, StoredFile(path=path, index=info)))
    return {
        "do": "link",
        "prefix": str(folder / "env"),
        "cache": str(folder / "cache"),
        "platform": "linux-64",
        "packages": described,
    }


@pytest.mark.parametrize("name", CONDA)
def test_a_hostile_conda_package_is_refused_by_rattler_or_by_us(
    linked: Mapping[str, tuple[str, Path]], name: str
) -> None:
    """What bare rattler links and could do harm, our scan refuses."""
    kind, (failure, folder) = CONDA[name], linked[name]
    path = folder / f"{STEM}.conda"
    check(kind, engine_refuses=bool(failure), ours=objection(path, lock(kind)))


def test_every_reason_to_refuse_is_needed(tmp_path: Path) -> None:
    """We check nothing that the engines always refuse: each reason stops what one of them installs."""
    needed, given = set(), set()
    for kind in (*WHEELS.values(), *CONDA.values()):
        filename = WHEEL if kind in WHEELS.values() else f"{STEM}.conda"
        path = tmp_path / filename
        path.write_bytes(kind.data)
        why = objection(path, lock_wheel(WHEEL, kind.data) if filename == WHEEL else lock(kind))
        if why is None or "it cannot be read" in why:  # damage that stops our readers, too
            continue
        reason = _NAMES.sub("", why)
        given.add(reason)
        if kind.engine is Engine.INSTALLS:
            needed.add(reason)
    assert given - needed == set()
