"""Who needs whom among the packages of a lock."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from packaging.utils import canonicalize_name

from provisioner.resolve.model import CondaPackage, PipPackage, PlatformResolution

Key = tuple[str, str]
"""A package's kind, ``conda`` or ``pip``, and its name."""

_Node = TypeVar("_Node", str, Key)


def find_key(package: CondaPackage | PipPackage) -> Key:
    """Return what tells a package from all others of its platform."""
    return ("conda" if isinstance(package, CondaPackage) else "pip", package.name)


def find_needs(platform: PlatformResolution) -> dict[Key, tuple[Key, ...]]:
    """Return which locked packages each asks for; a wheel may stand on a conda package."""
    packages = list_packages(platform)
    return {
        key: tuple(
            found for name in package.dependencies if (found := _find(key[0], name, packages)) is not None
        )
        for key, package in packages.items()
    }


def find_missing(platform: PlatformResolution) -> dict[Key, tuple[str, ...]]:
    """Return what packages ask for and no locked package is: overrides, and extras of other systems.

    What the machine itself has to be (conda's ``__glibc``) is not missing.
    """
    packages = list_packages(platform)
    return {
        key: tuple(
            name
            for name in package.dependencies
            if not name.startswith("__") and _find(key[0], name, packages) is None
        )
        for key, package in packages.items()
    }


def list_packages(platform: PlatformResolution) -> dict[Key, CondaPackage | PipPackage]:
    """Return the packages of a platform, conda's first."""
    packages: tuple[CondaPackage | PipPackage, ...] = (*platform.conda, *platform.pip)
    return {find_key(package): package for package in packages}


def order_by_need(needs: Mapping[_Node, Iterable[_Node]]) -> list[_Node]:
    """Return the nodes, each behind what it needs.

    A cycle (which channels have: pip and python) is entered at the node that comes first.
    """
    ordered: dict[_Node, None] = {}
    entered: set[_Node] = set()
    for root in sorted(needs):
        stack = [(root, False)]
        while stack:
            node, left = stack.pop()
            if left:
                ordered.setdefault(node)
            elif node not in entered:
                entered.add(node)
                stack.append((node, True))
                stack += [(need, False) for need in sorted(needs[node], reverse=True) if need in needs]
    return list(ordered)


def _find(kind: str, name: str, packages: Mapping[Key, object]) -> Key | None:
    own = (kind, canonicalize_name(name) if kind == "pip" else name)
    return next((key for key in (own, ("conda", name)) if key in packages), None)
