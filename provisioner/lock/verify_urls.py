"""Does every locked file still exist upstream? Which addresses to ask, and what their answers mean."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from provisioner.errors import UnavailableError
from provisioner.lock.model import Lock
from provisioner.resolve.model import PipPackage

_CODES = {**dict.fromkeys((404, 410), "gone"), **dict.fromkeys((401, 402, 403, 407, 451), "refused")}
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

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None


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


def judge_answer(check: FileCheck, answer: HeadAnswer) -> UnavailableError | None:
    """Return the error of a file that is not shown to be there as it was locked.

    Codes: ``unavailable.gone``, ``.refused``, ``.replaced`` and ``.unreachable``; only the last may be asked
    again.
    """
    found = _find_change(check, answer)
    if found is None:
        return None
    code, reason = found
    again = code == "unreachable"
    return UnavailableError(
        f"unavailable.{code}",
        f"{', '.join(check.packages)}: {reason}: `{check.url}`",
        hints=["run the command again later"] if again else _REMEDIES,
        retryable=again,
        context={"url": check.url, "sha256": check.sha256, "packages": list(check.packages)},
    )


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


def _find_change(check: FileCheck, answer: HeadAnswer) -> tuple[str, str] | None:
    if answer.status in _CODES:
        return _CODES[answer.status], f"no longer installable from there (status {answer.status})"
    if answer.status != 200:
        cause = f"status {answer.status}" if answer.status else answer.problem or "unknown cause"
        return "unreachable", f"no answer about the file ({cause})"
    if answer.headers.get("content-type", "").lower().startswith("text/html"):
        return "refused", "no longer installable from there (there is a web page in the file's place)"
    if answer.headers.get("content-length") == "0":
        return "replaced", "the file there is empty"
    offered = offered_sha256(answer.headers)
    if offered is not None and offered != check.sha256:
        return "replaced", f"the file there has sha256 `{offered}`, locked is `{check.sha256}`"
    return None
