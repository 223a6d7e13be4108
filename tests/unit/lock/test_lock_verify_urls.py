"""Which locked files are asked for upstream, and what the answers mean."""

from base64 import b64encode

import pytest

from provisioner.errors import UnavailableError
from provisioner.lock.verify_urls import (
    FileCheck,
    HeadAnswer,
    judge_answer,
    offered_sha256,
    plan_file_checks,
)
from provisioner.resolve.model import PipPackage
from tests.unit.lock.samples import tiny_lock

TABULATE = "https://files.example.org/tabulate-0.9.0-py3-none-any.whl"


def absolute(package: PipPackage) -> str:
    """Return where the default index keeps a file."""
    return f"https://files.example.org/{package.filename}"


def find_check() -> FileCheck:
    """Return what to ask about one file."""
    (check,) = [check for check in plan_file_checks(tiny_lock(), absolute=absolute) if check.url == TABULATE]
    return check


def judged(status: int | None, **headers: str) -> UnavailableError | None:
    """Return what one answer says about one file."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return judge_answer(find_check(), HeadAnswer(status=status, headers=named))


def test_each_address_is_asked_for_once() -> None:
    """A wheel for both platforms is one request that names both entries."""
    checks = plan_file_checks(tiny_lock(), absolute=absolute)
    urls = [check.url for check in checks]
    assert urls == sorted(set(urls))
    assert len(urls) == 10
    (tabulate,) = [check for check in checks if check.url == TABULATE]
    assert tabulate.packages == ("linux-64 tabulate 0.9.0", "win-64 tabulate 0.9.0")


def test_a_file_that_is_there_gives_no_error() -> None:
    """Status 200, with the right digest or none."""
    digest = find_check().sha256
    assert judged(200) is None
    assert judged(200, x_checksum_sha256=digest.upper(), content_type="application/zip") is None


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (404, {}, "gone"),
        (410, {}, "gone"),
        (401, {}, "refused"),
        (403, {}, "refused"),
        (200, {"content_type": "text/html; charset=utf-8"}, "refused"),
        (200, {"content_length": "0"}, "replaced"),
        (200, {"x_checksum_sha256": "0" * 64}, "replaced"),
        (500, {}, "unreachable"),
        (None, {}, "unreachable"),
    ],
)
def test_an_answer_is_judged(status: int | None, headers: dict[str, str], expected: str) -> None:
    """Gone, refused and replaced files are told apart from servers that did not answer."""
    error = judged(status, **headers)
    assert error is not None
    assert error.code == f"unavailable.{expected}"
    assert ("no longer installable from there" in error.message) == (expected in {"gone", "refused"})


def test_the_error_names_the_entries_and_the_remedies() -> None:
    """A mirror and a bundle are the ways out, and only silence may be asked again."""
    error = judged(404)
    assert error is not None
    assert (error.code, error.exit_code, error.retryable) == ("unavailable.gone", 8, False)
    assert "linux-64 tabulate 0.9.0, win-64 tabulate 0.9.0" in error.message
    assert any("mirror" in hint for hint in error.hints)
    assert any("find-links" in hint for hint in error.hints)
    silent = judged(None)
    assert silent is not None
    assert silent.retryable


def test_the_digest_is_read_from_every_header_that_servers_use() -> None:
    """Hex and base64, in the headers of Artifactory, S3 and RFC 9530; anything else is no digest."""
    digest = bytes(range(32))
    encoded = b64encode(digest).decode()
    for headers in (
        {"x-checksum-sha256": digest.hex().upper()},
        {"x-amz-meta-sha256": digest.hex()},
        {"x-amz-checksum-sha256": encoded},
        {"repr-digest": f"md5=:AAAA:, sha-256=:{encoded}:"},
        {"digest": f"SHA-256={encoded}"},
    ):
        assert offered_sha256(headers) == digest.hex()
    for headers in (
        {},
        {"x-checksum-sha256": "abc"},
        {"x-amz-checksum-sha256": "!"},
        {"repr-digest": "sha-256=:x:"},
    ):
        assert offered_sha256(headers) is None
