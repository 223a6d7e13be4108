"""What was converted on torch is judged by layer, by matrix and at every length."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.validate.checks import CHECKS
from provisioner.validate.model import ValidationRequest

GOOD = {
    "finite": True,
    "largest": 9.0,
    "spread": 2.0,
    "relative_difference": 0.03,
    "cosine": 0.99,
    "same_top": True,
}
ROUNDING = {"matrices": 210, "smallest": 0.092, "largest": 0.102, "largest_of": "o_proj"}


@pytest.fixture
def request_nf4(tmp_path: Path) -> ValidationRequest:
    """What `llama3-torch-cpu` asks for."""
    return ValidationRequest(
        interpreter=tmp_path / "python",
        prefix=tmp_path,
        device="cpu",
        family="llama3",
        precision="nf4",
        backend="transformers",
        weights_dir=tmp_path,
    )


def code(stage: str, measured: dict[str, Any], request: ValidationRequest) -> str | None:
    finding = CHECKS[stage](measured, request)
    return None if finding is None else finding.code


def test_layers_that_were_left_are_named(request_nf4: ValidationRequest) -> None:
    """Torchao skips a layer whose width its groups do not divide with a line in a log."""
    assert code("conversion", {"left": [], "rounding": ROUNDING}, request_nf4) is None
    assert code("conversion", {"left": ["mlp.up"], "rounding": ROUNDING}, request_nf4) == "not_converted"
    none = ROUNDING | {"matrices": 0, "smallest": 0.0, "largest": 0.0}
    assert code("conversion", {"left": [], "rounding": none}, request_nf4) == "not_converted"


def test_each_precision_rounds_by_its_own_share(request_nf4: ValidationRequest) -> None:
    """What is right for 4 bits is damage for 8."""
    eight = replace(request_nf4, precision="int8")
    assert code("conversion", {"left": [], "rounding": ROUNDING}, eight) == "wrong_weights"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, None),
        ({"relative_difference": 0.28, "cosine": 0.96}, "wrong_at_length"),  # no rotary embedding: 0.35
        ({"relative_difference": None, "cosine": None}, "wrong_at_length"),
    ],
)
def test_one_wrong_length_fails(
    request_nf4: ValidationRequest, entry: dict[str, Any], expected: str | None
) -> None:
    """The prompt itself may be right: a kernel of another length is another kernel."""
    lengths = [GOOD | {"length": 17}, GOOD | {"length": 33} | entry]
    assert code("comparison", GOOD | {"lengths": lengths}, request_nf4) == expected


def test_nan_at_one_length_is_told_from_nan_everywhere(request_nf4: ValidationRequest) -> None:
    """Its code is its own, and the sentence names the length."""
    place = {"tensors_elsewhere_count": 0, "output_device": "cpu", "asked_device": "cpu"}
    lengths = [GOOD | {"length": 17}, GOOD | {"length": 33, "finite": False}]
    finding = CHECKS["forward"](GOOD | place | {"lengths": lengths}, request_nf4)
    assert finding is not None
    assert (finding.code, "of 33 tokens" in finding.message) == ("wrong_at_length", True)
    assert (
        code("forward", GOOD | place | {"finite": False, "lengths": lengths}, request_nf4) == "wrong_result"
    )


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"argmax": 0.0, "topk": 0.0}, None),
        ({"argmax": 0.25, "topk": 0.0}, "wrong_choice"),
        ({"argmax": 0.0, "topk": None}, "wrong_choice"),  # a token twice, or one that the vocabulary lacks
    ],
)
def test_a_device_that_takes_the_wrong_token_fails(
    request_nf4: ValidationRequest, choices: dict[str, Any], expected: str | None
) -> None:
    """The logits are right and what is generated is not; a NaN comes first, of which nothing is likeliest."""
    place = {"tensors_elsewhere_count": 0, "output_device": "cpu", "asked_device": "cpu"}
    entry = GOOD | {"length": 17, "choices": choices}
    assert code("forward", GOOD | place | {"lengths": [entry]}, request_nf4) == expected
    entry |= {"finite": False}
    assert code("forward", GOOD | place | {"lengths": [entry]}, request_nf4) == "wrong_at_length"
