"""Which conda package another's dependency allows, as rattler reads versions."""

import pytest

from provisioner.engines.conda.constraints import allows_conda
from tests.unit.lock.samples import conda_package


@pytest.mark.parametrize(
    ("constraint", "allowed"),
    [
        ("", True),
        ("*", True),
        (">=3.11,<3.12.0a0", True),
        (">=3.12,<3.13.0a0", False),
        ("3.11.*", True),
        ("3.10.*", False),
        (">=3.11 *_cpython", True),
        (">=3.11 *_pypy", False),
        ("><3", True),
    ],
)
def test_a_constraint_allows_versions_and_builds(constraint: str, allowed: bool) -> None:  # noqa: FBT001 # drawn by pytest
    """Versions by rattler's rules, builds by their pattern; what cannot be read holds nothing back."""
    package = conda_package("python", "3.11.15", subdir="linux-64", build="h0_0_cpython")
    assert allows_conda(package, constraint) is allowed
