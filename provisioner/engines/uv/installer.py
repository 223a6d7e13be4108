"""Make virtual environments and install wheels with uv, from local files only.

uv is handed a ``pylock.toml`` whose wheels are paths into our store with their digests: it resolves nothing,
opens no connection and installs exactly what is listed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from provisioner.engines.net.addresses import redact_text
from provisioner.engines.store.file import StoredFile
from provisioner.engines.uv.interpreter import find_interpreter
from provisioner.engines.uv.program import Uv
from provisioner.errors import InstallError, InternalError
from provisioner.ground.files import make_private_folder
from provisioner.ground.refusals import disk_error, find_disk_fault
from provisioner.ground.scratch import hold_scratch
from provisioner.lock.pylock import describe_package, format_pylock
from provisioner.resolve.model import PipPackage

_TIMEOUT_S = 1800.0


class UvInstaller:
    """Makes virtual environments and installs wheels with uv."""

    def __init__(self, *, cache: Path, environ: Mapping[str, str]) -> None:
        """Keep the parts.

        Args:
            cache: Where uv keeps what it knows of interpreters.
            environ: Environment of the child processes; see `Uv`.
        """
        self._uv = Uv(cache=cache, environ=environ)
        self._environ = environ

    def find_python(self, version: str, *, platform: str, managed: Path) -> Path:
        """Return an interpreter for `make_venv`; arguments and errors as from `find_interpreter`."""
        return find_interpreter(version, uv=self._uv, platform=platform, managed=managed)

    def make_venv(self, prefix: Path, *, interpreter: Path) -> str:
        """Make a virtual environment at ``prefix`` (absent), and return the full version of its Python.

        Raises:
            InstallError: It could not be made.
        """
        make_private_folder(self._uv.cache)
        _run(
            self._uv,
            *("venv", str(prefix), "--python", str(interpreter)),
            *("--no-project", "--prompt", prefix.parents[1].name),
            cwd=prefix.parent,
            writing=prefix,
            failing=("install.venv", f"make a virtual environment in `{prefix}`"),
        )
        return _read_version(prefix / "pyvenv.cfg")

    def install_wheels(
        self,
        python: Path,
        packages: Sequence[PipPackage],
        files: Mapping[str, StoredFile],
        *,
        unpacked: Path,
    ) -> None:
        """Install exactly these wheels beside an interpreter, from stored files.

        Args:
            python: The interpreter.
            packages: The wheels, and source archives that are built.
            files: Their files by sha256; uv compares each with its digest while it unpacks it.
            unpacked: An empty folder on the environment's file system. Installed files are hard links into
                it, so the caller deletes it.

        Raises:
            InstallError: A wheel was refused or could not be written.
        """
        uv = Uv(cache=unpacked, environ=self._environ)
        wheels = [package for package in packages if package.filename.endswith(".whl")]
        sdists = [package for package in packages if not package.filename.endswith(".whl")]
        _install(uv, python, wheels, files)
        if sdists:
            # Built by what the lock has just installed: an isolated build would fetch what no lock names.
            _install(uv, python, sdists, files, "--no-build-isolation")


def _install(
    uv: Uv,
    python: Path,
    packages: Sequence[PipPackage],
    files: Mapping[str, StoredFile],
    *options: str,
) -> None:
    with hold_scratch("wheels") as folder:
        lock = folder / "pylock.provision.toml"
        entries = [
            describe_package(package, path=files[package.sha256].path.as_posix()) for package in packages
        ]
        lock.write_text(format_pylock(entries), encoding="utf-8")
        _run(
            uv,
            *("pip", "install", "--python", str(python), "--requirements", str(lock)),
            *("--preview-features", "pylock", "--require-hashes", "--break-system-packages"),
            *options,
            cwd=folder,
            writing=uv.cache,
            failing=("install.wheels", "install the wheels"),
        )


def _run(uv: Uv, *arguments: str, cwd: Path, writing: Path, failing: tuple[str, str]) -> None:
    """Run uv offline.

    Args:
        uv: The program.
        arguments: What it is given.
        cwd: Its working folder.
        writing: Where it writes, for the error of a full disk.
        failing: The code of another failure, and what it then could not do.

    Raises:
        InstallError: It failed.
    """
    done = uv.run(*arguments, "--offline", "--quiet", cwd=cwd, timeout_s=_TIMEOUT_S)
    if done.exit_code == 0:
        return
    code, what = failing
    said = redact_text(done.stderr.strip())[-2000:]
    fault = find_disk_fault(f"{said}\nsignal: {-done.exit_code}")
    if fault is not None:
        raise disk_error(writing, fault)
    raise InstallError(
        code,
        f"uv could not {what}; it says:\n{said}"
        if said
        else f"uv could not {what}: exit code {done.exit_code}",
        hints=[
            "choose another version or build of a package that it refuses, and lock again",
            "run the same command again; if it fails again, report it with this output",
        ],
        context={"exit_code": done.exit_code},
    )


def _read_version(path: Path) -> str:
    """Return the interpreter's version from a virtual environment's settings."""
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition("=")
        if key.strip() in {"version_info", "version"}:
            return ".".join(value.strip().split(".")[:3])
    raise InternalError("internal.uv", f"uv made a virtual environment without a version in `{path}`")
