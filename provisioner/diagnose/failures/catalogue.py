"""Read the catalogue of known failures.

The catalogue travels with the package, so a mistake in it is a mistake of ours: the error names the entry.
The types are strict about keys and words; tests of the catalogue check the rest.
"""

import importlib.resources
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from provisioner.diagnose.failures.model import (
    Catalogue,
    Cause,
    Condition,
    Confidence,
    Evidence,
    Failure,
    FileCount,
    General,
    Installed,
    IntelSign,
    Language,
    Phase,
    Program,
    Severity,
    Signs,
    System,
)
from provisioner.diagnose.failures.signature import Signature, parse_signature, parse_signatures
from provisioner.errors import InternalError
from provisioner.ground.yaml_reader import read_document
from provisioner.ground.yaml_tree import plain

_Item = TypeVar("_Item")
_PROFILE_STEPS = {
    Language.EN: (
        "`provision create {profile}` (or the profile of your model) builds a fresh environment whose "
        "versions belong together."
    ),
    Language.ZH: "`provision create {profile}`（或你的模型的 profile）会建立版本相配的新环境。",  # noqa: RUF001 # Chinese
}
_SHOWN = {Language.EN: "(the log shows `{}`)", Language.ZH: "（日志里有 `{}`）"}  # noqa: RUF001 # Chinese


def load_catalogue(language: Language = Language.EN) -> Catalogue:
    """Return the catalogue that ships with the package.

    Args:
        language: Of titles, causes and cures.

    Raises:
        InternalError: The file is damaged; the message names the entry.
    """
    here = importlib.resources.files("provisioner.diagnose.failures")
    names = ("failures.yaml", "general.yaml", "codes.yaml", "signs.yaml")
    special, general, codes, signs = (here.joinpath(name).read_text("utf-8") for name in names)
    words = "{}" if language is Language.EN else here.joinpath(f"{language}.yaml").read_text("utf-8")
    return parse_catalogue(f"{special}\n{general}", codes, signs, words, language=language)


def parse_catalogue(
    text: str,
    codes_text: str = "{}",
    signs_text: str = "{}",
    words_text: str = "{}",
    *,
    language: Language = Language.EN,
) -> Catalogue:
    """Check the files and return the catalogue that they hold.

    Args:
        text: The known failures.
        codes_text: Numbers of error codes, by the library that prints them.
        signs_text: Signs of hardware, programs and systems.
        words_text: Titles, causes and cures of another language, by id.
        language: Of ``words_text``.

    Raises:
        InternalError: ``catalogue.invalid``; the message names the entry and what is wrong with it.
    """
    entries, tables, signs, words = (
        _read(each, name)
        for each, name in (
            (text, "failures.yaml"),
            (codes_text, "codes.yaml"),
            (signs_text, "signs.yaml"),
            (words_text, f"{language}.yaml"),
        )
    )
    if not isinstance(entries, list):
        raise _mistake("the catalogue of failures is no list of entries")
    if not isinstance(words, Mapping):
        raise _mistake(f"{language}.yaml is no table of words by id")
    failures: dict[str, Failure] = {}
    for number, entry in enumerate(entries, start=1):
        name = entry.get("id", f"#{number}") if isinstance(entry, dict) else f"#{number}"
        if name in failures:
            raise _mistake(f"catalogue entry `{name}`: the id is taken")
        try:
            translated = _translate(entry, words[name]) if name in words else entry
            failures[name] = _parse_failure(translated, tables, _PROFILE_STEPS[language])
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise _mistake(f"catalogue entry `{name}`: {error}") from error
    if unknown := words.keys() - failures:
        raise _mistake(f"there is no catalogue entry `{min(unknown)}`, of which {language}.yaml has words")
    for failure in failures.values():
        for cause_id in failure.caused_by:
            if cause_id not in failures or cause_id == failure.id:
                raise _mistake(
                    f"catalogue entry `{failure.id}`: `caused_by` names `{cause_id}`, no other entry"
                )
    try:
        return Catalogue(failures=failures, signs=_parse_signs(signs), shown=_SHOWN[language])
    except (ValueError, TypeError, AttributeError) as error:
        raise _mistake(f"the signs of hardware and programs: {error}") from error


def _translate(entry: Mapping[str, Any], words: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry with the words of another language; evidence stays with the cause that it backs."""
    if words.keys() != entry.keys() & {"title", "cause", "fix", "general"}:
        raise ValueError("the words of another language are title, cause and fix, and general where it is")
    cause = words["cause"]
    if not isinstance(cause, str):
        pairs = zip(entry["cause"], cause, strict=True)
        cause = [{**each, "text": text} for each, text in pairs]
    return {**entry, **words, "cause": cause}


def _read(text: str, name: str) -> Any:
    root, problems = read_document(text.encode(), name)
    if problems:
        raise _mistake(f"{problems[0].origin}: {problems[0].message}")
    return plain(root) if root is not None else None


def _mistake(message: str) -> InternalError:
    return InternalError("catalogue.invalid", message)


def _parse_failure(entry: Any, tables: Mapping[str, Any], profile_step: str) -> Failure:
    """Return one entry; a ``ValueError``, ``TypeError`` or ``AttributeError`` says what is wrong."""
    values: dict[str, Any] = {
        **_each(entry, "systems", System),
        **{name: _parse_all(entry[name]) for name in ("requires", "unless") if name in entry},
        **_each(entry, "conditions", _parse_condition),
        **{name: tuple(entry[name]) for name in ("caused_by", "examples", "sources") if name in entry},
        "signatures": _parse_all(_list_sources(entry, tables)),
        "phase": Phase(entry.get("phase")),
        "severity": Severity(entry.get("severity")),
        "confidence": Confidence(entry.get("confidence")),
        "intel": IntelSign(entry.get("intel", IntelSign.IMPLIED)),
    }
    if isinstance(entry.get("cause"), str):
        values["cause"] = (Cause(text=entry["cause"]),)
    else:
        values |= _each(entry, "cause", _parse_cause)
    if "general" in entry:
        general = entry["general"]
        values["general"] = General(**general | {"fix": _number_steps(general["fix"])})
    plain = {key: value for key, value in entry.items() if key not in {"codes", "profile"}}
    return Failure(**plain | values | _parse_fix(entry, profile_step))


def _parse_all(sources: Iterable[str]) -> tuple[Signature, ...]:
    return tuple(signature for source in sources for signature in parse_signatures(source))


def _parse_fix(entry: Mapping[str, Any], profile_step: str) -> dict[str, Any]:
    """Return the cure in its forms: a text, a list of steps, or either by program (``any``: the rest)."""
    if "fix" not in entry:
        return {}
    fix = entry["fix"] if isinstance(entry["fix"], dict) else {"any": entry["fix"]}
    steps = fix["any"]
    values: dict[str, Any] = {
        "fix": _number_steps(steps),
        "hints": tuple(steps) if isinstance(steps, list) else (),
        "fix_by_program": {name: _number_steps(each) for name, each in fix.items() if name != "any"},
    }
    if "profile" in entry:
        first = profile_step.format(profile=entry["profile"])
        values |= {"fix": _number_steps([first, *steps]), "fix_elsewhere": values["fix"]}
    return values


def _number_steps(steps: str | list[str]) -> str:
    if isinstance(steps, str):
        return steps
    if len(steps) == 1:
        return steps[0]
    return " ".join(f"({number}) {step}" for number, step in enumerate(steps, start=1))


def _list_sources(entry: Mapping[str, Any], tables: Mapping[str, Any]) -> list[str]:
    """Return the signatures of an entry and those of its ``codes`` (``ze: [NAME]``), as they are written."""
    sources = list(entry.get("signatures", ()))
    for library, names in entry.get("codes", {}).items():
        table = tables[library]
        for name in names:
            number = int(table["codes"][name] or "0", base=0)
            for form in table["forms"] if number else table["forms"][:1]:
                filled = form.replace("$name", name).replace("$hex", f"0x{number:x}")
                sources.append(filled.replace("$number", str(number)))
    return sources


def _parse_signs(signs: Mapping[str, Any]) -> Signs:
    values: dict[str, Any] = {
        **{name: _parse_all(signs[name]) for name in ("intel", "other") if name in signs},
        **_each(signs, "programs", _parse_program),
    }
    for key in ("systems", "cards", "versions"):
        table = signs.get(key, {})
        values[key] = {name: tuple(map(parse_signature, sources)) for name, sources in table.items()}
    return Signs(**values)


def _parse_program(value: Any) -> Program:
    return Program(**value | _each(value, "signatures", parse_signature))


def _parse_cause(value: Any) -> Cause:
    return Cause(**value | _each(value, "evidence", _parse_evidence))


def _parse_evidence(value: Any) -> Evidence:
    """Read a signature, or a list of signatures in which `!` marks those that the log must not hold."""
    parts = [value] if isinstance(value, str) else value
    return Evidence(
        present=tuple(parse_signature(part) for part in parts if not part.startswith("!")),
        absent=tuple(parse_signature(part[1:]) for part in parts if part.startswith("!")),
    )


def _parse_condition(value: Any) -> Condition:
    return Condition(
        **value
        | _each(value, "systems", System)
        | _each(value, "installed", _parse_installed)
        | _each(value, "absent", canonicalize_name)
        | _each(value, "minor_differs", canonicalize_name)
        | _each(value, "files", lambda part: FileCount(**part))
    )


def _parse_installed(value: Any) -> Installed:
    return Installed(
        **value
        | {"name": canonicalize_name(value["name"]), "version": SpecifierSet(value.get("version", ""))}
        | _each(value, "local", str)
        | _each(value, "local_not", str)
    )


def _each(entry: Mapping[str, Any], key: str, parse: Callable[[Any], _Item]) -> dict[str, tuple[_Item, ...]]:
    """Return the parsed items of a list under its key, nothing where the entry has none."""
    return {key: tuple(parse(item) for item in entry[key])} if key in entry else {}
