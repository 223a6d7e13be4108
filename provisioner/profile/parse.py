"""Check one profile file beyond the shape of its keys: what it says twice, and what it must not say."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from provisioner.ground.names import PLATFORMS
from provisioner.ground.text import find_nearest, shown
from provisioner.ground.yaml_fields import check_node
from provisioner.ground.yaml_tree import (
    Kind,
    Leaf,
    Node,
    Origin,
    PlacedProblem,
    Table,
    find_items,
    find_node,
)
from provisioner.profile import rules
from provisioner.profile.keys import PROFILE, REQUIRED_MERGED


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileFile:
    """One file whose keys and values are checked.

    Attributes:
        root: What is right in it.
        extends: The names as written, nearest first.
        indexes: Names of its indexes, also of those whose address is wrong.
    """

    name: str
    file: str
    root: Table
    extends: tuple[Leaf, ...]
    stack: bool
    indexes: tuple[str, ...] = ()


def parse_file(name: str, file: str, root: Table, problems: list[PlacedProblem]) -> ProfileFile:
    """Return what fits in ``root``; add every problem of this file on its own.

    Args:
        name: The profile's name, from the file's name.
        file: The file for messages.
        root: The reader's tree.
        problems: Receives the problems.
    """
    checked = check_node(root, PROFILE, problems, name="the profile")
    table = checked if isinstance(checked, Table) else Table(root.origin)
    for section in (table, *(table.get(platform) for platform in PLATFORMS)):
        if isinstance(section, Table):
            _check_section(section, problems)
    stack = table.get("stack")
    indexes = root.get("indexes")
    extends = tuple(leaf for leaf in find_items(table, "extends") if isinstance(leaf, Leaf))
    parsed = ProfileFile(
        name=name,
        file=file,
        root=table,
        extends=extends,
        stack=isinstance(stack, Leaf) and stack.text == "true",
        indexes=tuple(entry.key.text for entry in indexes) if isinstance(indexes, Table) else (),
    )
    if not parsed.stack and root.get("extends") is None:
        # A misspelt key is told as that, and not as missing, too; what `extends` brings is not known then.
        meant = {find_nearest(key, PROFILE.fields) for key in root.entries if key not in PROFILE.fields}
        if "extends" not in meant:
            problems.extend(
                find_missing(
                    lambda key: key in meant or find_node(root, *key.split(".")) is not None, root.origin
                )
            )
    return parsed


def find_missing(
    is_given: Callable[[str], bool], origin: Origin, *, extended: Sequence[str] = ()
) -> Iterator[PlacedProblem]:
    """Yield a problem for everything that a profile must say and does not.

    Args:
        is_given: Tells of a dotted key whether the profile, or what it extends, gives it.
        origin: The profile's beginning.
        extended: The names of what it extends.
    """
    also = f" and in what it extends ({', '.join(map(shown, extended))})" if extended else ""
    for key in REQUIRED_MERGED:
        if not is_given(key):
            message = f"key {shown(key)} is missing in the profile{also}"
            yield PlacedProblem(code="missing_key", message=message, origin=origin)
    if not is_given("family") and not is_given("validation.model"):
        message = "neither `family` nor `validation.model` says which model the environment is proven with"
        hint = "name a family: `llama3`, or another as transformers names it, like `qwen3`"
        yield PlacedProblem(code="missing_key", message=message, origin=origin, hints=(hint,))


def _check_section(section: Table, problems: list[PlacedProblem]) -> None:
    """Find what one section says twice, and paths that leave the environment."""
    _check_once(find_items(section, "pip", "packages"), rules.requirement_name, problems)
    _check_once(find_items(section, "conda", "packages"), rules.conda_name, problems)
    for path in (("pip", "overrides"), ("pip", "yanked"), ("pip", "sdists"), ("startup",)):
        table = find_node(section, *path)
        if isinstance(table, Table):
            _check_once([entry.key for entry in table], rules.requirement_name, problems)
    gpus = find_node(section, "gpus")
    classes = [entry.value for entry in gpus] if isinstance(gpus, Table) else []
    for owner in (section, *classes):
        value = find_node(owner, "env", "LD_LIBRARY_PATH")
        if isinstance(value, Leaf) and (reason := rules.check_library_path(value.text)):
            problems.append(PlacedProblem(code="forbidden_variable", message=reason, origin=value.origin))


def _check_once(nodes: Sequence[Node], name_of: rules.NameOf, problems: list[PlacedProblem]) -> None:
    """Add a problem for every package that a list names again."""
    first: dict[str, Leaf] = {}
    for leaf in nodes:
        if not isinstance(leaf, Leaf) or leaf.kind is not Kind.TEXT:
            continue
        name = name_of(leaf.text)
        if name in first:
            message = f"package {shown(name)} is already given at {first[name].origin}"
            hints = ("keep one of the two",)
            problems.append(
                PlacedProblem(code="duplicate_package", message=message, origin=leaf.origin, hints=hints)
            )
        first.setdefault(name, leaf)
