"""Run uv with a cache and an environment of its own."""

import re
from collections.abc import Mapping
from pathlib import Path
from threading import Event

from uv import find_uv_bin

from provisioner.engines.process.run import Completed, ProgramTimeoutError, run_program
from provisioner.errors import InternalError

# At import, because its look into `sysconfig` fails when two threads are the first to do so at once.
_PROGRAM = find_uv_bin()
# What would make uv look or write elsewhere than we say. It talks to our own index on loopback or to nobody,
# so it gets no proxy either, whose address may hold a password.
_SCRUBBED = re.compile(r"(?:UV|PIP|PYTHON|CONDA|VIRTUAL_ENV|MAMBA).*|.*_PROXY", re.IGNORECASE)


class Uv:
    """The program of one user: nobody else's settings, interpreters from this machine only."""

    def __init__(self, *, cache: Path, environ: Mapping[str, str]) -> None:
        """Keep the parts.

        Args:
            cache: Ours alone: uv trusts what is in it.
            environ: Environment of the process; variables that steer uv or Python are left out.
        """
        self.cache = cache
        self._environ = {name: value for name, value in environ.items() if not _SCRUBBED.fullmatch(name)}

    def run(self, *arguments: str, cwd: Path, timeout_s: float, stop: Event | None = None) -> Completed:
        """Run a command of uv's to its end; a failing one is a result, not an exception.

        Raises:
            InternalError: ``internal.uv_timeout``: it did not end in time; or ``stop`` was set.
        """
        command = [
            *(_PROGRAM, *arguments, "--cache-dir", str(self.cache)),
            *("--no-config", "--no-python-downloads", "--no-progress", "--color", "never"),
        ]
        # Its only address is our index on loopback, which waits for slow indexes with time-outs of its own.
        environ = {**self._environ, "UV_HTTP_TIMEOUT": f"{timeout_s:.0f}"}
        try:
            return run_program(command, env=environ, cwd=cwd, timeout_s=timeout_s, stop=stop)
        except ProgramTimeoutError as error:
            raise InternalError(
                "internal.uv_timeout",
                f"uv did not end within {timeout_s:g} s: `uv {' '.join(arguments[:2])}`",
            ) from error
