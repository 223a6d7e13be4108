"""Merge a profile with its stacks: lists add, mappings merge, and the nearer file wins.

Layers are applied per platform, the farthest stack first: a file's own keys, then its section for the
platform. So a profile always wins against its stacks, in whichever section either wrote it. In lists of
packages a later requirement for the same package replaces the earlier one in its place.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from provisioner.ground.names import DEFAULT_INDEX, PLATFORMS
from provisioner.ground.yaml_tree import (
    Leaf,
    Node,
    Origin,
    Table,
    find_items,
    find_leaves,
    find_node,
    find_texts,
    plain,
)
from provisioner.profile import rules
from provisioner.profile.keys import GPU_CLASSES
from provisioner.profile.model import (
    Decision,
    Device,
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
    """One merged value and the place that gave it; ``reason`` for what is allowed with one."""

    value: str
    origin: Origin
    reason: str = ""


Items = dict[str, Item]

_DEFAULT_PRECISIONS = {"ipex-llm": "sym_int8", "transformers": "bf16", "openvino": "int4"}


def _same(text: str) -> str:
    return text


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """How the values under one key of a section are merged.

    Attributes:
        name_of: Returns what identifies an item: a later item of the same name replaces the earlier.
        text_of: Returns an item as it is always written.
        is_map: Whether it maps names to values, and not requirements to reasons.
        is_names: Whether the names of the mappings below it are the items.
        is_whole: Whether the nearest file that has the list decides, and nothing is added up.
    """

    key: str
    name_of: Callable[[str], str] = _same
    text_of: Callable[[str], str] = _same
    is_map: bool = False
    is_names: bool = False
    is_whole: bool = False


_FILE_PARTS = (
    _Part(key="platforms", is_whole=True),
    _Part(key="indexes", is_map=True),
    _Part(key="validation.imports"),
)
_SECTION_PARTS = (
    _Part(key="conda.channels"),
    _Part(key="conda.packages", name_of=rules.conda_name),
    *(
        _Part(key=f"pip.{key}", name_of=rules.requirement_name, text_of=rules.canonical_requirement)
        for key in ("packages", "overrides", "yanked", "sdists")
    ),
    _Part(key="pip.routes", name_of=canonicalize_name, is_map=True),
    _Part(key="pip.prereleases", name_of=canonicalize_name, text_of=canonicalize_name),
    _Part(key="startup", name_of=canonicalize_name, text_of=canonicalize_name),
    _Part(key="env", is_map=True),
    _Part(key="gpus", is_names=True),
    *(_Part(key=f"gpus.{gpu}.env", is_map=True) for gpu in GPU_CLASSES),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One platform's merged section: dotted key to the items by what identifies them, in order."""

    name: str
    parts: dict[str, Items]

    def __getitem__(self, key: str) -> Items:
        """Return the items under a dotted key such as ``pip.packages``."""
        return self.parts[key]


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    """Everything that a profile and its stacks say, with the places.

    Attributes:
        keys: Single values by dotted key.
        parts: Lists and mappings that are the same on every platform, by dotted key.
        commands: Commands of the validation.
        sections: The rest, per platform.
    """

    keys: dict[str, Leaf]
    parts: dict[str, Items]
    commands: dict[tuple[str, ...], Origin]
    sections: tuple[Section, ...]


def merge_files(files: Sequence[ProfileFile]) -> Merged:
    """Merge the files, the profile first and then its stacks from near to far."""
    layers = [file.root for file in reversed(files)]
    parts = _merge_parts(_FILE_PARTS, layers)
    wanted = parts["platforms"]
    return Merged(
        keys={key: leaf for layer in layers for key, leaf in _find_scalars(layer)},
        parts=parts,
        commands={
            tuple(plain(command)): command.origin
            for layer in layers
            for command in find_items(layer, "validation", "commands")
        },
        sections=tuple(_merge_section(name, layers) for name in PLATFORMS if name in wanted or not wanted),
    )


def build_profile(files: Sequence[ProfileFile], merged: Merged) -> Profile:
    """Return the profile of a merge without problems; ``files`` as for ``merge_files``."""
    text = {key: leaf.text for key, leaf in merged.keys.items()}
    return Profile(
        name=files[0].name,
        description=text["description"],
        family=text.get("family", ""),
        device=Device(text["device"]),
        torch=TorchVariant(text["torch"]),
        python=text["python"],
        platforms=tuple(_build_platform(section) for section in merged.sections),
        indexes=tuple(Index(name=name, url=item.value) for name, item in merged.parts["indexes"].items()),
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
    """Return the backend where none is written: ipex-llm where it is installed, OpenVINO without torch."""
    torch = merged.keys.get("torch")
    if torch is not None and torch.text == TorchVariant.NONE:
        return "openvino"
    installed = all("ipex-llm" in section["pip.packages"] for section in merged.sections)
    return "ipex-llm" if installed else "transformers"


def _build_validation(merged: Merged, text: dict[str, str]) -> Validation:
    backend = text.get("validation.backend") or default_backend(merged)
    precision = text.get("validation.precision") or _DEFAULT_PRECISIONS[backend]
    return Validation(
        backend=backend,
        precision=precision,
        tolerance=float(text["validation.tolerance"]) if "validation.tolerance" in text else None,
        weights=text.get("validation.weights", "random"),
        asset=rules.canonical_requirement(text["validation.asset"]) if "validation.asset" in text else None,
        model=text.get("validation.model"),
        prompt=text.get("validation.prompt"),
        expect=text.get("validation.expect"),
        imports=tuple(merged.parts["validation.imports"]),
        commands=tuple(merged.commands),
    )


def _build_platform(section: Section) -> Platform:
    def values(key: str) -> tuple[str, ...]:
        return tuple(item.value for item in section[key].values())

    def decisions(key: str) -> tuple[Decision, ...]:
        return tuple(Decision(requirement=i.value, reason=i.reason) for i in section[key].values())

    def mapping(key: str) -> dict[str, str]:
        return {name: item.value for name, item in section[key].items()}

    return Platform(
        name=section.name,
        channels=values("conda.channels"),
        conda=values("conda.packages"),
        pip=values("pip.packages"),
        routes=mapping("pip.routes"),
        prereleases=values("pip.prereleases"),
        overrides=decisions("pip.overrides"),
        yanked=decisions("pip.yanked"),
        sdists=decisions("pip.sdists"),
        startup=decisions("startup"),
        env=mapping("env"),
        gpus=tuple(gpu for gpu in GPU_CLASSES if gpu in section["gpus"]),
        env_by_gpu={gpu: env for gpu in GPU_CLASSES if (env := mapping(f"gpus.{gpu}.env"))},
    )


def _origins(merged: Merged) -> dict[str, Origin]:
    """Return the place of every value by the dotted key that ``Profile.origins`` documents."""
    found = {key: leaf.origin for key, leaf in merged.keys.items()}
    found |= {f"validation.commands[{i}]": origin for i, origin in enumerate(merged.commands.values())}
    for prefix, parts in [("", merged.parts), *((f"{s.name}.", s.parts) for s in merged.sections)]:
        for part in (part for part in (*_FILE_PARTS, *_SECTION_PARTS) if part.key in parts):
            for i, (name, item) in enumerate(parts[part.key].items()):
                key = f"{part.key}.{name}" if part.is_map else f"{part.key}[{i}]"
                found[prefix + key] = item.origin
    return found


def _find_scalars(layer: Table) -> Iterator[tuple[str, Leaf]]:
    """Yield the single values of a file by dotted key."""
    yield from ((key.text, value) for key, value in find_texts(layer) if key.text != "stack")
    for table in ("status", "validation"):
        yield from ((f"{table}.{key.text}", value) for key, value in find_texts(layer, table))


def _merge_section(name: str, layers: Sequence[Table]) -> Section:
    parts = _merge_parts(_SECTION_PARTS, [table for layer in layers for table in (layer, layer.get(name))])
    # A route to the default index only takes a stack's route back: what has no route comes from there anyway.
    routes = {package: i for package, i in parts["pip.routes"].items() if i.value != DEFAULT_INDEX}
    return Section(name=name, parts={**parts, "pip.routes": routes})


def _merge_parts(parts: Sequence[_Part], tables: Iterable[Node | None]) -> dict[str, Items]:
    """Return what the tables, the farthest first, make of the parts."""
    merged: dict[str, Items] = {part.key: {} for part in parts}
    for table in tables:
        for part in parts:
            found, path = merged[part.key], part.key.split(".")
            if part.is_whole and any(find_leaves(table, *path)):
                found.clear()
            below = find_node(table, *path) if part.is_names else None
            for entry in below if isinstance(below, Table) else ():
                found[entry.key.text] = Item(value=entry.key.text, origin=entry.key.origin)
            for leaf in find_leaves(table, *path):
                found[part.name_of(leaf.text)] = Item(value=part.text_of(leaf.text), origin=leaf.origin)
            for key, value in find_texts(table, *path):
                if part.is_map:
                    item = Item(value=value.text, origin=value.origin)
                else:
                    item = Item(value=part.text_of(key.text), origin=key.origin, reason=value.text)
                found[part.name_of(key.text)] = item
    return merged
