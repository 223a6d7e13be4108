"""Change one list in a YAML file's text and leave every other byte as it is, comments and line ends too.

A library that reads and writes the whole file (ruamel.yaml) would set its indents and line ends anew. Here
PyYAML says where the values lie, and text is put between them; the caller reads the result again.
"""

import json
from collections.abc import Callable, Sequence

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from provisioner.ground.yaml_reader import LOADER

_FLOW_MARKS = ",[]{}"


class UneditableError(ValueError):
    """The list is written in a way that cannot be changed without touching more than it."""


def set_item(text: str, path: Sequence[str], item: str, *, same: Callable[[str], bool]) -> str:
    """Put an item into a list: in place of the one that is the same thing, else after the last.

    Args:
        text: The file's text, which was read without problems.
        path: Keys that lead to the list; what is missing on the way is made.
        item: One line.
        same: Whether an item of the list is to be replaced.

    Raises:
        UneditableError: Its YAML is out of the ordinary.
    """
    root = _compose(text)
    found, missing = _descend(root, path)
    if missing:
        return _insert_list(text, found, missing, item)
    if not isinstance(found, SequenceNode):
        return _replace_nothing(text, found, item)
    for node in found.value:
        if isinstance(node, ScalarNode) and same(node.value):
            return _splice(text, node, _scalar(item, flow=bool(found.flow_style)))
    return _append(text, found, item)


def remove_item(text: str, path: Sequence[str], *, same: Callable[[str], bool]) -> str:
    """Take an item out of a list; the text is returned as it is where there is none.

    Raises:
        UneditableError: Its YAML is out of the ordinary.
    """
    found, missing = _descend(_compose(text), path)
    if missing or not isinstance(found, SequenceNode):
        return text
    for number, node in enumerate(found.value):
        if isinstance(node, ScalarNode) and same(node.value):
            return _cut(text, found, number)
    return text


def _compose(text: str) -> MappingNode:
    root = yaml.compose(text, Loader=LOADER)
    if not isinstance(root, MappingNode):
        raise UneditableError("the file is not a mapping")
    return root


def _descend(root: MappingNode, path: Sequence[str]) -> tuple[Node, Sequence[str]]:
    """Return the node at the path and nothing, or the last node on the way and the keys that are missing."""
    node: Node = root
    for number, key in enumerate(path):
        if not isinstance(node, MappingNode):
            raise UneditableError(f"`{'.'.join(path[:number])}` is not a mapping")
        found = next((value for each, value in node.value if each.value == key), None)
        if found is None:
            return node, path[number:]
        node = found
    return node, ()


def _insert_list(text: str, parent: Node, keys: Sequence[str], item: str) -> str:
    """Make a list with one item at the end of a mapping."""
    if not isinstance(parent, MappingNode):
        raise UneditableError("what holds it is not a mapping")
    if parent.flow_style:
        inner = f"[{_scalar(item, flow=True)}]"
        for key in reversed(keys[1:]):
            inner = f"{{{key}: {inner}}}"
        comma = ", " if parent.value else ""
        end = parent.end_mark.index - 1
        return f"{text[:end].rstrip()}{comma}{keys[0]}: {inner}{text[end:]}"
    if not parent.value:
        raise UneditableError("the mapping is empty")
    column = parent.value[0][0].start_mark.column
    lines = [f"{' ' * (column + 2 * depth)}{key}:" for depth, key in enumerate(keys)]
    lines.append(f"{' ' * (column + 2 * len(keys))}- {_scalar(item, flow=False)}")
    gap = [""] if column == 0 else []  # between sections of the file an empty line
    return _insert_lines(text, _last(parent), [*gap, *lines])


def _append(text: str, found: SequenceNode, item: str) -> str:
    if found.flow_style:
        end = found.end_mark.index - 1
        body = text[:end].rstrip()
        comma = "" if not found.value or body.endswith(",") else ", "
        return f"{body}{comma}{_scalar(item, flow=True)}{text[end:]}"
    dash = _find_dash(text, found.value[-1])
    return _insert_lines(text, _last(found), [f"{dash}- {_scalar(item, flow=False)}"])


def _cut(text: str, found: SequenceNode, number: int) -> str:
    node = found.value[number]
    if found.flow_style:
        if number + 1 < len(found.value):
            return text[: node.start_mark.index] + text[found.value[number + 1].start_mark.index :]
        start = found.value[number - 1].end_mark.index if number else node.start_mark.index
        return text[:start] + text[node.end_mark.index :]
    _find_dash(text, node)
    start = text.rindex("\n", 0, node.start_mark.index) + 1
    end = _end_of_line(text, _last(node))
    if len(found.value) > 1:
        return text[:start] + text[end:]
    key_end = text.rindex(":", 0, start) + 1
    return f"{text[:key_end]} []{text[key_end:start]}{text[end:]}"


def _replace_nothing(text: str, node: Node, item: str) -> str:
    """Put a list where a key has no value."""
    if not isinstance(node, ScalarNode) or node.value or node.start_mark.index != node.end_mark.index:
        raise UneditableError("there is no list")
    return f"{text[: node.start_mark.index]} [{_scalar(item, flow=True)}]{text[node.end_mark.index :]}"


def _splice(text: str, node: Node, value: str) -> str:
    return text[: node.start_mark.index] + value + text[node.end_mark.index :]


def _find_dash(text: str, node: Node) -> str:
    """Return the indent of a block list's item."""
    start = text.rfind("\n", 0, node.start_mark.index) + 1
    before = text[start : node.start_mark.index]
    indent = before.partition("-")[0]
    if before.strip() != "-" or indent.strip():
        raise UneditableError("its items are not on lines of their own")
    return indent


def _last(node: Node) -> int:
    """Return where the last value in a node ends: a block's own end lies behind the comments after it."""
    while isinstance(node, MappingNode | SequenceNode) and not node.flow_style and node.value:
        child = node.value[-1]
        node = child[1] if isinstance(child, tuple) else child
    return int(node.end_mark.index)


def _insert_lines(text: str, after: int, lines: Sequence[str]) -> str:
    """Put lines behind the line that holds a position."""
    line_end = "\r\n" if "\r\n" in text else "\n"
    end = _end_of_line(text, after)
    before = text[:end] if text[:end].endswith("\n") else text[:end] + line_end
    return before + "".join(line + line_end for line in lines) + text[end:]


def _end_of_line(text: str, position: int) -> int:
    if position and text[position - 1] == "\n":  # a block scalar's end
        return position
    end = text.find("\n", position)
    return len(text) if end < 0 else end + 1


def _scalar(item: str, *, flow: bool) -> str:
    """Return an item as YAML: plain where every reader takes it for this text."""
    plain = not (flow and any(mark in item for mark in _FLOW_MARKS))
    try:
        plain = plain and yaml.safe_load(f"- {item}") == [item]
    except yaml.YAMLError:
        plain = False
    return item if plain else json.dumps(item)
