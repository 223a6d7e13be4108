"""What an environment was built of, to the file: the digests of the lists that its packages brought.

Every wheel has a RECORD and every conda package a file in ``conda-meta``, which name its files with their
digests. Whoever changes a file and its line in such a list changes the list, so the lists' digests are kept
as they were when the environment was built.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from provisioner.errors import InstallError

SCHEMA = "provision.manifest/1"
MANIFEST_NAME = "provision-manifest.json"
BYTECODE_NAME = "provision-bytecode.csv"
"""The compiled modules that a build put beside their sources: a list like RECORD."""
_LISTS = (
    "lib/python3*/site-packages/*.dist-info/RECORD",
    "Lib/site-packages/*.dist-info/RECORD",
    "conda-meta/*.json",
    BYTECODE_NAME,
)


def make_manifest(prefix: Path) -> dict[str, str]:
    """Return the digest of every list of files in an environment, by its path in there.

    Digests are written as RECORD writes them: ``sha256=`` and URL-safe base64 without padding (PEP 427).
    """
    return {name: _digest(prefix / name) for name in find_lists(prefix)}


def find_lists(prefix: Path) -> tuple[str, ...]:
    """Return the paths of all lists of files in an environment."""
    return tuple(
        sorted(path.relative_to(prefix).as_posix() for pattern in _LISTS for path in prefix.glob(pattern))
    )


def format_manifest(manifest: Mapping[str, str]) -> str:
    """Return the manifest's text."""
    return json.dumps({"schema": SCHEMA, "lists": dict(manifest)}, indent=1) + "\n"


def load_manifest(prefix: Path) -> Mapping[str, str] | None:
    """Return an environment's manifest; None where it was built before there were any.

    Raises:
        InstallError: ``install.manifest``: it cannot be read.
    """
    path = prefix / MANIFEST_NAME
    try:
        value = json.loads(path.read_bytes())
        if value["schema"] == SCHEMA:
            return {str(name): str(digest) for name, digest in value["lists"].items()}
        why = f"its schema is `{value['schema']}`, not `{SCHEMA}`"
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        why = str(error)
    raise InstallError(
        "install.manifest",
        f"the list of what was installed, `{path}`, cannot be read: {why}",
        hints=["run `provision repair` to put back what its lock says"],
        context={"path": str(path)},
    )


def _digest(path: Path) -> str:
    value = hashlib.sha256(path.read_bytes()).digest()
    return "sha256=" + base64.urlsafe_b64encode(value).rstrip(b"=").decode()
