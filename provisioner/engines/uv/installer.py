"""Make virtual environments and install wheels with uv, from local files only.

uv is handed a ``pylock.toml`` whose wheels are paths into our store with their digests: it resolves nothing,
opens no connection and installs exactly what is listed. Its cache is ours alone: uv trusts what is in it.
"""

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from uv import find_uv_bin

from provisioner.engines.net.addresses import redact_text
from provisioner.engines.process.run import Completed, ProgramTimeoutError, run_program
from provisioner.engines.uv.interpreter import find_interpreter
from provisioner.errors import InstallError, InternalError
from provisioner.ground.files import make_private_folder
from provisioner.install.build import StoredFile
from provisioner.resolve.model import PipPackage

_TIMEOUT_S = 1800.0
_FULL = re.compile(r"os error (?:28|112|122)\b|no space left", re.IGNORECASE)
# What would make uv look or write elsewhere than we say.
_SCRUBBED = re.compile(r"(UV|PIP|PYTHON|CONDA|VIRTUAL_ENV|MAMBA).*")


class UvInstaller:
    """A `VenvMaker` and `WheelInstaller` on uv."""

    def __init__(self, *, cache: Path, environ: Mapping[str, str]) -> None:
        """Keep the parts.

        Args:
            cache: uv's cache, on the file system of the environments so that files can be linked.
            environ: Environment of the child processes; variables that steer uv or Python are left out.
        """
        self._cache = cache
        self._environ = {name: value for name, value in environ.items() if not _SCRUBBED.fullmatch(name)}

    def make_venv(self, prefix: Path, *, python: str) -> str:
        """Make a virtual environment; see `VenvMaker`."""
        make_private_folder(self._cache)
        interpreter = find_interpreter(python, environ=self._environ, cache=self._cache, cwd=prefix.parent)
        completed = self._run(
            (
                "venv",
                str(prefix),
                "--python",
                str(interpreter),
                "--no-project",
                "--prompt",
                prefix.parents[1].name,
            ),
            cwd=prefix.parent,
        )
        if completed.exit_code != 0:
            raise _failed("install.venv", f"uv could not make a virtual environment in `{prefix}`", completed)
        return _read_version(prefix / "pyvenv.cfg")

    def install_wheels(
        self, python: Path, packages: Sequence[PipPackage], files: Mapping[str, StoredFile]
    ) -> None:
        """Install the wheels; see `WheelInstaller`."""
        make_private_folder(self._cache)
        wheels = [package for package in packages if package.filename.endswith(".whl")]
        sdists = [package for package in packages if not package.filename.endswith(".whl")]
        self._install(python, wheels, files)
        if sdists:
            # Built by what the lock has just installed: an isolated build would fetch what no lock names.
            self._install(python, sdists, files, "--no-build-isolation")

    def _install(
        self,
        python: Path,
        packages: Sequence[PipPackage],
        files: Mapping[str, StoredFile],
        *options: str,
    ) -> None:
        with tempfile.TemporaryDirectory(prefix="provision-wheels-") as folder:
            lock = Path(folder, "pylock.provision.toml")
            lock.write_text(format_pylock(packages, files), encoding="utf-8")
            completed = self._run(
                (
                    *("pip", "install", "--python", str(python), "--requirements", str(lock)),
                    *("--preview-features", "pylock", "--require-hashes", "--break-system-packages"),
                    *options,
                ),
                cwd=Path(folder),
            )
        if completed.exit_code != 0:
            raise _failed("install.wheels", "uv could not install the wheels", completed)

    def clean_cache(self) -> None:
        """Forget what was unpacked; uv waits for other processes that are using it.

        Raises:
            InstallError: uv could not.
        """
        make_private_folder(self._cache)
        completed = self._run(("cache", "clean"), cwd=self._cache.parent)
        if completed.exit_code != 0:
            raise _failed("install.cache", f"uv could not clean its cache `{self._cache}`", completed)

    def _run(self, arguments: Sequence[str], *, cwd: Path) -> Completed:
        command = [
            find_uv_bin(),
            *arguments,
            *("--cache-dir", str(self._cache), "--no-config", "--offline", "--no-python-downloads"),
            *("--color", "never", "--no-progress", "--quiet"),
        ]
        try:
            return run_program(command, env=self._environ, cwd=cwd, timeout_s=_TIMEOUT_S)
        except ProgramTimeoutError as error:
            raise InternalError(
                "internal.uv_timeout", f"uv did not end within {_TIMEOUT_S:g} s: `uv {arguments[0]}`"
            ) from error


def format_pylock(packages: Sequence[PipPackage], files: Mapping[str, StoredFile]) -> str:
    """Return a ``pylock.toml`` (PEP 751) of wheels and source archives in the store."""
    lines = ['lock-version = "1.0"', 'created-by = "provision"']
    for package in packages:
        lines += [
            "",
            "[[packages]]",
            f"name = {_toml(package.name)}",
            f"version = {_toml(package.version)}",
            _pylock_file(package, files[package.sha256].path.as_posix()),
        ]
    return "\n".join(lines) + "\n"


def _read_version(path: Path) -> str:
    """Return the interpreter's version from a virtual environment's settings."""
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition("=")
        if key.strip() in {"version_info", "version"}:
            return ".".join(value.strip().split(".")[:3])
    raise InternalError("internal.uv", f"uv made a virtual environment without a version in `{path}`")


def _pylock_file(package: PipPackage, path: str) -> str:
    file = (
        f"{{ name = {_toml(package.filename)}, path = {_toml(path)}, "
        f"hashes = {{ sha256 = {_toml(package.sha256)} }} }}"
    )
    return f"wheels = [{file}]" if package.filename.endswith(".whl") else f"sdist = {file}"


def _toml(text: str) -> str:
    """Return a basic string of TOML."""
    escaped = "".join(
        f"\\u{ord(char):04x}" if ord(char) < 0x20 or char in {'"', "\\", "\x7f"} else char for char in text
    )
    return f'"{escaped}"'


def _failed(code: str, what: str, completed: Completed) -> InstallError:
    said = redact_text(completed.stderr.strip())[-2000:]
    if _FULL.search(said):
        return InstallError(
            "install.disk_full",
            f"{what}: there is no space left on the disk",
            hints=["free some space, or choose another data folder with `--data-dir`"],
        )
    return InstallError(
        code,
        f"{what}; it says:\n{said}" if said else f"{what}: exit code {completed.exit_code}",
        hints=["run the same command again; if it fails again, report it with this output"],
        context={"exit_code": completed.exit_code},
    )
