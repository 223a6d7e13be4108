"""Read who published a file: the identities of its attestations, as an index shows them (PEP 740).

They are what the index says, which has checked the signatures when the file was uploaded. Nothing is checked
here: the identity is written down, so that another one in the next lock is seen.
"""

import json
from collections.abc import Mapping
from typing import Any

from provisioner.lock.rules import check_publisher

PROVENANCE_TYPE = "application/vnd.pypi.integrity.v1+json"
# What names a publisher, of all kinds that there are: GitHub, GitLab, Google, ActiveState, CircleCI.
_PARTS = (
    *("kind", "repository", "email", "organization", "project", "vcs_origin"),
    *("workflow", "workflow_filepath"),
)


def find_publisher(body: bytes) -> str | None:
    """Return the publishers of a provenance document, ``GitHub owner/name release.yml``; None for none."""
    try:
        bundles = json.loads(body)["attestation_bundles"]
        found = {_describe(bundle["publisher"]) for bundle in bundles if bundle["attestations"]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    text = ", ".join(sorted(found))
    return text if text and check_publisher(text) is None else None


def _describe(publisher: Mapping[str, Any]) -> str:
    parts = (publisher.get(part) for part in _PARTS)
    return " ".join(part for part in parts if isinstance(part, str))
