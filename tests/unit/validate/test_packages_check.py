"""What is installed is judged against the lock."""

from pathlib import Path
from typing import Any

import pytest

from provisioner.profile.model import TorchVariant
from provisioner.validate.checks.device import check_kernels
from provisioner.validate.checks.packages import check_packages
from provisioner.validate.model import ValidationRequest

INSTALLED = {"torch": "2.13.0+cpu", "transformers": "4.37.0", "ipex-llm": "2.2.0"}
CLEAN: dict[str, Any] = {
    "installed": INSTALLED,
    "elsewhere": {},
    "damaged_count": 0,
    "damaged": [],
    "startup": [],
    "added_count": 0,
    "added": [],
}


def request(**options: Any) -> ValidationRequest:
    values: dict[str, Any] = {
        "interpreter": Path("/e/bin/python"),
        "prefix": Path("/e"),
        "device": "cpu",
        "family": "llama3",
        "precision": "sym_int8",
        "torch_variant": TorchVariant.CPU,
        "locked": INSTALLED,
    }
    return ValidationRequest(**(values | options))


def test_what_is_locked_passes() -> None:
    """The same versions and whole files: nothing to say."""
    assert check_packages(CLEAN, request(transformers="==4.37.0")) is None


@pytest.mark.parametrize(
    ("installed", "options", "code", "said"),
    [
        ({"torch": "2.13.0"}, {}, "torch_variant", "`torch 2.13.0`"),
        ({"torch": "2.13.0+xpu"}, {}, "torch_variant", "torch variant `cpu`"),
        ({"ipex-llm": "2.1.0"}, {}, "package_mismatch", "`ipex-llm` is `2.1.0`, locked `2.2.0`"),
        ({"torch": "2.12.0+cpu"}, {}, "package_mismatch", "locked `2.13.0+cpu`"),
        (
            {"intel-extension-for-pytorch": "2.8.10+xpu"},
            {},
            "forbidden_package",
            "IPEX 2.8.10+xpu",
        ),
        ({}, {"transformers": ">=4.43,<4.44"}, "transformers_version", "`>=4.43,<4.44`"),
    ],
)
def test_another_package_fails(
    installed: dict[str, str], options: dict[str, Any], code: str, said: str
) -> None:
    """Each way of being another environment has a reason that names the package."""
    finding = check_packages(CLEAN | {"installed": INSTALLED | installed}, request(**options))
    assert finding is not None
    assert finding.code == code
    assert said in finding.message


def test_a_missing_package_is_named() -> None:
    """A locked package that is not there."""
    finding = check_packages(CLEAN | {"installed": {"torch": "2.13.0+cpu"}}, request())
    assert finding is not None
    assert "`ipex-llm` is missing" in finding.message


def test_versions_are_compared_as_versions() -> None:
    """`2.2` and `2.2.0` are one version."""
    assert check_packages(CLEAN, request(locked=INSTALLED | {"ipex-llm": "2.2"})) is None


def test_a_fused_operator_without_an_xpu_kernel_fails() -> None:
    """The dispatch table is judged before the model reaches it."""
    measured = {
        "copy_equal": True,
        "matmul": {},
        "dispatch": {"torch_ipex::mul_add": {"CPU": True, "XPU": False}},
    }
    finding = check_kernels(measured, request(device="xpu"))
    assert finding is not None
    assert finding.code == "cpu_fallback"
    assert "`torch_ipex::mul_add`" in finding.message
    assert check_kernels(measured, request()) is None
