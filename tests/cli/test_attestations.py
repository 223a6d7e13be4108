"""`lock --verify-attestations` checks real signatures of real releases, served by an index on loopback."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.engines.index.attestations import check_attestations
from provisioner.errors import InstallError
from tests.cli.lab import Lab

DATA = Path(__file__).parents[1] / "data" / "attestations"
CIRCLECI = (DATA / "circleci.json").read_text(encoding="utf-8")
GITHUB = (DATA / "github.json").read_text(encoding="utf-8")
WHEEL = "circleci_sign_publish_example-0.0.1.dev137-py3-none-any.whl"
SHA256 = "8cb34da1e27336f11a2c43f3f9c7433bd76f24f470c904724f06ad7f131d9e9f"
PUBLISHER = "CircleCI github.com/CircleCI-Public/sign-and-publish-examples"
VERIFY = ("lock", "--verify-attestations", "tiny", "--json")
PAGE = "simple/circleci-sign-publish-example/"


def serve_release(lab: Lab, *, sha256: str = SHA256, provenance: str | None = CIRCLECI) -> None:
    """Put the release on its page; only its metadata and its attestations are served."""
    entry = {"filename": WHEEL, "url": f"/ok/files/{WHEEL}", "hashes": {"sha256": sha256}, "size": 2898}
    if provenance is not None:
        lab.server.files["provenance"] = provenance.encode()
        lab.server.types["provenance"] = "application/vnd.pypi.integrity.v1+json"
        entry["provenance"] = f"{lab.server.url}/ok/provenance"
    metadata = "Metadata-Version: 2.3\nName: circleci-sign-publish-example\nVersion: 0.0.1.dev137\n"
    lab.server.files[f"files/{WHEEL}.metadata"] = metadata.encode()
    page = {"meta": {"api-version": "1.3"}, "name": "circleci-sign-publish-example", "files": [entry]}
    lab.server.files[PAGE] = json.dumps(page).encode()
    lab.server.types[PAGE] = "application/vnd.pypi.simple.v1+json"


@pytest.fixture
def attested(lab: Lab) -> Lab:
    """Return a lab whose lock holds the release beside two wheels that nobody attests."""
    serve_release(lab)
    name = "circleci-sign-publish-example"
    lab.lock_tiny(changes={"- tinyapp": f"- tinyapp\n    - {name}==0.0.1.dev137\n  prereleases: [{name}]"})
    return lab


def test_attestations_that_hold_name_the_publisher(attested: Lab) -> None:
    """Exit 0: the publisher of what is attested, the names of what is not, and no wheel is fetched."""
    attested.server.requests.clear()
    assert attested.run(*VERIFY).data == {
        "profiles": [
            {
                "profile": "tiny",
                "publishers": {WHEEL: PUBLISHER},
                "no_attestation": ["tinyapp-1.0-py3-none-any.whl", "torch-2.13.0+cpu-py3-none-any.whl"],
                "problems": 0,
            }
        ]
    }
    assert not [request.path for request in attested.server.requests if request.path.endswith(".whl")]
    shown = attested.run(*VERIFY[:-1])
    assert shown.out.splitlines() == [
        "tiny: 1 file with an attestation that holds, no attestation for 2 files, 0 problems",
        f"  {WHEEL}: {PUBLISHER}",
    ]


def change_publisher(lab: Lab) -> None:
    lab.server.files["provenance"] = CIRCLECI.replace("CircleCI-Public", "CircleCI-Publix").encode()


def change_statement(lab: Lab) -> None:
    document = json.loads(CIRCLECI)
    envelope = document["attestation_bundles"][0]["attestations"][0]["envelope"]
    envelope["statement"] = "e30=" + envelope["statement"][4:]
    lab.server.files["provenance"] = json.dumps(document).encode()


def change_file(lab: Lab) -> None:
    """Let lockfile and index agree on another file than the publisher signed."""
    serve_release(lab, sha256="0" * 64)
    lab.lockfile.write_text(
        lab.lockfile.read_text(encoding="utf-8").replace(SHA256, "0" * 64), encoding="utf-8"
    )


@pytest.mark.parametrize(
    ("tamper", "code", "words"),
    [
        (change_publisher, "install.attestation", WHEEL),
        (change_statement, "install.attestation", WHEEL),
        (change_file, "install.attestation", "subject does not match distribution digest"),
        (lambda lab: lab.server.files.update(provenance=GITHUB.encode()), "install.attestation", WHEEL),
        (lambda lab: lab.server.files.update(provenance=b"{}"), "install.attestation", "no provenance"),
        (
            lambda lab: lab.server.files.update(provenance=b'{"version": 1, "attestation_bundles": []}'),
            "install.attestation",
            "it holds no attestation",
        ),
        (lambda lab: serve_release(lab, provenance=None), "install.publisher", "nobody attests it now"),
        (lambda lab: serve_release(lab, sha256="0" * 64), "install.hash_mismatch", WHEEL),
    ],
    ids=["publisher", "statement", "file", "foreign", "no document", "empty", "withdrawn", "index"],
)
def test_what_does_not_hold_is_an_integrity_failure(
    attested: Lab, tamper: Callable[[Lab], None], code: str, words: str
) -> None:
    """Exit 5 with the file: publisher, statement or file changed, another release's bundle, or none."""
    tamper(attested)
    shown = attested.run(*VERIFY)
    assert (shown.code, shown.error["code"]) == (5, code)
    assert words in shown.error["message"]
    assert shown.data["profiles"][0]["problems"] == 1


def test_another_publisher_than_the_locked_one_is_named(attested: Lab) -> None:
    """The signature holds, and the lock says somebody else: both are in the sentence."""
    text = attested.lockfile.read_text(encoding="utf-8")
    assert PUBLISHER in text
    attested.lockfile.write_text(text.replace(PUBLISHER, "GitHub owner/name release.yml"), encoding="utf-8")
    shown = attested.run(*VERIFY)
    assert (shown.code, shown.error["code"]) == (5, "install.publisher")
    assert PUBLISHER in shown.error["message"]
    assert "GitHub owner/name release.yml" in shown.error["message"]


def test_an_index_that_does_not_answer_is_unavailable(attested: Lab) -> None:
    """Attestations that cannot be had are exit 8, neither good nor bad."""
    del attested.server.files["provenance"]
    shown = attested.run(*VERIFY)
    assert shown.code == 8
    assert shown.data["profiles"][0]["publishers"] == {}


def test_without_the_library_the_extra_is_named(attested: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 2 before anything is asked, with the command that installs it."""
    monkeypatch.setitem(sys.modules, "pypi_attestations", None)
    monkeypatch.delitem(sys.modules, "provisioner.engines.index.attestations")
    attested.server.requests.clear()
    shown = attested.run(*VERIFY)
    assert (shown.code, shown.error["code"]) == (2, "usage.no_attestations")
    assert "provision-arc[attestations]" in shown.error["hints"][0]
    assert not attested.server.requests


def test_a_workflow_of_github_is_a_publisher() -> None:
    """Both kinds of attestation of a release are checked; its name must be the release's."""
    sha256 = "9bb1add04b1b4e182be6b0b80931593f7a291eb49d69b4fd728a5d4cbcdc4bd3"
    name = "pypi_attestations-0.0.19.tar.gz"
    found = check_attestations(GITHUB.encode(), filename=name, sha256=sha256)
    assert found == "GitHub trailofbits/pypi-attestations release.yml"
    with pytest.raises(InstallError, match="subject does not match distribution name"):
        check_attestations(GITHUB.encode(), filename="other-0.0.19.tar.gz", sha256=sha256)
