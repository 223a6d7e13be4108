"""A plan says exactly what the lock says for this machine, and refuses everything else."""

from dataclasses import replace

import pytest

from provisioner.errors import LockError, UsageError
from provisioner.install.plan import plan_install
from provisioner.lock.model import Lock, LockedPlatform
from provisioner.resolve.model import CondaPackage, PipPackage

WHEEL = PipPackage(
    name="demo",
    version="1.0",
    filename="demo-1.0-py3-none-any.whl",
    url="pypi:x",
    index="pypi",
    sha256="a" * 64,
)
ASSET = replace(WHEEL, name="weights", validation=True)
CONDA = CondaPackage(
    name="python",
    version="3.11.9",
    build="0",
    subdir="linux-64",
    url="https://c/x",
    sha256="b" * 64,
    md5="c" * 32,
)


def lock(**platforms: LockedPlatform) -> Lock:
    return Lock(profile="demo", source="x.yaml", platforms=tuple(platforms.values()))


def part(platform: str = "linux-64", **fields: object) -> LockedPlatform:
    values = {"platform": platform, "fingerprint": "f", "pip": (WHEEL, ASSET)} | fields
    return LockedPlatform(**values)  # type: ignore[arg-type] # passed on


def test_assets_are_fetched_and_not_installed() -> None:
    """A validation asset is among the files and not among the wheels."""
    plan = plan_install(lock(a=part()), platform="linux-64", python="3.11")
    assert plan.wheels == (WHEEL,)
    assert plan.assets == (ASSET,)
    assert plan.files == (WHEEL, ASSET)


def test_the_base_follows_from_conda_packages() -> None:
    """A lock with conda packages makes a conda prefix; one without makes a venv."""
    assert plan_install(lock(a=part()), platform="linux-64", python="3.11").base == "venv"
    assert plan_install(lock(a=part(conda=(CONDA,))), platform="linux-64", python="3.11").base == "conda"


def test_another_platform_is_refused() -> None:
    """A lock for Windows alone builds nothing on Linux, and says what to do."""
    with pytest.raises(LockError, match=r"`win-64`.*`linux-64`") as caught:
        plan_install(lock(a=part("win-64")), platform="linux-64", python="3.11")
    assert caught.value.code == "lock.platform"
    assert caught.value.exit_code == 4
    assert caught.value.hints


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "", "con", "x" * 200, "-rf", "a\nb", "C:"])
def test_a_name_is_one_safe_component(name: str) -> None:
    """No name can become a path elsewhere."""
    with pytest.raises(UsageError):
        plan_install(lock(a=part()), platform="linux-64", python="3.11", environment=name or "..")


def test_the_fingerprint_tells_what_is_built() -> None:
    """Equal content gives an equal fingerprint; names do not count; everything installed does."""

    def fingerprint(platform: LockedPlatform, **options: object) -> str:
        arguments = {"platform": "linux-64", "python": "3.11"} | options
        return plan_install(lock(a=platform), **arguments).fingerprint  # type: ignore[arg-type] # passed on

    same = fingerprint(part())
    assert fingerprint(part(fingerprint="another"), environment="other") == same
    others = [
        fingerprint(part(pip=(replace(WHEEL, sha256="d" * 64), ASSET))),
        fingerprint(part(pip=(WHEEL,))),
        fingerprint(part(conda=(CONDA,))),
        fingerprint(part(), env={"X": "1"}),
        fingerprint(part(), python="3.12"),
    ]
    assert len({same, *others}) == 6
