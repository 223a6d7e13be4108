"""Does every locked file still exist upstream? Which addresses to ask, and what their answers mean."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from provisioner.errors import UnavailableError
from provisioner.lock.model import Lock
from provisioner.resolve.model import PipPackage

_HEX = re.compile(r"[0-9a-f]{64}")
# Headers in which servers offer a file's sha256: Artifactory's, S3's, and RFC 9530's and its predecessor's.
_HEX_HEADERS = ("x-checksum-sha256", "x-amz-meta-sha256", "x-amz-meta-checksum-sha256")
_BASE64_HEADERS = ("x-amz-checksum-sha256",)
_DIGEST_HEADERS = ("repr-digest", "digest")


@dataclass(frozen=True, kw_only=True, slots=True)
class FileCheck:
    """One file to ask for: ``packages`` are the entries that need it, ``linux-64 torch 2.13.0+cpu``."""

    url: str
    sha256: str
    packages: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadAnswer:
    """What a HEAD request was answered.

    Attributes:
        status: The final status, after redirects; None where no answer came.
        headers: With lower-case names.
        problem: Why no answer came.
    """

    url: str
    status: int | None
    headers: Mapping[str, str]
    problem: str | None = None


class Verdict(StrEnum):
    """What an answer says about a locked file."""

    GONE = "gone"
    REFUSED = "refused"
    REPLACED = "replaced"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One file that could not be shown to be there as it was locked."""

    check: FileCheck
    verdict: Verdict
    reason: str

    def as_error(self) -> UnavailableError:
        """Return the finding as an error; only a file that could not be asked for may be asked for again."""
        again = self.verdict is Verdict.UNREACHABLE
        return UnavailableError(
            f"unavailable.{self.verdict.value}",
            f"{', '.join(self.check.packages)}: {self.reason}: `{self.check.url}`",
            hints=["run the command again later"] if again else _REMEDIES,
            retryable=again,
            context={
                "url": self.check.url,
                "sha256": self.check.sha256,
                "packages": list(self.check.packages),
            },
        )


_REMEDIES = (
    "name a mirror that has the file under `mirrors` in the configuration",
    "or keep a copy of the file in a folder that `--find-links` or pip's `find-links` names",
    "or lock again with `--upgrade` if the profile allows another file",
)


def plan_file_checks(lock: Lock, *, absolute: Callable[[PipPackage], str]) -> tuple[FileCheck, ...]:
    """Return what to ask for, each address once, sorted.

    ``absolute`` returns the address of a file of the default index.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for platform in lock.platforms:
        for conda in platform.conda:
            entry = f"{platform.platform} {conda.name} {conda.version}"
            found.setdefault((conda.url, conda.sha256), []).append(entry)
        for wheel in platform.pip:
            url = wheel.url if "://" in wheel.url else absolute(wheel)
            entry = f"{platform.platform} {wheel.name} {wheel.version}"
            found.setdefault((url, wheel.sha256), []).append(entry)
    return tuple(
        FileCheck(url=url, sha256=sha256, packages=tuple(packages))
        for (url, sha256), packages in sorted(found.items())
    )


def judge_answers(checks: Iterable[FileCheck], answers: Iterable[HeadAnswer]) -> tuple[Finding, ...]:
    """Return a finding for each file that is not shown to be there as it was locked."""
    by_url = {answer.url: answer for answer in answers}
    findings = []
    for check in checks:
        answer = by_url.get(check.url) or HeadAnswer(
            url=check.url, status=None, headers={}, problem="not asked"
        )
        if judged := _judge(check, answer):
            findings.append(Finding(check=check, verdict=judged[0], reason=judged[1]))
    return tuple(findings)


def offered_sha256(headers: Mapping[str, str]) -> str | None:
    """Return the digest that a server offers for the whole file, in lower-case hex."""
    for name in _HEX_HEADERS:
        if _HEX.fullmatch(value := headers.get(name, "").strip().lower()):
            return value
    encoded = [headers[name] for name in _BASE64_HEADERS if name in headers]
    for name in _DIGEST_HEADERS:
        encoded += re.findall(r"sha-256=:?([A-Za-z0-9+/]{43}=)", headers.get(name, ""), re.IGNORECASE)
    for value in encoded:
        try:
            digest = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            continue
        if len(digest) == 32:
            return digest.hex()
    return None


def _judge(check: FileCheck, answer: HeadAnswer) -> tuple[Verdict, str] | None:
    if answer.status in {404, 410}:
        return Verdict.GONE, f"no longer installable from there (status {answer.status})"
    if answer.status in {401, 402, 403, 407, 451}:
        return Verdict.REFUSED, f"no longer installable from there (status {answer.status})"
    if answer.status != 200:
        cause = f"status {answer.status}" if answer.status else answer.problem or "unknown cause"
        return Verdict.UNREACHABLE, f"no answer about the file ({cause})"
    return _judge_file(check, answer)


def _judge_file(check: FileCheck, answer: HeadAnswer) -> tuple[Verdict, str] | None:
    if answer.headers.get("content-type", "").lower().startswith("text/html"):
        return Verdict.REFUSED, "no longer installable from there (a web page stands in the file's place)"
    if answer.headers.get("content-length") == "0":
        return Verdict.REPLACED, "the file there is empty"
    offered = offered_sha256(answer.headers)
    if offered is not None and offered != check.sha256:
        return Verdict.REPLACED, f"the file there has sha256 `{offered}`, locked is `{check.sha256}`"
    return None
