"""What stands before the packages of a lockfile: the format's ``metadata`` with our facts in it.

conda-lock's ``custom_metadata`` maps text to text. Our keys there are ``<kind> <subject>``: ``index intel``,
``input linux-64 pip``, ``from intel linux-64``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from provisioner.ground.names import DEFAULT_INDEX
from provisioner.ground.yaml_writer import Value
from provisioner.lock.document import (
    DamageError,
    Node,
    Table,
    check_keys,
    read_items,
    read_table,
    read_text,
    read_text_table,
)
from provisioner.lock.fingerprint import FINGERPRINT_VERSION, fingerprint_of_inputs, sdists_of_inputs
from provisioner.lock.model import Lock, LockHead
from provisioner.lock.rules import (
    origin_of,
    refuse_address,
    refuse_index,
    refuse_platform,
    refuse_profile_name,
)

FORMAT = 1
CONDA_LOCK_VERSION = 1
_METADATA = frozenset({"content_hash", "channels", "platforms", "sources", "custom_metadata"})
_CHANNEL = frozenset({"url", "used_env_vars"})
_SINGLE = ("format", "profile", "fingerprint")
_KINDS = frozenset({"count", "files", "from", "index", "input", "note", *_SINGLE})


class NewerError(DamageError):
    """The file was written by a newer version of the tool."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedHead:
    """A head and what its packages must agree with.

    Attributes:
        head: The head.
        table: Line of every key of ``custom_metadata``, and its text.
        sources: (platform, package) to the index that it comes from, for those not from the default one.
        origins: Index name to the origins (scheme, host, port) of its files.
        counts: Platform to number of entries.
        sdists: Platform to the packages that may be built from source.
    """

    head: LockHead
    lines: Mapping[str, int]
    custom: Mapping[str, str]
    sources: Mapping[tuple[str, str], str]
    origins: Mapping[str, frozenset[str]]
    counts: Mapping[str, int]
    sdists: Mapping[str, frozenset[str]]


def render_custom_metadata(lock: Lock) -> dict[str, str]:
    """Return ``custom_metadata`` of a lock, in the order that a person reads it."""
    custom = {
        "format": str(FORMAT),
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


def parse_head(root: Table) -> ParsedHead:
    """Read the head.

    Raises:
        NewerError: The format's version is above ours.
        DamageError: Something in it is wrong.
    """
    _check_version(_entry(root, "version"), CONDA_LOCK_VERSION, "version", kind="int")
    metadata = read_table(_entry(root, "metadata"), "metadata")
    custom_table = read_table(_entry(metadata, "custom_metadata"), "custom_metadata")
    custom = read_text_table(custom_table, "custom_metadata")
    if "format" not in custom:
        raise DamageError(
            custom_table.line, "`custom_metadata` has no `format`: `provision` did not write this file"
        )
    _check_version(custom_table.entries["format"], FORMAT, "format", kind="str")
    check_keys(metadata, "`metadata`", required=_METADATA, allowed=_METADATA)
    parsed = _parse_custom(custom_table, custom, metadata)
    _check_fingerprints(parsed.head, metadata)
    return parsed


def refuse_inputs(inputs: Mapping[str, str], fingerprints: Mapping[str, str], version: int) -> str | None:
    """Return why these inputs and the platforms' fingerprints do not belong together."""
    for key in inputs:
        if key.partition(" ")[0] not in fingerprints:
            return f"`input {key}` is for a platform that the lock does not have"
    # Another version hashes other fields: freshness says so, and the digest cannot be checked here.
    for platform, digest in fingerprints.items() if version == FINGERPRINT_VERSION else ():
        if digest != fingerprint_of_inputs(inputs, platform):
            return f"the fingerprint of `{platform}` does not belong to its inputs"
    return None


def _entry(table: Table, key: str) -> Node:
    if key not in table.entries:
        raise DamageError(table.line, f"there is no `{key}`")
    return table.entries[key]


def _check_version(node: Node, known: int, name: str, *, kind: str) -> None:
    text = read_text(node, name, kind=kind)
    if not text.isascii() or not text.isdigit():
        raise DamageError(node.line, f"`{name}` must be a number, not `{text}`")
    if int(text) > known:
        raise NewerError(
            node.line, f"`{name}` is {text}, and this version of `provision` reads up to {known}"
        )
    if int(text) < known:
        raise DamageError(node.line, f"`{name}` must be {known}, not {text}")


def _parse_custom(table: Table, custom: Mapping[str, str], metadata: Table) -> ParsedHead:
    lines = {key: node.line for key, node in table.entries.items()}
    groups: dict[str, dict[str, str]] = {kind: {} for kind in _KINDS}
    for key, text in custom.items():
        kind, _, subject = key.partition(" ")
        if kind not in _KINDS or (kind in _SINGLE) != (subject == ""):
            raise DamageError(lines[key], f"`{key}` is not a key of `custom_metadata`")
        groups[kind][subject] = text
    for key in _SINGLE:
        if key not in custom:
            raise DamageError(table.line, f"`custom_metadata` has no `{key}`")
    _refuse(refuse_profile_name(custom["profile"]), lines["profile"])
    for name, address in groups["index"].items():
        _refuse(refuse_index(name, address), lines[f"index {name}"])
    platforms = _read_platforms(metadata)
    sources = {
        (subject.split(" ")[-1], package): subject.split(" ")[0]
        for subject, text in groups["from"].items()
        for package in text.split()
    }
    return ParsedHead(
        head=LockHead(
            profile=custom["profile"],
            source=_read_source(metadata),
            fingerprints=read_text_table(metadata.entries["content_hash"], "content_hash"),
            channels=_read_channels(metadata),
            indexes=groups["index"],
            inputs=groups["input"],
            notes=tuple(
                groups["note"][number] for number in sorted(groups["note"], key=lambda n: (len(n), n))
            ),
            fingerprint_version=_read_number(custom["fingerprint"], lines["fingerprint"]),
        ),
        lines=lines,
        custom=custom,
        sources=sources,
        origins={
            **{name: frozenset(text.split()) for name, text in groups["files"].items()},
            DEFAULT_INDEX: frozenset(),
        },
        counts={
            name: _read_number(groups["count"].get(name, ""), lines.get(f"count {name}", table.line))
            for name in platforms
        },
        sdists={name: sdists_of_inputs(groups["input"], name) for name in platforms},
    )


def _check_fingerprints(head: LockHead, metadata: Table) -> None:
    platforms = _read_platforms(metadata)
    content_hash = metadata.entries["content_hash"]
    if sorted(head.fingerprints) != platforms:
        raise DamageError(content_hash.line, "`content_hash` and `platforms` name different platforms")
    _refuse(refuse_inputs(head.inputs, head.fingerprints, head.fingerprint_version), content_hash.line)


def _read_platforms(metadata: Table) -> list[str]:
    node = metadata.entries["platforms"]
    platforms = [read_text(item, "platforms") for item in read_items(node, "platforms")]
    for platform in platforms:
        _refuse(refuse_platform(platform), node.line)
    if platforms != sorted(set(platforms)) or not platforms:
        raise DamageError(node.line, "`platforms` must name each platform once, in alphabetical order")
    return platforms


def _read_channels(metadata: Table) -> tuple[str, ...]:
    channels = []
    for item in read_items(metadata.entries["channels"], "channels"):
        table = read_table(item, "channels")
        check_keys(table, "a channel", required=_CHANNEL, allowed=_CHANNEL)
        if read_items(table.entries["used_env_vars"], "used_env_vars"):
            raise DamageError(table.line, "a channel's address must not depend on variables")
        channels.append(read_text(table.entries["url"], "url"))
        _refuse(refuse_address(channels[-1]), table.line)
    return tuple(channels)


def _read_source(metadata: Table) -> str:
    items = read_items(metadata.entries["sources"], "sources")
    if len(items) != 1:
        raise DamageError(metadata.entries["sources"].line, "`sources` must name one profile")
    return read_text(items[0], "sources")


def _read_number(text: str, line: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise DamageError(line, f"`{text}` is not a number")
    return int(text)


def _words(words: Iterable[str]) -> str:
    return " ".join(sorted(set(words)))


def _refuse(reason: str | None, line: int) -> None:
    if reason is not None:
        raise DamageError(line, reason)
