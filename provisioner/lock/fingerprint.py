"""Which fields of a profile decide a platform's packages, and a digest over them.

The list is explicit: what it does not name (descriptions, comments, the order of keys, environment variables,
tolerances, reasons of overrides) changes no package and makes no lockfile stale.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from packaging.utils import canonicalize_name

from provisioner.ground.names import channel_address
from provisioner.profile.model import Platform, Profile
from provisioner.profile.rules import check_conda_spec, check_requirement

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
# What a field's JSON is, where it is no list of texts, and what each of its texts must be.
_TYPES = {"python": str, "torch": str, "transformers": str, "as_of": str, "asset": str, "routes": dict}
_CHECKS = {"conda": check_conda_spec, "pip": check_requirement, "sdists": check_requirement}


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


def check_input(key: str, value: str) -> str | None:
    """Say why ``value`` is not what a profile can have said of ``<platform> <field>``."""
    field = key.partition(" ")[2]
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        return f"`input {key}` is not JSON"
    if field not in FIELDS:  # of a later version: nobody reads it
        return None
    texts = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    if type(content) is not _TYPES.get(field, list) or not all(isinstance(text, str) for text in texts):
        return f"`input {key}` is not what a profile says there"
    check = _CHECKS.get(field)
    return next((f"`input {key}`: {reason}" for text in texts if check and (reason := check(text))), None)


def read_input(inputs: Mapping[str, str], platform: str, field: str) -> Any:
    """Return what the profile said of a field when it was locked; None where it said nothing."""
    value = inputs.get(f"{platform} {field}")
    return None if value is None else json.loads(value)


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
