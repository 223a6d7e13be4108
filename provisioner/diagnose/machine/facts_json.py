"""The JSON document of a machine's facts (``provision.host/1``): without private words, read as hostile."""

import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from provisioner.diagnose.machine.facts import HostFacts
from provisioner.errors import UsageError
from provisioner.ground.text import escape_controls, replace_controls, shown

SCHEMA = "provision.host/1"

_LONGEST_TEXT = 8192
_LONGEST_LIST = 20_000
_HOMES = ("HOME", "USERPROFILE")
_NAMES = ("USER", "LOGNAME", "USERNAME", "HOSTNAME", "COMPUTERNAME", "USERDOMAIN")
# Only these hold free text or paths; the others are names that the rules compare.
_FREE_TEXT = {
    "variables",
    "target",
    "path",
    "detail",
    "error",
    "damage",
    "missing_libraries",
    "changed",
    "opencl_vendors",
    "unread",
}


def as_json(facts: HostFacts) -> dict[str, Any]:
    """Return the document that `parse_facts` reads; unknown values are left out."""
    return {"schema": SCHEMA} | asdict(facts, dict_factory=_drop_unknown)


def parse_facts(document: object) -> HostFacts:
    """Read a document of `as_json`, from anywhere; keys that this version does not know are left aside.

    Raises:
        UsageError: ``doctor.bad_facts``; it is of another schema, or a value has another type.
    """
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise _bad("$", f"a document of schema `{SCHEMA}`")
    facts: HostFacts = _read_dataclass(HostFacts, document, "$")
    return facts


def scrub(facts: HostFacts, *, variables: Mapping[str, str]) -> HostFacts:
    """Return the facts without the user's and machine's names, home folders and passwords in addresses.

    Args:
        facts: As gathered; device nodes keep their paths.
        variables: The inherited environment, which knows those names.
    """
    upper = {name.upper(): value for name, value in variables.items()}
    homes = sorted((upper.get(name, "") for name in _HOMES), key=len, reverse=True)
    words = [upper[name] for name in _NAMES if len(upper.get(name, "")) >= 3]

    def hide(value: Any, *, free: bool) -> Any:
        if isinstance(value, dict):
            return {key: hide(item, free=free or key in _FREE_TEXT) for key, item in value.items()}
        if isinstance(value, tuple):
            return [hide(item, free=free) for item in value]
        if isinstance(value, str):
            text = _hide_private(value, homes=homes, words=words) if free else value
            return replace_controls(text[:_LONGEST_TEXT], "?")
        return value

    return parse_facts(hide(as_json(facts), free=False))


def _hide_private(text: str, *, homes: Iterable[str], words: Iterable[str]) -> str:
    for home in homes:
        text = text.replace(home, "~") if len(home) > 1 else text
    text = re.sub(r"(?i)(/home/|/users/|[a-z]:\\users\\)[^/\\:;]+", "~", text)
    text = re.sub(r"(?<=://)[^/@\s]+@", "", text)
    for word in words:
        text = re.sub(rf"(?i)(?<![\w-]){re.escape(word)}(?![\w-])", "<hidden>", text)
    return text


def _drop_unknown(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in pairs if value is not None}


def _read_dataclass(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _bad(where, "an object")
    hints = typing.get_type_hints(kind)
    names = [each.name for each in fields(kind)]
    given = {name: _read(hints[name], value[name], f"{where}.{name}") for name in names if name in value}
    try:
        return kind(**given)
    except TypeError as error:
        raise _bad(where, f"an object with every key that `{kind.__name__}` needs") from error


def _read(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if value is None else _read(arguments[0], value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple) or len(value) > _LONGEST_LIST:
            raise _bad(where, "a list")
        return tuple(_read(arguments[0], item, f"{where}[{at}]") for at, item in enumerate(value))
    if origin is Mapping:
        if not isinstance(value, dict) or len(value) > _LONGEST_LIST:
            raise _bad(where, "an object")
        return {_read(str, key, where): _read(str, item, f"{where}.{key}") for key, item in value.items()}
    if is_dataclass(kind):
        return _read_dataclass(typing.cast("type", kind), value, where)
    if type(value) is not kind:  # exact: a bool is no number here
        raise _bad(where, f"`{kind.__name__}`")
    if isinstance(value, str) and (len(value) > _LONGEST_TEXT or not value.isprintable()):
        raise _bad(where, "one line of printable text")
    return value


def _bad(where: str, wanted: str) -> UsageError:
    return UsageError(
        "doctor.bad_facts",
        f"cannot read the machine's facts: {shown(where)} is not {wanted}",
        hints=("write the file again with `provision doctor --save FILE`",),
        context={"where": escape_controls(where)},
    )
