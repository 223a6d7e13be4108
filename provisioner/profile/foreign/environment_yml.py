"""Read ``environment.yml`` (conda-env's format) and ``conda-lock.yml`` (conda-lock's, version 1)."""

import re

from provisioner.ground.names import PLATFORMS
from provisioner.ground.yaml_tree import Branch, Leaf, Node, Table, find_items, find_node, find_texts
from provisioner.profile.foreign.collect import Collection
from provisioner.profile.foreign.requirements import read_requirements


def read_environment(root: Table, found: Collection) -> None:
    """Collect the entries of an environment file."""
    for entry in root:
        key, line = entry.key.text, entry.key.origin.line
        if key == "dependencies":
            for item in find_items(root, key):
                _read_dependency(item, found)
        elif key == "channels":
            for item in find_items(root, key):
                if isinstance(item, Leaf):
                    found.add_channel(item.origin.line, item.text)
        elif key == "variables":
            for name, value in find_texts(root, key):
                found.add_variable(name.origin.line, name.text, value.text)
        elif key == "name" and isinstance(entry.value, Leaf):
            found.add_name(line, entry.value.text)
        elif key == "prefix":
            found.leave(line, key, "provision chooses the folder")
        else:
            found.leave(line, key, "a profile has no such key")


def _read_dependency(item: Node, found: Collection) -> None:
    if isinstance(item, Leaf):
        found.add_conda(item.origin.line, item.text)
        return
    for each in find_items(item, "pip"):
        if isinstance(each, Leaf):
            read_line(each, found)


def read_line(leaf: Leaf, found: Collection) -> None:
    """Collect one line of pip's inside a YAML list."""
    before = len(found.lines)
    read_requirements(leaf.text, found)
    line = leaf.origin.line
    for number in range(before, len(found.lines)):
        each = found.lines[number]
        found.lines[number] = type(each)(line=line, text=each.text, reason=each.reason)


def read_conda_lock(root: Table, found: Collection) -> None:
    """Collect the packages of a lock with their versions; builds, addresses and hashes are locked anew."""
    for channel in find_items(root, "metadata", "channels"):
        url = find_node(channel, "url") if isinstance(channel, Table) else channel
        if isinstance(url, Leaf):
            found.add_channel(url.origin.line, url.text)
    packages = root.get("package")
    for package in packages.items if isinstance(packages, Branch) else ():
        if not isinstance(package, Table):
            continue
        said = {key.text: value.text for key, value in find_texts(package)}
        line = package.origin.line
        name, version, platform = (said.get(key, "") for key in ("name", "version", "platform"))
        if platform not in PLATFORMS:
            found.leave(
                line, f"{name} {version} ({platform})", f"provision builds on {' and '.join(PLATFORMS)}"
            )
        elif re.match(r"__|_", name) or said.get("manager") not in {"conda", "pip"}:
            found.leave(line, f"{name} {version}", "it is no package that a profile names")
        elif said["manager"] == "pip":
            found.add_requirement(line, f"{name}=={version}", platforms=(platform,))
        else:
            found.add_conda(line, f"{name}={version}", platforms=(platform,))
