"""A receipt is read exactly as it was written, or not at all."""

import json

import pytest

from provisioner.errors import InstallError
from provisioner.install.receipt import InstalledPackage, Receipt, format_receipt, parse_receipt

RECEIPT = Receipt(
    environment="demo",
    profile="demo",
    fingerprint="f" * 64,
    platform="linux-64",
    base="venv",
    python="3.11.7",
    prefix="/data/environments/demo/generations/1-ffffffff",
    created_at="2026-01-01T00:00:00+00:00",
    packages=(InstalledPackage(kind="wheel", name="a", version="1", filename="a-1.whl", sha256="0" * 64),),
    tools={"uv": "1"},
    env={"X": "{prefix}/x"},
    notices=("a notice",),
)


def test_a_receipt_survives_its_text() -> None:
    """Writing and reading is the identity."""
    assert parse_receipt(format_receipt(RECEIPT), where="r") == RECEIPT


def test_every_cut_of_a_receipt_is_refused() -> None:
    """A half-written receipt is no receipt, wherever it breaks off."""
    text = format_receipt(RECEIPT).rstrip()
    for end in range(0, len(text), 7):
        with pytest.raises(InstallError) as caught:
            parse_receipt(text[:end], where="r")
        assert caught.value.code == "install.receipt"


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "provision.receipt/2"},
        {"schema": None},
        {"packages": [{"name": "a"}]},
        {"packages": None},
        {"prefix": 3},
        {"notices": [1]},
        {"env": {"X": 1}},
        {"more": "fields"},
    ],
)
def test_wrong_content_is_refused(change: dict[str, object]) -> None:
    """A newer schema, missing, unknown and mistyped fields end in one clear error."""
    value = json.loads(format_receipt(RECEIPT)) | change
    with pytest.raises(InstallError) as caught:
        parse_receipt(json.dumps(value), where="/x/receipt.json")
    assert "/x/receipt.json" in caught.value.message


@pytest.mark.parametrize("text", ["", "[]", "null", "7", '"x"', "{}", "\x00", "[" * 100_000])
def test_what_is_no_object_is_refused(text: str) -> None:
    """Whatever lies there, the answer is an install error."""
    with pytest.raises(InstallError):
        parse_receipt(text, where="r")
