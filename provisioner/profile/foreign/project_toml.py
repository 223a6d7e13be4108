"""Read ``pyproject.toml`` (PEP 621, PEP 735, what uv and Poetry add) and ``pixi.toml``."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.ground.names import PLATFORMS
from provisioner.profile.foreign.collect import EVERYWHERE, Collection


def read_pyproject(document: Mapping[str, Any], text: str, found: Collection) -> None:
    """Collect what a project needs to run; ``text`` is the file's, for the lines."""
    places = _Lines(text)
    project = _table(document, "project")
    if "requires-python" in project:
        wanted = str(project["requires-python"])
        found.add_python(places.find(wanted), f"requires-python {wanted}", wanted)
    if "name" in project:
        found.suggest_name(str(project["name"]))
        reason = "the project itself is not installed: run it with `provision run`"
        found.leave(places.find("name"), f"name {project['name']}", reason)
    for wanted in _texts(project.get("dependencies")):
        found.add_requirement(places.find(wanted), wanted)
    for kind, groups in (
        ("optional-dependencies", _table(project, "optional-dependencies")),
        ("dependency-groups", _table(document, "dependency-groups")),
    ):
        for name in groups:
            reason = "a profile has no groups: `provision add` what you need of it, or write a profile for it"
            found.leave(places.find(name), f"{kind}.{name}", reason)
    tools = _table(document, "tool")
    for name, source in _table(_table(tools, "uv"), "sources").items():
        where = ", ".join(sorted(source)) if isinstance(source, Mapping) else "list"
        reason = "files are locked from indexes; an index of its own is said by `indexes` and `pip.routes`"
        found.leave(places.find(name), f"tool.uv.sources.{name} ({where})", reason)
    poetry = _table(_table(tools, "poetry"), "dependencies")
    for name in _texts([_table(tools, "poetry").get("name")]):
        found.suggest_name(name)
    for name, wanted in poetry.items():
        _read_poetry(places.find(name), name, wanted, found)
    if "pixi" in tools:
        _read_pixi_table(_table(tools, "pixi"), places, found)


def read_pixi(document: Mapping[str, Any], text: str, found: Collection) -> None:
    """Collect the default feature of a workspace."""
    _read_pixi_table(document, _Lines(text), found)


def _read_poetry(line: int, name: str, wanted: Any, found: Collection) -> None:
    text = f"{name} {wanted}" if isinstance(wanted, str) else name
    if name == "python":
        if isinstance(wanted, str) and not wanted.startswith("^"):
            found.add_python(line, text, wanted)
        else:
            found.add_python(line, text, f">={str(wanted).lstrip('^')},<4")
    elif not isinstance(wanted, str):
        found.leave(line, text, "only a version can be taken of it; `provision add` it with its extras")
    elif (found_version := re.fullmatch(r"\^([0-9]+)\.([0-9]+)(\.[0-9]+)*", wanted)) is not None:
        major, minor = int(found_version[1]), int(found_version[2])
        below = f"{major + 1}" if major else f"0.{minor + 1}"
        found.add_requirement(line, f"{name}>={wanted[1:]},<{below}")
    elif wanted == "*":
        found.add_requirement(line, name)
    elif wanted.startswith(("=", ">", "<", "!", "~=")):
        found.add_requirement(line, f"{name}{wanted}")
    elif re.fullmatch(r"[0-9.]+", wanted):
        found.add_requirement(line, f"{name}=={wanted}")
    else:
        found.leave(line, text, "it is Poetry's own way to write a range; write it as `>=1,<2`")


def _read_pixi_table(pixi: Mapping[str, Any], places: "_Lines", found: Collection) -> None:
    for key in ("workspace", "project"):
        for name in _texts([_table(pixi, key).get("name")]):
            found.suggest_name(name)
        for channel in _texts(_table(pixi, key).get("channels")):
            found.add_channel(places.find(channel), channel)
        for platform in _texts(_table(pixi, key).get("platforms")):
            if platform not in PLATFORMS:
                reason = f"provision builds on {' and '.join(PLATFORMS)}"
                found.leave(places.find(platform), f"platform {platform}", reason)
    _read_pixi_packages(pixi, EVERYWHERE, places, found)
    for name, target in _table(pixi, "target").items():
        platforms = {"linux": "linux-64", "win": "win-64"}
        platform = platforms.get(name, name)
        if platform in PLATFORMS:
            _read_pixi_packages(target, platform, places, found)
        else:
            found.leave(places.find(name), f"target.{name}", f"provision builds on {' and '.join(PLATFORMS)}")
    for name, value in _table(_table(pixi, "activation"), "env").items():
        found.add_variable(places.find(name), name, str(value))
    for script in _texts(_table(pixi, "activation").get("scripts")):
        found.leave(places.find(script), script, "a profile sets variables and runs no scripts: `env`")
    reasons = {
        "feature": "a profile has one set of packages: write one for each, and `extends` what they share",
        "environments": "every profile is an environment of its own",
        "tasks": "a profile has no tasks: `provision run NAME -- PROGRAM`",
        "system-requirements": "what the machine needs is judged by `provision doctor`",
    }
    for key, reason in reasons.items():
        for name in _table(pixi, key):
            found.leave(places.find(name), f"{key}.{name}", reason)


def _read_pixi_packages(table: Mapping[str, Any], platform: str, places: "_Lines", found: Collection) -> None:
    for name, wanted in _table(table, "dependencies").items():
        version = wanted if isinstance(wanted, str) else _table({"w": wanted}, "w").get("version")
        line, text = places.find(name), f"{name} {wanted}"
        if not isinstance(version, str) or (isinstance(wanted, Mapping) and set(wanted) - {"version"}):
            found.leave(line, text, "only name and version can be said of a conda package")
        elif version == "*":
            found.add_conda(line, name, platforms=(platform,))
        else:
            operator = "" if re.match(r"[<>=!~]", version) else "="
            found.add_conda(line, f"{name}{operator or ' '}{version}", platforms=(platform,))
    for name, wanted in _table(table, "pypi-dependencies").items():
        line, text = places.find(name), f"{name} {wanted}"
        said = {"version": wanted} if isinstance(wanted, str) else dict(wanted)
        if set(said) - {"version", "extras"}:
            reason = (
                "files are locked from indexes; an index of its own is said by `indexes` and `pip.routes`"
            )
            found.leave(line, text, reason)
            continue
        extras = f"[{','.join(said['extras'])}]" if said.get("extras") else ""
        version = said.get("version", "*")
        version = "" if version == "*" else version if re.match(r"[<>=!~]", version) else f"=={version}.*"
        found.add_requirement(line, f"{name}{extras}{version}", platforms=(platform,))


class _Lines:
    """The places of words in a TOML text, whose parser gives none; of equal words the next each time."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._seen: dict[str, int] = {}

    def find(self, word: str) -> int:
        """Return the next line with a word that was not returned for it before; 0 where there is none."""
        for number in self._numbers(word):
            if number > self._seen.get(word, 0):
                self._seen[word] = number
                return number
        return self._seen.get(word, 0)

    def _numbers(self, word: str) -> Iterator[int]:
        pattern = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
        for number, line in enumerate(self._lines, start=1):
            if pattern.search(line.partition("#")[0] if '"' not in line else line):
                yield number


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
