"""Environments with a real PyTorch, built once per machine and kept in the user's cache folder."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import platformdirs
import pytest
from filelock import FileLock
from uv import find_uv_bin

from provisioner.errors import ExitCode

SOFTXPU = Path(__file__).parents[1] / "softxpu"
REPOSITORY = Path(__file__).parents[2]
LOCKFILE = REPOSITORY / "lockfiles" / "llama3-cpu.conda-lock.yml"


def _interpreter(prefix: Path) -> Path:
    return prefix / "bin" / "python"


def _site_packages(prefix: Path) -> Path:
    return prefix / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _prefix(kind: str, *ingredients: bytes) -> Path:
    """Return the folder in the user's cache for an environment with these ingredients."""
    key = hashlib.sha256(b"\0".join((sys.version.encode(), *ingredients))).hexdigest()[:16]
    folder = Path(platformdirs.user_cache_dir("provision-tests")) / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder / key


@pytest.fixture(scope="session")
def torch_python() -> Path:
    """The interpreter of `llama3-cpu` as it is locked: CPU PyTorch, transformers and ipex-llm.

    `PROVISION_TEST_TORCH_PYTHON` names one that exists already.
    """
    if named := os.environ.get("PROVISION_TEST_TORCH_PYTHON"):
        return Path(named)
    if sys.platform != "linux" or sys.version_info[:2] != (3, 11):
        pytest.skip(reason="the software XPU and the tests beside it are for Python 3.11 on Linux")
    data = _prefix("torch", LOCKFILE.read_bytes())
    create = [sys.executable, "-m", "provisioner", "create", "llama3-cpu", "--no-validate", "--json"]
    variables = {name: text for name, text in os.environ.items() if not name.startswith("PROVISION_")}
    with FileLock(f"{data}.lock"):
        done = subprocess.run(
            [*create, "--data-dir", str(data)],
            check=False,
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            env=variables,
        )
    if done.returncode == ExitCode.UNAVAILABLE:
        pytest.skip(reason=f"the wheels of llama3-cpu cannot be had here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout + done.stderr
    return _interpreter(Path(json.loads(done.stdout)["data"]["prefix"]))


@pytest.fixture(scope="session")
def softxpu_python(torch_python: Path) -> Path:
    """The interpreter of an environment over `torch_python`'s that has the software XPU as well."""
    if sys.platform != "linux":
        pytest.skip(reason="the software XPU is built with the tools of Linux")
    if shutil.which("g++") is None:
        pytest.skip(reason="the software XPU is compiled with g++, which is not here")
    sources = sorted(path for path in SOFTXPU.rglob("*") if path.suffix in {".cpp", ".py", ".toml"})
    prefix = _prefix("softxpu-2", str(torch_python).encode(), *(path.read_bytes() for path in sources))
    with FileLock(f"{prefix}.lock"):
        if not (prefix / "ready").exists():
            shutil.rmtree(prefix, ignore_errors=True)
            subprocess.run([str(torch_python), "-m", "venv", "--without-pip", str(prefix)], check=True)
            site = _site_packages(prefix)
            where = "import sysconfig; print(sysconfig.get_path('purelib'))"
            below = subprocess.run(
                [str(torch_python), "-c", where], check=True, capture_output=True, text=True
            )
            (site / "torch-environment.pth").write_text(below.stdout)
            # Validation refuses a `.pth` file that no package brought.
            info = site / "torch_environment-1.dist-info"
            info.mkdir()
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch-environment\nVersion: 1\n")
            (info / "RECORD").write_text(
                f"torch-environment.pth,,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n"
            )
            # uv and not pip: an environment that provision built has no pip.
            install = [find_uv_bin(), "pip", "install", "--python", str(_interpreter(prefix)), "--no-config"]
            made = subprocess.run(
                [*install, "--no-build-isolation", "--no-deps", "--no-cache", str(SOFTXPU)],
                check=False,
                capture_output=True,
                text=True,
                env=os.environ | {"MAX_JOBS": "1"},
            )
            assert made.returncode == 0, made.stderr
            (prefix / "ready").touch()
    return _interpreter(prefix)


@pytest.fixture(scope="session")
def run(softxpu_python: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run code on the software XPU, in a process that has only the given variables."""

    def run_code(
        code: str, environment: Mapping[str, str] | None = None, *, timeout: float = 120, cap_bytes: int = 0
    ) -> subprocess.CompletedProcess[str]:
        cap = ["prlimit", f"--as={cap_bytes}"] if cap_bytes else []
        return subprocess.run(
            [*cap, str(softxpu_python), "-I", "-c", code],
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={"PATH": "/usr/bin:/bin", "TRANSFORMERS_OFFLINE": "1", **(environment or {})},
        )

    return run_code


@pytest.fixture(scope="session")
def answer(run: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., Any]:
    """Run code on the software XPU and return what it leaves in `answer`, of JSON's own types."""

    def ask(code: str, environment: Mapping[str, str] | None = None) -> Any:
        # The backward pass starts a thread for the device that may still run when the interpreter goes, and
        # then the C++ runtime aborts; how processes end is the business of other tests.
        leave = "import json, os\nprint(json.dumps(answer), flush=True)\nos._exit(0)"
        done = run(f"{code}\n{leave}", environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return ask
