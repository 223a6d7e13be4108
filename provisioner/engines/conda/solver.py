"""Solve conda packages with rattler."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

from provisioner.engines.conda.rattler_process import ask_rattler
from provisioner.engines.net.addresses import host_and_port, redact_text, to_canonical, to_mirror
from provisioner.engines.process.run import ProgramTimeoutError
from provisioner.errors import ProvisionError, ResolveError, UnavailableError
from provisioner.resolve.model import CondaPackage
from provisioner.resolve.platforms import find_target
from provisioner.resolve.request import CondaRequest

_TIMEOUT_S = 600.0
_REQUEST_TIMEOUT_S = 180
_NETWORK_HINT = (
    "check the network, the proxy and the firewall, or name a mirror of the channel in `provision.yaml`"
)
_ADDRESS_HINT = "check the channel's address, and the mirrors in `provision.yaml`"


class RattlerSolver:
    """A `CondaSolver` on py-rattler."""

    def __init__(
        self,
        *,
        cache: Path,
        mirrors: Mapping[str, str],
        environ: Mapping[str, str],
        offline: bool = False,
        request_timeout_s: int = _REQUEST_TIMEOUT_S,
    ) -> None:
        """Keep the parts.

        Args:
            cache: Folder for rattler's copy of the channels' indexes.
            mirrors: Canonical prefix to the prefix that is asked instead.
            environ: Environment of the worker.
            offline: Use only what the cache holds.
            request_timeout_s: Limit for one request of rattler's.
        """
        self._cache = cache
        self._mirrors = mirrors
        self._environ = environ
        self._offline = offline
        self._request_timeout_s = request_timeout_s
        self._stop = Event()
        self._answers: dict[str, dict[str, Any]] = {}

    def stop(self) -> None:
        """End what is under way; see `CondaSolver`."""
        self._stop.set()

    def solve_conda(self, request: CondaRequest) -> tuple[CondaPackage, ...]:
        """Return the packages; see `CondaSolver`."""
        answer = self._ask(
            {
                "do": "solve",
                "cache": str(self._cache),
                "offline": self._offline,
                "timeout_s": self._request_timeout_s,
                "platform": request.platform,
                "channels": [to_mirror(channel, self._mirrors) for channel in request.channels],
                "specs": list(request.specs),
                "as_of": request.as_of,
                "virtual_packages": [list(pair) for pair in find_target(request.platform).virtual_packages],
                "preferred": [
                    {"name": package.name, "sha256": package.sha256} for package in request.preferred
                ],
            },
            request,
        )
        if "packages" not in answer:
            raise _explain(request, failure=answer["failure"], reason=redact_text(answer["reason"]).strip())
        packages = [self._restored(CondaPackage(**package)) for package in answer["packages"]]
        return tuple(sorted(packages, key=lambda package: package.name))

    def _restored(self, package: CondaPackage) -> CondaPackage:
        if not package.sha256 or not package.md5:
            raise ResolveError(
                "resolve.unhashed",
                f"conda package `{package.filename}` has no sha256 and md5 in its channel's index",
                hints=["use another build of it: an unhashed file is never locked"],
            )
        return replace(package, url=to_canonical(package.url, self._mirrors))

    def _ask(self, task: Mapping[str, object], request: CondaRequest) -> dict[str, Any]:
        """Return the worker's answer; profiles of one stack ask the same within a run."""
        key = json.dumps(task)
        if key not in self._answers:
            try:
                self._answers[key] = ask_rattler(
                    task, environ=self._environ, timeout_s=_TIMEOUT_S, stop=self._stop
                )
            except ProgramTimeoutError as error:
                raise _explain(request, failure="unavailable", reason="operation timed out") from error
        return self._answers[key]


class _Cause(NamedTuple):
    """What a pattern in rattler's text means; ``{0}`` in ``why`` is the pattern's group."""

    pattern: str
    code: str
    why: str
    hint: str
    retryable: bool = False


_CAUSES = (
    _Cause(
        "no usable repodata cache", "offline", "we are offline and it is not in the cache", "run once online"
    ),
    _Cause(
        r"\((401|403|407) ", "forbidden", "it refuses us (status {0})", "give the credentials for this host"
    ),
    _Cause(r"\((404|410) ", "not_found", "it has no such channel (status {0})", _ADDRESS_HINT),
    _Cause(r"\((5\d\d|429|408) ", "status", "it answered with status {0}", "try again later", retryable=True),
    _Cause(r"\(([34]\d\d) ", "status", "it answered with status {0}", _ADDRESS_HINT),
    _Cause("dns error", "connection", "the host's name could not be resolved", _NETWORK_HINT, retryable=True),
    _Cause("timed out", "timeout", "it did not answer in time", _NETWORK_HINT, retryable=True),
    _Cause(
        "corrupt message",
        "tls",
        "what answers there speaks no TLS, plain http perhaps",
        "check the address (`http` in place of `https`, or another port) and the proxy",
    ),
    _Cause(
        r"received fatal alert: (\w+)",
        "tls",
        "no TLS connection came about ({0})",
        "check the channel's address and the proxy, and ask who runs the host which TLS versions it takes",
    ),
    _Cause("(?i)certificate", "tls", "its certificate cannot be trusted", "name your CA in `SSL_CERT_FILE`"),
    _Cause(
        "(?i)connection refused|actively refused",
        "connection",
        "it refused the connection",
        _NETWORK_HINT,
        retryable=True,
    ),
    _Cause(
        "error sending request|connection",
        "connection",
        "the connection broke",
        _NETWORK_HINT,
        retryable=True,
    ),
    _Cause(
        "(?i)decode|deserial|parse|invalid|expected",
        "bad_page",
        "it answered with something that is no channel's index, a log-in page perhaps",
        "open the host in a browser: the network may want a log-in",
    ),
)


def _explain(request: CondaRequest, *, failure: str, reason: str) -> ProvisionError:
    """Return what a failure of rattler means."""
    if failure == "unavailable":
        return _explain_unavailable(request, reason)
    indented = "\n".join(f"  {line}".rstrip() for line in reason.splitlines())
    if failure == "bad_spec":
        return ResolveError(
            "resolve.conda_spec",
            f"a conda package of the profile is written in a way that the solver does not read:\n{indented}",
            hints=["write `name`, `name >=1.2,<2` or `name ==1.2.3 build_0`"],
        )
    return ResolveError(
        "resolve.unsatisfiable",
        f"no set of conda packages answers the profile on `{request.platform}`; the solver says:\n{indented}",
        hints=["change one of the conda packages named above"],
        context={"platform": request.platform},
    )


def _explain_unavailable(request: CondaRequest, reason: str) -> UnavailableError:
    found = re.search(r"https?://[^\s'\")]+", reason)
    url = found.group() if found else request.channels[0]
    host = host_and_port(url)
    match, cause = next(
        ((match, cause) for cause in _CAUSES if (match := re.search(cause.pattern, reason.replace(url, "")))),
        (None, None),
    )
    why = cause.why.format(*match.groups()) if cause and match else reason.replace("\n", ": ")
    channels = ", ".join(f"`{channel}`" for channel in request.channels)
    return UnavailableError(
        f"unavailable.{cause.code if cause else 'channel'}",
        f"channel {channels} could not be read from `{host}`: {why}",
        hints=[cause.hint if cause else _NETWORK_HINT],
        retryable=cause.retryable if cause else True,
        context={"host": host, "channels": list(request.channels), "reason": reason},
    )
