"""Read the catalogue of known failures.

The catalogue travels with the package, so a mistake in it is a mistake of ours: the error names the entry.
The types are strict about keys and words; tests of the catalogue check the rest.
"""

import importlib.resources
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, TypeVar

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from provisioner.diagnose.failures.answer import find_settings, number_steps
from provisioner.diagnose.failures.model import (
    Catalogue,
    Cause,
    Condition,
    Confidence,
    Evidence,
    Fact,
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
    Stack,
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
    entries = "\n".join(
        here.joinpath(name).read_text("utf-8") for name in ("failures.yaml", "general.yaml", "symptoms.yaml")
    )
    codes, signs, stack = (
        here.joinpath(name).read_text("utf-8") for name in ("codes.yaml", "signs.yaml", "stack.yaml")
    )
    words = "{}" if language is Language.EN else here.joinpath(f"{language}.yaml").read_text("utf-8")
    return parse_catalogue(entries, codes, signs, words, stack, language=language)


def parse_catalogue(
    text: str,
    codes_text: str = "{}",
    signs_text: str = "{}",
    words_text: str = "{}",
    stack_text: str = "{}",
    *,
    language: Language = Language.EN,
) -> Catalogue:
    """Check the files and return the catalogue that they hold.

    Args:
        text: The known failures.
        codes_text: Numbers of error codes, by the library that prints them.
        signs_text: Signs of hardware, programs and systems.
        words_text: Titles, causes and cures of another language, by id.
        stack_text: Releases, facts about them, and steps that entries share, in every language.
        language: Of ``words_text``, and of the texts that are taken from ``stack_text``.

    Raises:
        InternalError: ``catalogue.invalid``; the message names the entry and what is wrong with it.
    """
    entries, tables, signs, words, stack = (
        _read(each, name)
        for each, name in (
            (text, "failures.yaml"),
            (codes_text, "codes.yaml"),
            (signs_text, "signs.yaml"),
            (words_text, f"{language}.yaml"),
            (stack_text, "stack.yaml"),
        )
    )
    if not isinstance(entries, list):
        raise _mistake("the catalogue of failures is no list of entries")
    if not isinstance(words, Mapping):
        raise _mistake(f"{language}.yaml is no table of words by id")
    steps = _pick_language(stack.get("steps", {}), language)
    failures: dict[str, Failure] = {}
    for number, entry in enumerate(entries, start=1):
        name = entry.get("id", f"#{number}") if isinstance(entry, dict) else f"#{number}"
        if name in failures:
            raise _mistake(f"catalogue entry `{name}`: the id is taken")
        try:
            translated = _translate(entry, words[name]) if name in words else entry
            failures[name] = _parse_failure(translated, tables, _PROFILE_STEPS[language], steps)
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
        parsed = _parse_signs(signs)
    except (ValueError, TypeError, AttributeError) as error:
        raise _mistake(f"the signs of hardware and programs: {error}") from error
    facts = _parse_stack(_pick_language(stack, language), steps)
    named = {name for failure in failures.values() for name in failure.state} | set(facts.of_fallbacks)
    if unknown := named - facts.facts.keys():
        raise _mistake(f"there is no fact `{min(unknown)}` in stack.yaml, which an entry names under `state`")
    steps_of_all = (step for failure in failures.values() for step in _list_steps(failure))
    settings = {
        name: parse_signature(re.escape(name)) for step in steps_of_all for name in find_settings(step)
    }
    return Catalogue(failures=failures, signs=parsed, stack=facts, settings=settings, shown=_SHOWN[language])


def _list_steps(failure: Failure) -> Iterator[str]:
    yield from chain(failure.hints, *failure.hints_by_program.values())


def _pick_language(tree: Any, language: Language) -> Any:
    """Return a tree in which each text that is given in every language is that of one."""
    if not isinstance(tree, Mapping):
        return tree
    if tree.keys() == set(Language):
        return tree[language]
    return {name: _pick_language(each, language) for name, each in tree.items()}


def _parse_stack(stack: Mapping[str, Any], steps: Mapping[str, Mapping[str, str]]) -> Stack:
    facts = {}
    for name, entry in stack.get("facts", {}).items():
        lists: dict[str, tuple[Any, ...]] = {
            **{key: tuple(entry[key]) for key in ("programs", "systems", "architectures") if key in entry},
            **_each(entry, "shows", _parse_all),
            "lacks": _parse_all(entry.get("lacks", ())),
            "steps": tuple([step] if isinstance(step := entry.get("step", []), str) else step),
        }
        try:
            lists["replaces"] = tuple(
                text for step in entry.get("replaces", ()) for text in steps[step].values()
            )
            plain = {key: each for key, each in entry.items() if key not in {"source", "step"}}
            facts[name] = Fact(**plain | lists)
        except (ValueError, TypeError, KeyError) as error:
            raise _mistake(f"stack.yaml, fact `{name}`: {error}") from error
    of_fallbacks = tuple(stack.get("of_fallbacks", ()))
    return Stack(released=stack.get("released", {}), facts=facts, of_fallbacks=of_fallbacks)


def _translate(entry: Mapping[str, Any], words: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry with the words of another language; evidence stays with the cause that it backs."""
    if words.keys() != entry.keys() & {"title", "cause", "fix", "general"}:
        raise ValueError("the words of another language are title, cause and fix, and general where it is")
    cause = words["cause"]
    if isinstance(cause, dict):
        if cause.keys() != entry["cause"].keys():
            raise ValueError("the causes of another language are for the same programs")
        cause = {**cause, "any": _translate_causes(entry["cause"]["any"], cause["any"])}
    else:
        cause = _translate_causes(entry["cause"], cause)
    return {**entry, **words, "cause": cause}


def _translate_causes(cause: str | list[Any], words: str | list[Any]) -> str | list[Any]:
    if isinstance(words, str):
        return words
    return [
        {**each, **(own if isinstance(own, dict) else {"text": own})}
        for each, own in zip(cause, words, strict=True)
    ]


def _read(text: str, name: str) -> Any:
    root, problems = read_document(text.encode(), name)
    if problems:
        raise _mistake(f"{problems[0].origin}: {problems[0].message}")
    return plain(root) if root is not None else None


def _mistake(message: str) -> InternalError:
    return InternalError("catalogue.invalid", message)


def _parse_failure(
    entry: Any, tables: Mapping[str, Any], profile_step: str, steps: Mapping[str, Mapping[str, str]]
) -> Failure:
    """Return one entry; a ``ValueError``, ``TypeError`` or ``AttributeError`` says what is wrong."""
    values: dict[str, Any] = {
        **_each(entry, "systems", System),
        **{name: _parse_all(entry[name]) for name in ("requires", "unless") if name in entry},
        **_each(entry, "conditions", _parse_condition),
        **{
            name: tuple(entry[name])
            for name in ("caused_by", "examples", "sources", "state")
            if name in entry
        },
        "signatures": _parse_all(_list_sources(entry, tables)),
        "phase": Phase(entry.get("phase")),
        "severity": Severity(entry.get("severity")),
        "confidence": Confidence(entry.get("confidence")),
        "intel": IntelSign(entry.get("intel", IntelSign.IMPLIED)),
    }
    cause = entry.get("cause")
    if isinstance(cause, dict):
        values["cause"] = _parse_causes(cause["any"])
        values["cause_by_program"] = {name: text for name, text in cause.items() if name != "any"}
    elif cause is not None:
        values["cause"] = _parse_causes(cause)
    if "general" in entry:
        general = entry["general"]
        values["general"] = General(**general | {"fix": _join_steps(general["fix"])})
    plain = {key: value for key, value in entry.items() if key not in {"codes", "profile"}}
    parse_cure = _parse_symptom_fix(entry, steps) if entry.get("symptom") else _parse_fix(entry, profile_step)
    return Failure(**plain | values | parse_cure)


def _parse_all(sources: Iterable[str]) -> tuple[Signature, ...]:
    return tuple(signature for source in sources for signature in parse_signatures(source))


def _parse_symptom_fix(entry: Mapping[str, Any], steps: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return the cure of a symptom, in which ``$name`` is a shared step in the program's form."""
    fix = entry["fix"] if isinstance(entry["fix"], dict) else {"any": entry["fix"]}
    named = {name for each in fix.values() for name in each if name.startswith("$")}
    programs = {program for name in named for program in steps[name[1:]]} | fix.keys()
    hints = {}
    for program in sorted(programs):
        own = fix.get(program) or fix["any"]
        hints[program] = tuple(filled for step in own if (filled := _fill_step(step, program, steps)))
    return {
        "fix": number_steps(hints["any"]),
        "hints": hints.pop("any"),
        "hints_by_program": hints,
        "fix_by_program": {program: number_steps(each) for program, each in hints.items()},
    }


def _fill_step(step: str, program: str, steps: Mapping[str, Mapping[str, str]]) -> str:
    if not step.startswith("$"):
        return step
    forms = steps[step[1:]]
    return forms.get(program, forms.get("any", ""))


def _parse_fix(entry: Mapping[str, Any], profile_step: str) -> dict[str, Any]:
    """Return the cure in its forms: a text, a list of steps, or either by program (``any``: the rest)."""
    if "fix" not in entry:
        return {}
    fix = entry["fix"] if isinstance(entry["fix"], dict) else {"any": entry["fix"]}
    steps = fix["any"]
    values: dict[str, Any] = {
        "fix": _join_steps(steps),
        "hints": tuple(steps) if isinstance(steps, list) else (),
        "fix_by_program": {name: _join_steps(each) for name, each in fix.items() if name != "any"},
        "hints_by_program": {
            name: tuple(each) for name, each in fix.items() if name != "any" and isinstance(each, list)
        },
    }
    if "profile" in entry:
        first = profile_step.format(profile=entry["profile"])
        values |= {"fix": _join_steps([first, *steps]), "fix_elsewhere": values["fix"]}
    return values


def _join_steps(steps: str | list[str]) -> str:
    return steps if isinstance(steps, str) else number_steps(steps)


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
        **{name: _parse_all(signs[name]) for name in ("intel", "other", "unrelated") if name in signs},
        **_each(signs, "programs", _parse_program),
    }
    for key in ("systems", "cards", "architectures", "versions"):
        table = signs.get(key, {})
        values[key] = {name: tuple(map(parse_signature, sources)) for name, sources in table.items()}
    return Signs(**values)


def _parse_program(value: Any) -> Program:
    return Program(**value | _each(value, "signatures", parse_signature))


def _parse_causes(value: str | list[Any]) -> tuple[Cause, ...]:
    return (Cause(text=value),) if isinstance(value, str) else tuple(map(_parse_cause, value))


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
