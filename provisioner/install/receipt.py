"""What was built, written last: only a folder with a receipt is a complete environment."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from provisioner.errors import InstallError

SCHEMA = "provision.receipt/1"
RECEIPT_NAME = "provision-receipt.json"
REPORT_NAME = "provision-report.json"
OTHER_REPORT_NAME = "provision-report-other.json"
"""The last validation on a device that the profile is not for: it proves less, and is kept beside."""
INVENTORY_NAME = "provision-inventory.json"
SNAPSHOT_NAME = "provision-snapshot.json"
RECORD_NAME = "provision-record"
"""Folder with copies of the profile's files in ``envs`` and of the lockfile in ``lockfiles``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstalledPackage:
    """One package; ``kind`` is ``conda``, ``wheel`` or ``asset`` (fetched, not installed)."""

    kind: str
    name: str
    version: str
    filename: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """One built environment.

    Attributes:
        environment: Its name.
        profile: Name of the profile.
        fingerprint: The plan's; an environment with another one is out of date.
        platform: ``linux-64`` or ``win-64``.
        base: ``conda`` or ``venv``.
        python: Full version of its interpreter.
        prefix: Folder that it was built in. It works nowhere else.
        created_at: ISO time in UTC.
        packages: What was installed and fetched, by kind and name.
        tools: Name to version of what built it.
        env: Environment variables; ``{prefix}`` stands for the folder.
        notices: What the user should know about packages.
        source: Path of the user's profile; empty where it came with provision, or an older version built.
    """

    environment: str
    profile: str
    fingerprint: str
    platform: str
    base: str
    python: str
    prefix: str
    created_at: str
    packages: tuple[InstalledPackage, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    source: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the receipt as a JSON value."""
        return {"schema": SCHEMA} | asdict(self)


def format_receipt(receipt: Receipt) -> str:
    """Return the receipt's text."""
    return json.dumps(receipt.as_json(), indent=1, sort_keys=True) + "\n"


def parse_receipt(text: str, *, where: str) -> Receipt:
    """Read a receipt's text.

    Args:
        text: The file's content.
        where: Path of the file, for the message.

    Raises:
        InstallError: ``install.receipt``: it is damaged or was written by a newer version.
    """
    try:
        value = json.loads(text)
        schema = value.pop("schema")
        if schema != SCHEMA:
            raise _damaged(where, f"its schema is `{schema}`, not `{SCHEMA}`: a newer version wrote it")
        packages = tuple(InstalledPackage(**package) for package in value.pop("packages"))
        receipt = Receipt(**value | {"notices": tuple(value["notices"])}, packages=packages)
        _check_types(receipt)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _damaged(where, f"it cannot be read: {error}") from error
    return receipt


def _check_types(receipt: Receipt) -> None:
    texts = [
        *(receipt.environment, receipt.profile, receipt.fingerprint, receipt.platform, receipt.base),
        *(receipt.python, receipt.prefix, receipt.created_at, receipt.source, *receipt.notices),
        *(text for pair in (*receipt.tools.items(), *receipt.env.items()) for text in pair),
        *(text for package in receipt.packages for text in asdict(package).values()),
    ]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a value is not text")


def _damaged(where: str, why: str) -> InstallError:
    return InstallError(
        "install.receipt",
        f"the receipt `{where}` cannot be used: {why}",
        hints=["run `provision create PROFILE --name NAME` to build the environment anew"],
        context={"path": where},
    )
