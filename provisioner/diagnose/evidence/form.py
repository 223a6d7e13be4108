"""The document that `provision report` writes for sharing (``provision.evidence/1``), read as hostile.

No free text goes into it: every text is a version, a name of a product or a word of ours, and ``EVIDENCE``
says how it may look. So no path, user, host, address or serial number fits in.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioner.diagnose.machine.gpus import find_gpu
from provisioner.ground.names import PLATFORMS, check_profile_name
from provisioner.ground.yaml_fields import Flag, ListOf, MapOf, Number, Record, Text, check_node
from provisioner.ground.yaml_reader import read_yaml
from provisioner.ground.yaml_tree import Origin, Table, plain, raise_problems
from provisioner.profile.schema import DIALECT, schema_of
from provisioner.validate.model import Status, Verdict
from provisioner.validate.stages import STAGES

SCHEMA = "provision.evidence/1"
MAX_BYTES = 64 * 1024

WORD = r"[a-z0-9][a-z0-9_.-]{0,63}"
VERSION = r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,39}"
LABEL = r"[A-Za-z0-9][A-Za-z0-9 ().,+/-]{0,79}"
KERNEL = r"[0-9]+(?:\.[0-9]+){0,3}(?:-[0-9]+)?"
# A UUID, a MAC address, an IPv4 address, a path: a product's name holds none.
_PRIVATE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-|(?:[0-9a-f]{2}-){5}|\s/|\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b", re.IGNORECASE
)


def check_label(text: str) -> str | None:
    """Say why ``text`` cannot be a product's name."""
    return "this looks like an address or a serial number" if _PRIVATE.search(text) else None


_VERSION_TEXT = Text(pattern=VERSION, expected="a version")
_LABEL_TEXT = Text(pattern=LABEL, expected="a product's name", check=check_label)
_WORD_TEXT = Text(pattern=WORD, expected="a word of small letters")
_HEX_TEXT = Text(pattern=r"[0-9a-f]{4}", expected="four hexadecimal digits")
_WORDS = ListOf(item=_WORD_TEXT)
_DISPLAY = Record(
    fields={
        "vendor": _HEX_TEXT,
        "device": _HEX_TEXT,
        "driver": _WORD_TEXT,
        "driver_version": _VERSION_TEXT,
    },
    required=("vendor", "device"),
)
_LIBRARY = Record(fields={"kind": _WORD_TEXT, "version": _VERSION_TEXT}, required=("kind",))
_HOST = Record(
    description="The machine, of the facts of `doctor --save`; left out where it was not looked at.",
    fields={
        "os": Text(choices=("linux", "windows")),
        "release": _LABEL_TEXT,
        "kernel": Text(pattern=KERNEL, expected="a kernel's numbers"),
        "wsl": Flag(),
        "container": Flag(),
        "displays": ListOf(item=_DISPLAY),
        "libraries": ListOf(item=_LIBRARY),
    },
    required=("os",),
)
_STAGE = Record(
    fields={
        "name": Text(choices=tuple(STAGES)),
        "status": Text(choices=tuple(Status)),
        "seconds": Number(minimum=0, maximum=999_999),
        "figures": MapOf(key=_WORD_TEXT, value=Number(minimum=0, maximum=999_999_999)),
    },
    required=("name", "status", "seconds"),
)
_DEVICE = Record(
    description="What the model ran on; `pci` and `driver` where they are known.",
    fields={
        "kind": Text(choices=("cpu", "xpu", "cuda")),
        "name": _LABEL_TEXT,
        "pci": Text(pattern=r"[0-9a-f]{4}:[0-9a-f]{4}", expected="a PCI id like `8086:e20b`"),
        "driver": _VERSION_TEXT,
    },
    required=("kind", "name"),
)
EVIDENCE = Record(
    fields={
        "schema": Text(choices=(SCHEMA,), description="The form of this document."),
        "profile": Text(
            check=check_profile_name,
            description="The built-in profile of the environment; left out for a user's own.",
        ),
        "family": Text(
            pattern=WORD,
            expected="a family",
            description="The profile's `family`; of a user's own profile only one that we have sizes of.",
        ),
        "backend": Text(
            pattern=WORD, expected="a backend", description="The profile's `validation.backend`."
        ),
        "precision": Text(pattern=WORD, expected="a precision", description="What the weights were kept in."),
        "verdict": Text(choices=tuple(Verdict), description="What all checks together say."),
        "stage": Text(
            choices=tuple(STAGES), description="The check that decided a verdict other than passed."
        ),
        "code": Text(pattern=WORD, expected="a code", description="Its cause in one word."),
        "date": Text(
            pattern=r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", expected="a date", description="When it was validated."
        ),
        "tool_version": Text(pattern=VERSION, expected="a version", description="Of provision."),
        "platform": Text(choices=PLATFORMS, description="The lock's platform."),
        "lock_fingerprint": Text(
            pattern=r"[0-9a-f]{64}", expected="a fingerprint", description="Of what was installed."
        ),
        "device": _DEVICE,
        "host": _HOST,
        "versions": MapOf(
            key=_WORD_TEXT,
            value=_VERSION_TEXT,
            description="Versions of Python and of the packages that run a model.",
        ),
        "stages": ListOf(item=_STAGE, description="The checks, with the figures that decide."),
        "known": ListOf(item=_WORD_TEXT, description="Rows of the ledger that applied (`envs/known.yaml`)."),
        "failures": ListOf(item=_WORD_TEXT, description="Entries of the catalogue that the failure matches."),
    },
    required=("schema", "family", "backend", "precision", "verdict", "date", "device", "versions", "stages"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """One report, of what lists and tables need.

    Attributes:
        profile: None where the stages ran in no profile's environment.
        card: The product, where its PCI id is known by name; else what the device calls itself.
        date: ISO date.
        figures: ``stage.figure`` to what was measured.
        file: The document's name.
    """

    profile: str | None
    family: str
    backend: str
    precision: str
    verdict: Verdict
    date: str
    card: str
    kind: str
    driver: str | None
    lock_fingerprint: str | None
    figures: Mapping[str, float]
    file: str = ""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the document (draft 2020-12)."""
    return {"$schema": DIALECT, "title": "provision evidence", **schema_of(EVIDENCE)}


def parse_evidence(data: bytes, file: str) -> Evidence:
    """Read a document from anywhere.

    Raises:
        ErrorList: Of ``UsageError``, ``evidence.…``: each value that the form does not allow, with its place.
    """
    root, problems = read_yaml(data, file, max_bytes=MAX_BYTES)  # JSON is YAML, and here it keeps its places
    raise_problems(problems, area="evidence")
    read = root or Table(Origin(file, 1, 1))
    checked = check_node(read, EVIDENCE, problems, name="the report")
    raise_problems(problems, area="evidence")
    return read_evidence(plain(checked or read), file)


def read_evidence(document: Mapping[str, Any], file: str) -> Evidence:
    """Return what lists and tables need of a document that was checked."""
    device = document["device"]
    vendor, _, number = device.get("pci", "").partition(":")
    gpu = find_gpu(vendor, number)
    figures = {
        f"{stage['name']}.{name}": value
        for stage in document["stages"]
        for name, value in stage.get("figures", {}).items()
    }
    return Evidence(
        profile=document.get("profile"),
        lock_fingerprint=document.get("lock_fingerprint"),
        family=document["family"],
        backend=document["backend"],
        precision=document["precision"],
        date=document["date"],
        verdict=Verdict(document["verdict"]),
        card=gpu.product if gpu else device["name"],
        kind=device["kind"],
        driver=device.get("driver"),
        figures=figures,
        file=file,
    )
