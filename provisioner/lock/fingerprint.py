"""Which fields of a profile decide a platform's packages, and a digest over them.

The list is explicit: what it does not name (descriptions, comments, the order of keys, environment variables,
tolerances, reasons of overrides) changes no package and makes no lockfile stale.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from packaging.utils import canonicalize_name

from provisioner.profile.model import Decision, Platform, Profile
from provisioner.resolve.request import channel_address

# Raised when a field is dropped or written in another way: older lockfiles then say so. A new field that is
# empty in most profiles needs no new version, since empty fields are left out.
FINGERPRINT_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field of the list; exactly one of ``value``, ``items`` and ``table`` reads it.

    Attributes:
        name: Its name in a lockfile.
        key: Its key in a profile; that of ``items`` and ``table`` follows a platform in ``Profile.origins``.
        value: Reads a single value, the same for all platforms.
        items: Reads a list.
        table: Reads a mapping.
        ordered: Whether the order of ``items`` has a meaning.
    """

    name: str
    key: str
    value: Callable[[Profile], str | None] | None = None
    items: Callable[[Platform], tuple[str, ...]] | None = None
    table: Callable[[Profile, Platform], Mapping[str, str]] | None = None
    ordered: bool = False

    def read(self, profile: Profile, platform: Platform) -> Any:
        """Return the canonical value: text, list, mapping, or something empty."""
        if self.value is not None:
            return self.value(profile)
        if self.table is not None:
            return self.table(profile, platform)
        found = [" ".join(item.split()) for item in self.items(platform)] if self.items else []
        return found if self.ordered else sorted(set(found))


def fingerprint_inputs(profile: Profile) -> Mapping[str, str]:
    """Return what decides the packages: ``<platform> <field>`` to canonical JSON.

    Empty fields are left out.
    """
    return {
        f"{platform.name} {field.name}": _canonical_json(value)
        for platform in profile.platforms
        for field in FIELDS
        if (value := field.read(profile, platform))
    }


def fingerprint(profile: Profile, platform: str) -> str:
    """Return the platform's fingerprint, a lower-case sha256."""
    return fingerprint_of_inputs(fingerprint_inputs(profile), platform)


def fingerprint_of_inputs(inputs: Mapping[str, str], platform: str) -> str:
    """Return the fingerprint that these inputs give the platform."""
    digest = sha256(f"fingerprint {FINGERPRINT_VERSION}\n".encode())
    for key in sorted(inputs):
        name, _, field = key.partition(" ")
        if name == platform:
            digest.update(f"{field}={inputs[key]}\n".encode())
    return digest.hexdigest()


def sdists_of_inputs(inputs: Mapping[str, str], platform: str) -> frozenset[str]:
    """Return the normalised names that the profile lets be built from source on a platform."""
    try:
        names = json.loads(inputs.get(f"{platform} sdists", "[]"))
    except (ValueError, RecursionError):
        return frozenset()
    listed = names if isinstance(names, list) else []
    return frozenset(
        canonicalize_name(re.split(r"[^A-Za-z0-9._-]", str(name), maxsplit=1)[0]) for name in listed
    )


def _canonical_json(value: Any) -> str:
    # One item a line: a changed pin is one line of a lockfile's diff. ASCII: the same bytes on every machine.
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True)


def _routes(profile: Profile, platform: Platform) -> dict[str, str]:
    addresses = {index.name: index.url for index in profile.indexes}
    return {
        canonicalize_name(package): addresses.get(index, index).rstrip("/")
        for package, index in platform.routes.items()
    }


def _channels(platform: Platform) -> tuple[str, ...]:
    return tuple(channel_address(channel) for channel in platform.channels) if platform.conda else ()


def _requirements(decisions: tuple[Decision, ...]) -> tuple[str, ...]:
    return tuple(decision.requirement for decision in decisions)


# In the order of a person's questions; the digest does not depend on it.
FIELDS: tuple[Field, ...] = (
    Field(name="python", key="python", value=lambda profile: profile.python),
    Field(name="torch", key="torch", value=lambda profile: profile.torch.value),
    Field(name="transformers", key="transformers", value=lambda profile: profile.transformers),
    Field(name="as_of", key="as_of", value=lambda profile: profile.as_of),
    Field(name="asset", key="validation.asset", value=lambda profile: profile.validation.asset),
    Field(name="channels", key="conda.channels", items=_channels, ordered=True),
    Field(name="conda", key="conda.packages", items=lambda platform: platform.conda),
    Field(name="pip", key="pip.packages", items=lambda platform: platform.pip),
    Field(name="routes", key="pip.routes", table=_routes),
    Field(name="prereleases", key="pip.prereleases", items=lambda platform: platform.prereleases),
    Field(name="overrides", key="pip.overrides", items=lambda platform: _requirements(platform.overrides)),
    Field(name="yanked", key="pip.yanked", items=lambda platform: _requirements(platform.yanked)),
    Field(name="sdists", key="pip.sdists", items=lambda platform: _requirements(platform.sdists)),
)
