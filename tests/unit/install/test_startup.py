"""Code at every start is allowed by package, with a reason, or refused with the line that would allow it."""

import pytest

from provisioner.errors import ErrorList, InstallError
from provisioner.install.startup import check_startup
from tests.conda_channel import index_json, lock_conda
from tests.installing import make_plan
from tests.wheels import lock_wheel, make_wheel

ONE, TWO = (lock_wheel(*make_wheel(name)) for name in ("one", "Two-Words"))
CONDA = lock_conda(index_json("Some_Thing", "1.0"), b"x", channel="https://c")


def test_nothing_is_said_of_packages_without_such_code() -> None:
    """The map may lack them, or have an empty list."""
    assert check_startup(make_plan([ONE, TWO]), {ONE.sha256: ()}) == ()


@pytest.mark.parametrize(("package", "name"), [(ONE, "one"), (TWO, "two-words"), (CONDA, "some-thing")])
def test_a_reason_makes_a_notice(package: object, name: str) -> None:
    """Names are compared as package indexes do, for conda packages, too."""
    plan = make_plan(
        [package] if package is not CONDA else [],  # type: ignore[list-item] # one of the two kinds
        [CONDA] if package is CONDA else [],
        startup={name: "because"},
    )
    digest = package.sha256  # type: ignore[attr-defined] # both kinds have one
    (notice,) = check_startup(plan, {digest: ["x.pth"]})
    assert "`x.pth`" in notice
    assert notice.endswith("because")


def test_every_package_without_a_reason_is_named() -> None:
    """One error a package, with the file and the line for the profile."""
    with pytest.raises(ErrorList) as caught:
        check_startup(make_plan([ONE, TWO]), {ONE.sha256: ["a.pth"] * 9, TWO.sha256: ["b\n.pth"]})
    first, second = caught.value.errors
    assert (first.code, first.exit_code) == ("install.startup", 5)
    assert "and 6 more" in first.message
    assert "b\\n.pth" in second.message
    assert any("startup: {one: why}" in hint for hint in first.hints)


def test_a_validation_asset_is_not_installed() -> None:
    """What lies in the store only runs nowhere."""
    asset = lock_wheel(*make_wheel("weights"), validation=True)
    assert check_startup(make_plan([asset]), {asset.sha256: ["x.pth"]}) == ()
    with pytest.raises(InstallError):
        check_startup(make_plan([ONE]), {ONE.sha256: ["x.pth"]})
