"""Rules that judge what the probe measured: numbers in, a finding or nothing out."""

from collections.abc import Callable, Mapping

from provisioner.validate.checks.device import check_device, check_imports, check_kernels
from provisioner.validate.checks.finding import Finding
from provisioner.validate.checks.forward import (
    check_comparison,
    check_conversion,
    check_forward,
    check_generation,
    check_reference,
    check_weights,
    check_width,
)
from provisioner.validate.checks.packages import check_packages
from provisioner.validate.model import JSON, ValidationRequest

Check = Callable[[Mapping[str, JSON], ValidationRequest], Finding | None]

CHECKS: Mapping[str, Check] = {
    "packages": check_packages,
    "imports": check_imports,
    "device": check_device,
    "kernels": check_kernels,
    "weights": check_weights,
    "reference": check_reference,
    "conversion": check_conversion,
    "forward": check_forward,
    "comparison": check_comparison,
    "generation": check_generation,
    "width": check_width,
}
"""The rule of every stage that the probe measures; a stage without one is reported and never judged."""
