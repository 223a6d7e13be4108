"""Which fields of a profile decide a platform's packages, and a digest over them.

The list is explicit: what it does not name (descriptions, comments, the order of keys, environment variables,
tolerances, reasons of overrides) changes no package and makes no lockfile stale.
"""

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from packaging.utils import canonicalize_name

from provisioner.profile.model import Platform, Profile
from provisioner.resolve.request import channel_address

# Raised when a field is dropped or written in another way: older lockfiles then say so. A new field that is
# empty in most profiles needs no new version, since empty fields are left out.
FINGERPRINT_VERSION = 1

# A field's name in a lockfile to its key in a profile, in the order of a person's questions.
FIELDS = {
    "python": "python",
    "torch": "torch",
    "transformers": "transformers",
    "as_of": "as_of",
    "asset": "validation.asset",
    "channels": "conda.channels",
    "conda": "conda.packages",
    "pip": "pip.packages",
    "routes": "pip.routes",
    "prereleases": "pip.prereleases",
    "overrides": "pip.overrides",
    "yanked": "pip.yanked",
    "sdists": "pip.sdists",
}


def fingerprint_inputs(profile: Profile) -> Mapping[str, str]:
    """Return what decides the packages: ``<platform> <field>`` to canonical JSON, without empty fields."""
    return {
        # One item a line: a changed pin is one line of a lockfile's diff. ASCII: the same bytes everywhere.
        f"{platform.name} {field}": json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True)
        for platform in profile.platforms
        for field, value in _read_fields(profile, platform).items()
        if value
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


def _read_fields(profile: Profile, platform: Platform) -> dict[str, Any]:
    """Return all fields; the order of requirements and spaces in them have no meaning."""
    written = platform.by_key()
    addresses = {index.name: index.url for index in profile.indexes}
    return {
        **{
            field: sorted({" ".join(str(item).split()) for item in written[key]})
            for field, key in FIELDS.items()
            if key in written
        },
        "python": profile.python,
        "torch": profile.torch.value,
        "transformers": profile.transformers,
        "as_of": profile.as_of,
        "asset": profile.validation.asset,
        "channels": [channel_address(channel) for channel in platform.channels] if platform.conda else [],
        "routes": {
            canonicalize_name(package): addresses.get(index, index).rstrip("/")
            for package, index in platform.routes.items()
        },
    }
