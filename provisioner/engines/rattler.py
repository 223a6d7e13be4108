"""Solve conda packages with rattler, in a worker process.

After a successful call the interpreter that loaded rattler may crash on its way out (seen on py-rattler 0.28.0), so
the worker's answer file counts and its exit status does not.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from provisioner.engines.process import ProgramTimeoutError, run_program
from provisioner.errors import InternalError, ResolveError, UnavailableError
from provisioner.resolve.model import CondaPackage
from provisioner.resolve.request import CondaRequest
from provisioner.resolve.target import find_target

_TIMEOUT_S = 600.0
_WORKER = Path(__file__).with_name("rattler_worker.py")


class RattlerSolver:
    """A `CondaSolver` on py-rattler."""

    def __init__(
        self,
        *,
        cache: Path,
        mirror: Callable[[str], str],
        canonical: Callable[[str], str],
        environ: Mapping[str, str],
        offline: bool = False,
    ) -> None:
        """Keep the parts.

        Args:
            cache: Folder for rattler's copy of the channels' indexes.
            mirror: Takes a canonical address to the one that is asked.
            canonical: Takes it back.
            environ: Environment of the worker.
            offline: Use only what the cache holds.
        """
        self._cache = cache
        self._mirror = mirror
        self._canonical = canonical
        self._environ = environ
        self._offline = offline

    def solve_conda(self, request: CondaRequest) -> tuple[CondaPackage, ...]:
        """Return the packages; see `CondaSolver`."""
        task = {
            "cache": str(self._cache),
            "offline": self._offline,
            "platform": request.platform,
            "channels": [self._mirror(channel) for channel in request.channels],
            "specs": list(request.specs),
            "as_of": request.as_of,
            "virtual_packages": [list(pair) for pair in find_target(request.platform).virtual_packages],
            "preferred": [
                asdict(package) | {"url": self._mirror(package.url)} for package in request.preferred
            ],
        }
        answer = self._ask(task, request)
        if "packages" in answer:
            packages = [CondaPackage(**package) for package in answer["packages"]]
            return tuple(
                sorted((self._restored(package) for package in packages), key=lambda package: package.name)
            )
        reason = str(answer["reason"])
        if answer["failure"] == "unsatisfiable":
            raise ResolveError(
                "resolve.unsatisfiable",
                f"no set of conda packages answers the profile on `{request.platform}`; the solver says:\n  {reason}",
                hints=["change one of the conda packages named above"],
                context={"platform": request.platform},
            )
        raise UnavailableError(
            "unavailable.channel",
            f"channel {', '.join(f'`{channel}`' for channel in request.channels)} could not be read: {reason}",
            hints=["check the network and the proxy, or name a mirror of the channel in `provision.yaml`"],
            retryable=True,
            context={"channels": list(request.channels)},
        )

    def _restored(self, package: CondaPackage) -> CondaPackage:
        if not package.sha256 or not package.md5:
            raise ResolveError(
                "resolve.unhashed",
                f"conda package `{package.filename}` has no sha256 and md5 in its channel's index",
                hints=["use another build of it: an unhashed file is never locked"],
            )
        fields = asdict(package) | {"url": self._canonical(package.url)}
        return CondaPackage(**fields)

    def _ask(self, task: Mapping[str, object], request: CondaRequest) -> dict[str, object]:
        with tempfile.TemporaryDirectory(prefix="provision-rattler-") as folder:
            path = Path(folder, "answer.json")
            try:
                completed = run_program(
                    [sys.executable, "-I", str(_WORKER)],
                    env=self._environ,
                    cwd=Path(folder),
                    timeout_s=_TIMEOUT_S,
                    stdin=json.dumps({**task, "answer": str(path)}).encode(),
                )
            except ProgramTimeoutError as error:
                raise UnavailableError(
                    "unavailable.channel",
                    f"the channels of `{request.platform}` did not answer within {_TIMEOUT_S:g} s",
                    hints=["check the network and the proxy"],
                    retryable=True,
                ) from error
            if not path.is_file():
                raise InternalError(
                    "internal.rattler",
                    f"rattler's worker ended with exit code {completed.exit_code} and no answer: "
                    f"{completed.stderr.strip()[-2000:]}",
                )
            answer: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
            return answer
