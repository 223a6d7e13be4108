"""Merge a profile with its stacks: lists add, mappings merge, and the nearer file wins.

Layers are applied per platform, the farthest stack first: a file's own keys, then its section for the
platform. So a profile's word always wins against its stacks', wherever either wrote it. In lists of packages
a later requirement for the same package replaces the earlier one in its place.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from packaging.utils import canonicalize_name

from provisioner.ground.names import DEFAULT_INDEX, PLATFORMS
from provisioner.ground.text import shown
from provisioner.ground.yaml_tree import (
    Leaf,
    Node,
    Origin,
    PlacedProblem,
    Table,
    find_items,
    find_node,
    plain,
)
from provisioner.profile import rules
from provisioner.profile.keys import GPU_CLASSES, REQUIRED_MERGED
from provisioner.profile.model import (
    Decision,
    Device,
    Family,
    Index,
    Platform,
    Profile,
    State,
    Status,
    TorchVariant,
    Validation,
)
from provisioner.profile.parse import ProfileFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One merged value and the place of its last word; ``reason`` for overrides and yanked files."""

    value: str
    origin: Origin
    reason: str = ""


Items = dict[str, Item]


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One platform's merged section; every part maps what identifies an item to the item, in order."""

    name: str
    channels: Items = field(default_factory=dict)
    conda: Items = field(default_factory=dict)
    pip: Items = field(default_factory=dict)
    routes: Items = field(default_factory=dict)
    prereleases: Items = field(default_factory=dict)
    overrides: Items = field(default_factory=dict)
    yanked: Items = field(default_factory=dict)
    sdists: Items = field(default_factory=dict)
    env: Items = field(default_factory=dict)
    gpus: dict[str, Items] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    """Everything that a profile and its stacks say, with the places; ``keys`` holds scalars by dotted key."""

    keys: dict[str, Leaf]
    platforms: Items
    indexes: Items
    imports: Items
    commands: dict[tuple[str, ...], Origin]
    sections: tuple[Section, ...]


def merge_files(files: Sequence[ProfileFile]) -> Merged:
    """Merge the files, the profile first and then its stacks from near to far."""
    layers = [file.root for file in reversed(files)]
    keys: dict[str, Leaf] = {}
    platforms: Items = {}
    indexes: Items = {}
    imports: Items = {}
    commands: dict[tuple[str, ...], Origin] = {}
    for layer in layers:
        keys.update(_scalars(layer))
        _add_list(platforms, layer.get("platforms"))
        _add_map(indexes, layer.get("indexes"))
        _add_list(imports, find_node(layer, "validation", "imports"))
        for command in find_items(layer, "validation", "commands"):
            commands[tuple(plain(command))] = command.origin
    names = [name for name in PLATFORMS if name in platforms or not platforms]
    sections = tuple(_merge_section(name, layers) for name in names)
    return Merged(
        keys=keys, platforms=platforms, indexes=indexes, imports=imports, commands=commands, sections=sections
    )


def find_missing(merged: Merged, files: Sequence[ProfileFile]) -> Iterator[PlacedProblem]:
    """Yield a problem for every key that neither the profile nor a stack gives."""
    for key in REQUIRED_MERGED:
        if key not in merged.keys:
            where = ", ".join(shown(file.name) for file in files[1:])
            message = f"key {shown(key)} is missing in the profile and in what it extends ({where})"
            yield PlacedProblem(code="missing_key", message=message, origin=files[0].root.origin)


def build_profile(files: Sequence[ProfileFile], merged: Merged) -> Profile:
    """Return the profile of a merge without problems; ``files`` as for ``merge_files``."""
    text = {key: leaf.text for key, leaf in merged.keys.items()}
    return Profile(
        name=files[0].name,
        description=text["description"],
        family=Family(text["family"]),
        device=Device(text["device"]),
        torch=TorchVariant(text["torch"]),
        python=text["python"],
        platforms=tuple(_build_platform(section) for section in merged.sections),
        indexes=tuple(Index(name=name, url=item.value) for name, item in merged.indexes.items()),
        as_of=text.get("as_of"),
        transformers=text.get("transformers"),
        stacks=tuple(file.name for file in files[1:]),
        status=Status(
            state=State(text.get("status.state", State.SUPPORTED)),
            since=text.get("status.since"),
            replaced_by=text.get("status.replaced_by"),
            note=text.get("status.note"),
        ),
        validation=_build_validation(merged, text),
        origins=_origins(merged),
        file=files[0].file,
        files=tuple(file.file for file in files),
    )


def default_backend(merged: Merged) -> str:
    """Return the backend where none is written: ipex-llm where it is installed."""
    installed = all("ipex-llm" in section.pip for section in merged.sections)
    return "ipex-llm" if installed else "transformers"


def _build_validation(merged: Merged, text: dict[str, str]) -> Validation:
    backend = text.get("validation.backend") or default_backend(merged)
    precision = text.get("validation.precision") or ("sym_int8" if backend == "ipex-llm" else "bf16")
    return Validation(
        backend=backend,
        precision=precision,
        tolerance=float(text["validation.tolerance"]) if "validation.tolerance" in text else None,
        weights=text.get("validation.weights", "random"),
        asset=rules.canonical_requirement(text["validation.asset"]) if "validation.asset" in text else None,
        prompt=text.get("validation.prompt"),
        expect=text.get("validation.expect"),
        imports=tuple(merged.imports),
        commands=tuple(merged.commands),
    )


def _build_platform(section: Section) -> Platform:
    return Platform(
        name=section.name,
        channels=_values(section.channels),
        conda=_values(section.conda),
        pip=_values(section.pip),
        routes={name: item.value for name, item in section.routes.items()},
        prereleases=_values(section.prereleases),
        overrides=_decisions(section.overrides),
        yanked=_decisions(section.yanked),
        sdists=_decisions(section.sdists),
        env={name: item.value for name, item in section.env.items()},
        env_by_gpu={gpu: {name: i.value for name, i in env.items()} for gpu, env in section.gpus.items()},
    )


def _decisions(part: Items) -> tuple[Decision, ...]:
    return tuple(Decision(requirement=item.value, reason=item.reason) for item in part.values())


def _values(part: Items) -> tuple[str, ...]:
    return tuple(item.value for item in part.values())


def _origins(merged: Merged) -> dict[str, Origin]:
    """Return the place of every value by the dotted key that ``Profile.origins`` documents."""
    found = {key: leaf.origin for key, leaf in merged.keys.items()}
    found |= {f"platforms[{i}]": item.origin for i, item in enumerate(merged.platforms.values())}
    found |= {f"indexes.{name}": item.origin for name, item in merged.indexes.items()}
    found |= {f"validation.imports[{i}]": item.origin for i, item in enumerate(merged.imports.values())}
    found |= {f"validation.commands[{i}]": origin for i, origin in enumerate(merged.commands.values())}
    for section in merged.sections:
        for key, part in (
            ("conda.channels", section.channels),
            ("conda.packages", section.conda),
            ("pip.packages", section.pip),
            ("pip.prereleases", section.prereleases),
            ("pip.overrides", section.overrides),
            ("pip.yanked", section.yanked),
            ("pip.sdists", section.sdists),
        ):
            found |= {f"{section.name}.{key}[{i}]": item.origin for i, item in enumerate(part.values())}
        maps = {"pip.routes": section.routes, "env": section.env}
        maps |= {f"gpus.{gpu}.env": env for gpu, env in section.gpus.items()}
        for key, part in maps.items():
            found |= {f"{section.name}.{key}.{name}": item.origin for name, item in part.items()}
    return found


def _scalars(layer: Table) -> dict[str, Leaf]:
    """Return the single values of a file by dotted key."""
    found: dict[str, Leaf] = {}
    for prefix, table in (
        ("", layer),
        ("status.", layer.get("status")),
        ("validation.", layer.get("validation")),
    ):
        if isinstance(table, Table):
            found |= {
                prefix + entry.key.text: entry.value for entry in table if isinstance(entry.value, Leaf)
            }
    found.pop("stack", None)
    return found


def _merge_section(name: str, layers: Sequence[Table]) -> Section:
    section = Section(name=name)
    for layer in layers:
        for table in (layer, layer.get(name)):
            if isinstance(table, Table):
                _add_section(section, table)
    # A route to the default index only takes a stack's route back: what has no route comes from there anyway.
    for package in [key for key, item in section.routes.items() if item.value == DEFAULT_INDEX]:
        del section.routes[package]
    return section


def _add_section(section: Section, table: Table) -> None:
    """Apply one file's word on a section."""
    _add_list(section.channels, find_node(table, "conda", "channels"))
    _add_list(section.conda, find_node(table, "conda", "packages"), key_of=rules.conda_name)
    _add_list(
        section.pip,
        find_node(table, "pip", "packages"),
        key_of=rules.requirement_name,
        value_of=rules.canonical_requirement,
    )
    _add_map(section.routes, find_node(table, "pip", "routes"), key_of=canonicalize_name)
    _add_list(
        section.prereleases,
        find_node(table, "pip", "prereleases"),
        key_of=canonicalize_name,
        value_of=canonicalize_name,
    )
    _add_decisions(section.overrides, find_node(table, "pip", "overrides"))
    _add_decisions(section.yanked, find_node(table, "pip", "yanked"))
    _add_decisions(section.sdists, find_node(table, "pip", "sdists"))
    _add_map(section.env, table.get("env"))
    for gpu in GPU_CLASSES:
        if env := find_node(table, "gpus", gpu, "env"):
            _add_map(section.gpus.setdefault(gpu, {}), env)


def _same(text: str) -> str:
    return text


def _add_list(
    part: Items,
    node: Node | None,
    *,
    key_of: Callable[[str], str] = _same,
    value_of: Callable[[str], str] = _same,
) -> None:
    for leaf in find_items(node):
        if isinstance(leaf, Leaf):
            part[key_of(leaf.text)] = Item(value=value_of(leaf.text), origin=leaf.origin)


def _add_map(part: Items, node: Node | None, *, key_of: Callable[[str], str] = _same) -> None:
    for entry in node if isinstance(node, Table) else ():
        if isinstance(entry.value, Leaf):
            part[key_of(entry.key.text)] = Item(value=entry.value.text, origin=entry.value.origin)


def _add_decisions(part: Items, node: Node | None) -> None:
    for entry in node if isinstance(node, Table) else ():
        if isinstance(entry.value, Leaf):
            part[rules.requirement_name(entry.key.text)] = Item(
                value=rules.canonical_requirement(entry.key.text),
                reason=entry.value.text,
                origin=entry.key.origin,
            )
