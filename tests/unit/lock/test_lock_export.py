"""Exports carry every locked file with an absolute address and its sha256."""

import json
import tomllib
from dataclasses import replace

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.pylock import Pylock
from packaging.requirements import Requirement

from provisioner.errors import LockError, UsageError
from provisioner.lock.assemble import make_lock
from provisioner.lock.export import Format, export_lock, sort_by_need
from provisioner.resolve.model import CondaPackage, PipPackage
from tests.unit.lock.samples import (
    CHANNEL,
    SOURCE,
    conda_package,
    tiny_lock,
    tiny_profile,
    tiny_resolution,
    wheel,
)

FILES = "https://files.example.org"


def absolute(package: PipPackage) -> str:
    """Return where the default index keeps a file."""
    return f"{FILES}/{package.filename}"


def exported(form: Format, platform: str = "linux-64") -> str:
    """Return the one file of the sample lock for a platform."""
    (text,) = export_lock(tiny_lock(), form, absolute=absolute, platforms=[platform]).values()
    return text


def test_requirements_pin_address_and_digest_and_leave_the_asset_out() -> None:
    """Each line is a requirement that pip installs with `--require-hashes`."""
    lines = [line for line in exported(Format.REQUIREMENTS).splitlines() if not line.startswith("#")]
    requirements = [line.split(" --hash=sha256:") for line in lines]
    assert [Requirement(line).name for line, _ in requirements] == ["numpy", "tabulate", "torch"]
    wheels = [package for package in tiny_lock().find_platform("linux-64").pip if not package.validation]
    sizes = [f"# {wheel.size} bytes" for wheel in wheels if wheel.size]
    assert [rest.partition("  ")[2] for _, rest in requirements if "  " in rest] == sizes
    assert [rest.partition(" ")[0] for _, rest in requirements] == [package.sha256 for package in wheels]
    assert Requirement(requirements[1][0]).url == f"{FILES}/tabulate-0.9.0-py3-none-any.whl"
    assert str(Requirement(requirements[2][0]).url).startswith(
        "https://download.pytorch.org/whl/cpu/torch-2.13.0%2B"
    )


def test_a_bill_of_materials_is_valid_and_names_every_file() -> None:
    """The strict validator of CycloneDX accepts it; each locked file has its digest and package URL."""
    text = exported(Format.SBOM)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    platform = tiny_lock().find_platform("linux-64")
    packages: tuple[CondaPackage | PipPackage, ...] = (*platform.conda, *platform.pip)
    found = {part["name"]: part for part in document["components"]}
    assert set(found) == {package.name for package in packages}
    for package in packages:
        part = found[package.name]
        assert part["hashes"] == [{"alg": "SHA-256", "content": package.sha256}]
        assert part["purl"].startswith("pkg:conda/" if isinstance(package, CondaPackage) else "pkg:pypi/")
    assets = {package.name for package in platform.pip if package.validation}
    assert {name for name, part in found.items() if part["scope"] == "optional"} == assets
    needs = {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}
    assert found["libuv"]["bom-ref"] in needs[found["python"]["bom-ref"]]
    assert "timestamp" not in document["metadata"]


def test_requirements_name_what_conda_brings() -> None:
    """The reader learns which conda packages the wheels stand on."""
    assert f"# conda: {CHANNEL}/linux-64/python-3.11.9-h0_0.conda#sha256:" in exported(Format.REQUIREMENTS)


def test_pylock_is_valid_and_for_one_platform() -> None:
    """The reference reader accepts the file and finds addresses, digests and the Python version."""
    document = tomllib.loads(exported(Format.PYLOCK, "win-64"))
    pylock = Pylock.from_dict(document)
    assert str(pylock.requires_python) == "==3.11.*"
    assert [str(marker) for marker in pylock.environments or []] == [
        'sys_platform == "win32" and platform_machine == "AMD64"'
    ]
    assert [package.name for package in pylock.packages] == ["numpy", "tabulate", "torch"]
    torch = document["packages"][2]
    assert torch["index"] == "https://download.pytorch.org/whl/cpu"
    assert torch["wheels"][0]["url"].endswith("torch-2.13.0%2Bcpu-cp311-cp311-win_amd64.whl")


def test_a_source_archive_is_an_sdist_in_pylock() -> None:
    """The format keeps wheels and source archives apart."""
    lock = tiny_lock()
    linux = lock.platforms[0]
    filename = "sgmllib3k-1.0.0.tar.gz"
    archive = replace(wheel("sgmllib3k", "1.0.0"), filename=filename, url=f"pypi:{filename}")
    lock = replace(lock, platforms=(replace(linux, pip=(archive,)),))
    (text,) = export_lock(lock, Format.PYLOCK, absolute=absolute).values()
    (package,) = Pylock.from_dict(tomllib.loads(text)).packages
    assert package.sdist is not None
    assert package.wheels is None


def test_explicit_lists_conda_files_in_the_order_of_need() -> None:
    """Conda links the list as it stands, so libuv comes before the python that needs it."""
    lines = exported(Format.EXPLICIT).splitlines()
    assert "@EXPLICIT" in lines
    urls = [line for line in lines if line.startswith("https://")]
    assert [url.rsplit("/", 1)[1].partition("-")[0] for url in urls] == ["libuv", "python"]
    assert all(len(url.partition("#sha256:")[2]) == 64 for url in urls)
    assert sum(line.startswith("# pip ") for line in lines) == 3


def test_explicit_has_nothing_of_a_lock_without_conda() -> None:
    """A venv's lock is refused with what to export instead."""
    lock = make_lock(tiny_profile(conda=()), tiny_resolution(conda=False), SOURCE)
    with pytest.raises(UsageError, match="no conda package"):
        export_lock(lock, Format.EXPLICIT, absolute=absolute)


def test_an_environment_pins_version_and_build_and_hands_hashes_to_pip() -> None:
    """Conda passes the pip section to pip as a requirements file."""
    document = yaml.safe_load(exported(Format.ENVIRONMENT))
    assert document["name"] == "tiny"
    assert document["channels"] == [CHANNEL, "nodefaults"]
    *conda, pip = document["dependencies"]
    assert conda == ["libuv=1.48.0=h0_0", "python=3.11.9=h0_0", "pip"]
    assert [len(line.partition(" --hash=sha256:")[2]) for line in pip["pip"]] == [64, 64, 64]


def test_an_environment_of_a_venv_lock_asks_for_its_python() -> None:
    """Conda brings the interpreter that the profile names."""
    lock = make_lock(tiny_profile(conda=()), tiny_resolution(conda=False), SOURCE)
    text = export_lock(lock, Format.ENVIRONMENT, absolute=absolute)["tiny.linux-64.environment.yml"]
    assert yaml.safe_load(text)["dependencies"][:2] == ["python=3.11", "pip"]


def test_the_conda_lock_export_has_absolute_addresses() -> None:
    """Other tools do not know `pypi:`; the asset stays, in its own optional category."""
    text = export_lock(tiny_lock(), Format.CONDA_LOCK, absolute=absolute)["tiny.conda-lock.yml"]
    document = yaml.safe_load(text)
    assert "custom_metadata" not in document["metadata"]
    assert all(entry["url"].startswith("https://") for entry in document["package"])
    assert {(entry["category"], entry["optional"]) for entry in document["package"]} == {
        ("main", False),
        ("validation", True),
    }


@pytest.mark.parametrize("form", list(Format))
def test_no_export_says_pypi_colon_and_each_is_repeatable(form: Format) -> None:
    """Every address is absolute, and the same lock gives the same files."""
    files = export_lock(tiny_lock(), form, absolute=absolute)
    assert files == export_lock(tiny_lock(), form, absolute=absolute)
    assert "pypi:" not in json.dumps(dict(files))
    assert len(files) == (1 if form is Format.CONDA_LOCK else 2)


def test_a_platform_that_is_not_locked_cannot_be_exported() -> None:
    """The error is that of the lock."""
    with pytest.raises(LockError):
        export_lock(tiny_lock(), Format.PYLOCK, absolute=absolute, platforms=["osx-arm64"])


def test_the_name_of_a_pylock_has_two_dots_whatever_the_profile_is_called() -> None:
    """PEP 751 readers look for `pylock.*.toml` without further dots."""
    names = list(export_lock(replace(tiny_lock(), profile="a.b"), Format.PYLOCK, absolute=absolute))
    assert names == ["pylock.a-b-linux-64.toml", "pylock.a-b-win-64.toml"]


def test_packages_that_need_each_other_are_ordered_all_the_same() -> None:
    """Channels have cycles: each package appears once, and what is outside the cycle comes first."""

    def needs(name: str, *others: str) -> CondaPackage:
        package = conda_package(name, "1.0", subdir="noarch")
        return replace(package, dependencies=dict.fromkeys(others, ""))

    packages = [
        needs("pip", "python"),
        needs("python", "pip", "zlib", "__glibc"),
        needs("zlib"),
        needs("app", "pip"),
    ]
    names = [package.name for package in sort_by_need(packages)]
    assert sorted(names) == ["app", "pip", "python", "zlib"]
    assert names.index("zlib") < names.index("python")
    assert names.index("pip") < names.index("app")
