"""What comes before the packages of a lockfile: the format's ``metadata`` with our facts in it.

conda-lock's ``custom_metadata`` maps text to text. Our keys there are ``<kind> <subject>``: ``index intel``,
``input linux-64 pip``, ``from intel linux-64``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from provisioner.ground.names import PLATFORMS, check_canonical_address, check_index_name, check_profile_name
from provisioner.ground.text import shown
from provisioner.ground.yaml_fields import ANY_TEXT, ListOf, MapOf, Number, Record, Spec, Text, check_node
from provisioner.ground.yaml_tree import (
    Leaf,
    Node,
    Origin,
    PlacedProblem,
    Table,
    find_node,
    find_origin,
    plain,
)
from provisioner.ground.yaml_writer import Value
from provisioner.lock.fingerprint import FINGERPRINT_VERSION, check_input, fingerprint_of_inputs
from provisioner.lock.model import Lock, LockedPlatform, LockHead
from provisioner.lock.rules import check_publisher, origin_of
from provisioner.resolve.model import CondaPackage, PipPackage

# 3 since lockfiles say publishers, 2 since they say sizes; one that says none is still written as before.
FORMAT = 3
CONDA_LOCK_VERSION = 1
_SINGLE = ("format", "profile", "fingerprint")
_KINDS = frozenset({"count", "files", "from", "index", "input", "note", "publisher", "size", *_SINGLE})
_CHANNEL: dict[str, Spec] = {
    "url": Text(check=check_canonical_address),
    "used_env_vars": ListOf(item=ANY_TEXT),
}
_METADATA: dict[str, Spec] = {
    "content_hash": MapOf(key=Text(choices=PLATFORMS), value=ANY_TEXT),
    "channels": ListOf(item=Record(fields=_CHANNEL, required=tuple(_CHANNEL))),
    "platforms": ListOf(item=Text(choices=PLATFORMS), min_items=1),
    "sources": ListOf(item=ANY_TEXT, min_items=1),
    "custom_metadata": MapOf(key=ANY_TEXT, value=ANY_TEXT),
}
# The shape of what comes before the packages.
HEAD = Record(
    fields={
        "version": Number(minimum=CONDA_LOCK_VERSION, maximum=CONDA_LOCK_VERSION),
        "metadata": Record(fields=_METADATA, required=tuple(_METADATA)),
    },
    required=("version", "metadata"),
)


class DamageError(Exception):
    """A lockfile says something it must not, at ``origin``."""

    def __init__(self, origin: Origin, reason: str) -> None:
        """Keep both."""
        super().__init__(reason)
        self.origin = origin
        self.reason = reason


class NewerError(DamageError):
    """The file was written by a newer version of the tool."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedHead:
    """A head and what its packages must agree with.

    Attributes:
        head: The head.
        custom: ``custom_metadata``: key to text.
        fingerprints: Platform to fingerprint.
        sources: (platform, package) to the index that it comes from, for those not from the default one.
        sizes: (platform, file name) to bytes, for those whose size is known.
        publishers: (platform, file name) to who published it, for those whose index attests it.
        count: Number of packages that follow, by what the head says.
        entries: These packages as they are written, where the document goes on to them.
    """

    head: LockHead
    custom: Mapping[str, str]
    fingerprints: Mapping[str, str]
    sources: Mapping[tuple[str, str], str]
    sizes: Mapping[tuple[str, str], int]
    publishers: Mapping[tuple[str, str], str]
    count: int
    entries: Sequence[Mapping[str, Any]]


def render_custom_metadata(lock: Lock) -> dict[str, str]:
    """Return ``custom_metadata`` of a lock, in the order that a person reads it."""
    sizes = {platform.platform: _list_sizes(platform) for platform in lock.platforms}
    publishers = {platform.platform: _list_publishers(platform) for platform in lock.platforms}
    custom = {
        "format": str(FORMAT if any(publishers.values()) else 2 if any(sizes.values()) else 1),
        "profile": lock.profile,
        "fingerprint": str(lock.fingerprint_version),
    }
    for number, note in enumerate(lock.notes, start=1):
        custom[f"note {number:02}"] = note
    for platform in lock.platforms:
        custom[f"count {platform.platform}"] = str(len(platform.conda) + len(platform.pip))
    for name in sorted(lock.indexes):
        custom[f"index {name}"] = lock.indexes[name]
        packages = [
            (p.platform, package) for p in lock.platforms for package in p.pip if package.index == name
        ]
        if packages:
            custom[f"files {name}"] = _words(origin_of(package.url) for _, package in packages)
        for platform in lock.platforms:
            if names := _words(package.name for at, package in packages if at == platform.platform):
                custom[f"from {name} {platform.platform}"] = names
    custom |= {f"input {key}": lock.inputs[key] for key in sorted(lock.inputs)}
    custom |= {f"publisher {platform}": text for platform, text in publishers.items() if text}
    custom |= {f"size {platform}": text for platform, text in sizes.items() if text}
    return custom


def render_metadata(lock: Lock) -> dict[str, Value]:
    """Return the file's ``metadata``."""
    return {
        "content_hash": {platform.platform: platform.fingerprint for platform in lock.platforms},
        "channels": [{"url": channel, "used_env_vars": []} for channel in lock.channels],
        "platforms": [platform.platform for platform in lock.platforms],
        "sources": [lock.source],
        "custom_metadata": dict(render_custom_metadata(lock)),
    }


def refuse(reason: str | None, origin: Origin) -> None:
    """Raise ``DamageError`` if there is a reason to."""
    if reason is not None:
        raise DamageError(origin, reason)


def parse_head(root: Table, spec: Record = HEAD) -> ParsedHead:
    """Read the head of a document of the shape ``spec``, by default one that ends before the packages.

    Raises:
        NewerError: The format's version is above ours.
        DamageError: Something in it is wrong.
    """
    document = _read_document(root, spec)
    metadata, custom = document["metadata"], document["metadata"]["custom_metadata"]
    place = partial(find_origin, root, "metadata", "custom_metadata")
    groups: dict[str, dict[str, str]] = {kind: {} for kind in _KINDS}
    for key, text in custom.items():
        kind, _, subject = key.partition(" ")
        if kind not in _KINDS or (kind in _SINGLE) != (subject == ""):
            raise DamageError(place(key), f"`{key}` is not a key of `custom_metadata`")
        groups[kind][subject] = text
    for key in _SINGLE:
        refuse(None if key in custom else f"`custom_metadata` has no `{key}`", place())
    refuse(check_profile_name(custom["profile"]), place("profile"))
    for name, address in groups["index"].items():
        refuse(check_index_name(name) or check_canonical_address(address), place(f"index {name}"))
    for key, value in groups["input"].items():
        refuse(check_input(key, value), place(f"input {key}"))
    head = LockHead(
        profile=custom["profile"],
        source=metadata["sources"][0],
        channels=tuple(channel["url"] for channel in metadata["channels"]),
        indexes=groups["index"],
        inputs=groups["input"],
        notes=tuple(groups["note"][number] for number in sorted(groups["note"], key=lambda n: (len(n), n))),
        fingerprint_version=_read_number(custom["fingerprint"], place("fingerprint")),
    )
    for key, reason in _find_disagreements(metadata, head):
        raise DamageError(find_origin(root, "metadata", key), reason)
    return ParsedHead(
        head=head,
        custom=custom,
        fingerprints=metadata["content_hash"],
        sources={
            (subject.split(" ")[-1], package): subject.split(" ")[0]
            for subject, text in groups["from"].items()
            for package in text.split()
        },
        sizes={
            (platform, filename): size
            for platform, text in groups["size"].items()
            for filename, size in _read_sizes(text, place(f"size {platform}"))
        },
        publishers={
            (platform, filename): publisher
            for platform, text in groups["publisher"].items()
            for filename, publisher in _read_publishers(text, place(f"publisher {platform}"))
        },
        count=sum(_read_number(text, place(f"count {name}")) for name, text in groups["count"].items()),
        entries=document.get("package", ()),
    )


def _read_document(root: Table, spec: Record) -> dict[str, Any]:
    """Return the plain values of a document, after its version and its shape are found right."""
    custom = find_node(root, "metadata", "custom_metadata")
    _refuse_newer(root.get("version"), CONDA_LOCK_VERSION, "version")
    _refuse_newer(find_node(custom, "format"), FORMAT, "format")
    if isinstance(custom, Table) and custom.get("format") is None:
        reason = "`custom_metadata` has no `format`: `provision` did not write this file"
        raise DamageError(custom.origin, reason)
    problems: list[PlacedProblem] = []
    check_node(root, spec, problems, name="the file")
    if problems:
        first = min(problems, key=lambda problem: problem.origin)
        raise DamageError(first.origin, first.message)
    document: dict[str, Any] = plain(root)
    return document


def check_inputs(inputs: Mapping[str, str], fingerprints: Mapping[str, str], version: int) -> str | None:
    """Return why these inputs and the platforms' fingerprints do not belong together."""
    for key in inputs:
        if key.partition(" ")[0] not in fingerprints:
            return f"`input {key}` is for a platform that the lock does not have"
    # Another version hashes other fields: freshness says so, and the digest cannot be checked here.
    for platform, digest in fingerprints.items() if version == FINGERPRINT_VERSION else ():
        if digest != fingerprint_of_inputs(inputs, platform):
            return f"the fingerprint of `{platform}` does not belong to its inputs"
    return None


def _refuse_newer(node: Node | None, known: int, name: str) -> None:
    # The length is looked at first: Python refuses to read numbers of thousands of digits.
    if isinstance(node, Leaf) and node.text.isdecimal() and (len(node.text) > 9 or int(node.text) > known):
        reason = f"`{name}` is {node.text[:9]}, and this version of `provision` reads up to {known}"
        raise NewerError(node.origin, reason)


def _find_disagreements(metadata: Mapping[str, Any], head: LockHead) -> Iterator[tuple[str, str]]:
    """Yield keys of ``metadata`` that do not agree with each other or with the head, and why."""
    platforms, fingerprints = metadata["platforms"], metadata["content_hash"]
    if platforms != sorted(set(platforms)):
        yield "platforms", "`platforms` must name each platform once, in alphabetical order"
    if sorted(fingerprints) != platforms:
        yield "content_hash", "`content_hash` and `platforms` name different platforms"
    if len(metadata["sources"]) != 1:
        yield "sources", "`sources` must name one profile"
    if any(channel["used_env_vars"] for channel in metadata["channels"]):
        yield "channels", "a channel's address must not depend on variables"
    if reason := check_inputs(head.inputs, fingerprints, head.fingerprint_version):
        yield "content_hash", reason


def _read_number(text: str, origin: Origin) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise DamageError(origin, f"{shown(text)} is not a number")
    return int(text)


def _list_sizes(platform: LockedPlatform) -> str:
    """Return the files of a platform whose sizes are known, one a line: name and bytes."""
    packages: tuple[CondaPackage | PipPackage, ...] = (*platform.conda, *platform.pip)
    known = {package.filename: package.size for package in packages if package.size is not None}
    return "\n".join(f"{filename} {known[filename]}" for filename in sorted(known))


def _read_sizes(text: str, origin: Origin) -> Iterator[tuple[str, int]]:
    for line in text.split("\n"):
        filename, _, size = line.partition(" ")
        if not re.fullmatch(r"[1-9][0-9]{0,14}", size, re.ASCII):
            raise DamageError(origin, f"{shown(line)} is not a file name and its bytes")
        yield filename, int(size)


def _list_publishers(platform: LockedPlatform) -> str:
    """Return the files of a platform whose publishers are known, one a line: name and publisher."""
    known = {package.filename: package.publisher for package in platform.pip if package.publisher}
    return "\n".join(f"{filename} {known[filename]}" for filename in sorted(known))


def _read_publishers(text: str, origin: Origin) -> Iterator[tuple[str, str]]:
    for line in text.split("\n"):
        filename, _, publisher = line.partition(" ")
        refuse(check_publisher(publisher), origin)
        yield filename, publisher


def _words(words: Iterable[str]) -> str:
    return " ".join(sorted(set(words)))
