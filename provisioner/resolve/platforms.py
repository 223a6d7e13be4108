"""What a target platform is, as data: the same answer on every host."""

from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One platform that profiles can be resolved for.

    Attributes:
        name: Conda subdir.
        uv_platform: uv's word for it.
        wheel_platforms: Platform tags of wheels, best first.
        markers: Values of the environment markers, without the Python version's.
        virtual_packages: Conda virtual packages (name, version) assumed on every machine.
    """

    name: str
    uv_platform: str
    wheel_platforms: tuple[str, ...]
    markers: Mapping[str, str]
    virtual_packages: tuple[tuple[str, str], ...]


# glibc 2.28 (RHEL 8, Debian 10) is the floor of PyTorch's own Linux wheels since 2.7.
_GLIBC_MINOR = 28
_LEGACY_MANYLINUX = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


def _linux_wheel_platforms() -> tuple[str, ...]:
    tags = []
    for minor in range(_GLIBC_MINOR, 4, -1):
        tags.append(f"manylinux_2_{minor}_x86_64")
        if minor in _LEGACY_MANYLINUX:
            tags.append(f"{_LEGACY_MANYLINUX[minor]}_x86_64")
    return (*tags, "linux_x86_64")


TARGETS: Mapping[str, Target] = {
    "linux-64": Target(
        name="linux-64",
        uv_platform=f"x86_64-manylinux_2_{_GLIBC_MINOR}",
        wheel_platforms=_linux_wheel_platforms(),
        markers={
            "os_name": "posix",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "platform_machine": "x86_64",
            "platform_release": "",
            "platform_version": "",
        },
        virtual_packages=(
            ("__unix", "0"),
            ("__linux", "5.10"),
            ("__glibc", f"2.{_GLIBC_MINOR}"),
            ("__archspec", "1"),
        ),
    ),
    "win-64": Target(
        name="win-64",
        uv_platform="x86_64-pc-windows-msvc",
        wheel_platforms=("win_amd64",),
        markers={
            "os_name": "nt",
            "sys_platform": "win32",
            "platform_system": "Windows",
            "platform_machine": "AMD64",
            "platform_release": "",
            "platform_version": "",
        },
        virtual_packages=(("__win", "10.0"), ("__archspec", "1")),
    ),
}


def find_target(platform: str) -> Target:
    """Return the target of that name.

    Raises:
        UsageError: There is none.
    """
    if platform not in TARGETS:
        raise UsageError(
            "usage.platform",
            f"platform `{platform}` is not known",
            hints=[f"use one of {', '.join(f'`{name}`' for name in TARGETS)}"],
        )
    return TARGETS[platform]


def marker_environment(target: Target, python: str, *, extra: str = "") -> dict[str, str]:
    """Return the environment that markers are judged in; ``python`` is ``major.minor``."""
    return {
        **target.markers,
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "platform_python_implementation": "CPython",
        "extra": extra,
    }
