"""Other tools read an export and install it: pip, uv, conda-lock and rattler, with real wheels."""

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from provisioner.lock.export import Format, export_lock
from provisioner.lock.model import Lock
from provisioner.resolve.model import PipPackage
from tests.loopback import Loopback, serve
from tests.unit.lock.samples import CHANNEL, tiny_lock, wheel

PLATFORM = "win-64" if sys.platform == "win32" else "linux-64"


def build_wheel(name: str, version: str, *, requires: str | None = None) -> bytes:
    """Return a wheel with one module."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    if requires:
        metadata += f"Requires-Dist: {requires}\n"
    files = {
        f"{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    return buffer.getvalue()


@pytest.fixture
def server() -> Iterator[Loopback]:
    """Return a server with two wheels; the first asks for what an override has ruled out."""
    with serve() as loopback:
        loopback.files["tinyapp-1.0-py3-none-any.whl"] = build_wheel("tinyapp", "1.0", requires="tinylib<1")
        loopback.files["tinylib-2.0+cpu-py3-none-any.whl"] = build_wheel("tinylib", "2.0+cpu")
        yield loopback


@pytest.fixture
def lock(server: Loopback) -> Lock:
    """Return a lock of one wheel of the default index, one of another, and an asset that is nowhere."""
    app, lib = wheel("tinyapp", "1.0"), wheel("tinylib", "2.0+cpu")
    lib = replace(lib, url=f"{server.url}/ok/{lib.filename.replace('+', '%2B')}", index="pytorch-cpu")
    server.files[lib.filename.replace("+", "%2B")] = server.files[lib.filename]
    packages = [
        replace(p, sha256=sha256(data).hexdigest(), size=len(data))
        for p in (app, lib)
        for data in [server.files[p.filename]]
    ]
    asset = wheel("tinyasset", "1.0", validation=True)
    pip = tuple(sorted([*packages, asset], key=lambda package: package.name))
    platforms = tuple(replace(platform, pip=pip, conda=()) for platform in tiny_lock().platforms)
    return replace(tiny_lock(), platforms=platforms, channels=())


def export(lock: Lock, form: Format, server: Loopback, folder: Path) -> Path:
    """Write the export for this machine's platform."""

    def absolute(package: PipPackage) -> str:
        return f"{server.url}/ok/{package.filename}"

    ((name, text),) = export_lock(lock, form, absolute=absolute, platforms=[PLATFORM]).items()
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run an installer without the configuration of this machine."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_"))}
    environment = {
        **kept,
        "PIP_CONFIG_FILE": os.devnull,
        "UV_NO_CONFIG": "1",
        "UV_CACHE_DIR": str(folder / "cache"),
    }
    return subprocess.run(
        [str(part) for part in command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def installed(folder: Path) -> list[str]:
    """Return the distributions in a folder."""
    return sorted(path.name for path in folder.glob("*.dist-info"))


BOTH = ["tinyapp-1.0.dist-info", "tinylib-2.0+cpu.dist-info"]


def pip_install(requirements: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Run the command that the file's own comment names."""
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-index",
        "--no-cache-dir",
        "--disable-pip-version-check",
    ]
    options: list[str | Path] = ["--no-deps", "--require-hashes", "--target", target, "-r", requirements]
    return run(*pip, *options, folder=requirements.parent)


def uv_install(requirements: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Install with uv into a folder."""
    import uv

    command: list[str | Path] = [uv.find_uv_bin(), "pip", "install", "--no-index", "--no-deps"]
    command += ["--python", sys.executable, "--target", target, "-r", requirements]
    return run(*command, folder=requirements.parent)


def test_pip_installs_the_requirements_with_required_hashes(
    lock: Lock, server: Loopback, tmp_path: Path
) -> None:
    """All files arrive, without the asset, although the override contradicts what a package asks for."""
    path = export(lock, Format.REQUIREMENTS, server, tmp_path)
    done = pip_install(path, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "site") == BOTH


def test_pip_refuses_other_bytes_than_the_locked_ones(lock: Lock, server: Loopback, tmp_path: Path) -> None:
    """The digests of the export count."""
    path = export(lock, Format.REQUIREMENTS, server, tmp_path)
    server.files["tinyapp-1.0-py3-none-any.whl"] += b"\0"
    done = pip_install(path, tmp_path / "site")
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not installed(tmp_path / "site")


@pytest.mark.parametrize("form", [Format.PYLOCK, Format.REQUIREMENTS])
def test_uv_installs_the_export(form: Format, lock: Lock, server: Loopback, tmp_path: Path) -> None:
    """`uv pip install -r` reads the file as it is named."""
    path = export(lock, form, server, tmp_path)
    done = uv_install(path, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "site") == BOTH


def test_uv_refuses_other_bytes_than_the_locked_ones(lock: Lock, server: Loopback, tmp_path: Path) -> None:
    """The digests of a pylock count."""
    path = export(lock, Format.PYLOCK, server, tmp_path)
    server.files["tinyapp-1.0-py3-none-any.whl"] = build_wheel("tinyapp", "1.0")
    done = uv_install(path, tmp_path / "site")
    assert done.returncode != 0
    assert not installed(tmp_path / "site")


def absolute_elsewhere(package: PipPackage) -> str:
    """Return an address that nobody asks."""
    return f"https://files.example.org/{package.filename}"


@pytest.mark.filterwarnings("ignore")  # conda-lock warns while it is imported
def test_conda_lock_reads_its_export_and_the_environment(tmp_path: Path) -> None:
    """Both of its readers accept what is exported for them."""
    from conda_lock.lockfile import parse_conda_lock_file
    from conda_lock.src_parser.environment_yaml import parse_environment_file

    ((name, text),) = export_lock(tiny_lock(), Format.CONDA_LOCK, absolute=absolute_elsewhere).items()
    (tmp_path / name).write_text(text, encoding="utf-8")
    entries = parse_conda_lock_file(tmp_path / name).package
    assert len(entries) == 12
    assert {entry.url.partition(":")[0] for entry in entries} == {"https"}
    files = export_lock(tiny_lock(), Format.ENVIRONMENT, absolute=absolute_elsewhere, platforms=["linux-64"])
    ((name, text),) = files.items()
    (tmp_path / name).write_text(text, encoding="utf-8")
    names = tmp_path / "names.json"  # conda-lock would fetch its map of names from the network
    names.write_text("{}", encoding="utf-8")
    source = parse_environment_file(tmp_path / name, ["linux-64"], mapping_url=names.as_uri())
    assert {"libuv", "python", "pip"} <= {dependency.name for dependency in source.dependencies["linux-64"]}


def test_rattler_reads_the_explicit_list_and_the_match_specs(tmp_path: Path) -> None:
    """Conda's own notations, by an independent reader."""
    import yaml
    from rattler import MatchSpec
    from rattler.explicit_environment import ExplicitEnvironmentSpec

    explicit, environment = (
        export_lock(tiny_lock(), form, absolute=absolute_elsewhere, platforms=["linux-64"])
        for form in (Format.EXPLICIT, Format.ENVIRONMENT)
    )
    (text,) = explicit.values()
    spec = ExplicitEnvironmentSpec.from_str(text)
    assert str(spec.platform) == "linux-64"
    assert [entry.url.partition("#")[0] for entry in spec.packages] == [
        f"{CHANNEL}/linux-64/libuv-1.48.0-h0_0.conda",
        f"{CHANNEL}/linux-64/python-3.11.9-h0_0.conda",
    ]
    (text,) = environment.values()
    *conda, _ = yaml.safe_load(text)["dependencies"]
    assert [str(MatchSpec(spec)) for spec in conda] == ["libuv ==1.48.0 h0_0", "python ==3.11.9 h0_0", "pip"]
    assert tmp_path.is_dir()
