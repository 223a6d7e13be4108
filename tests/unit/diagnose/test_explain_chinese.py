"""The Chinese texts: every entry has them, and all that a person copies is the same in both languages."""

import re
from collections.abc import Iterator

import pytest
from rich.cells import cell_len

from provisioner.diagnose.failures.catalogue import load_catalogue, parse_catalogue
from provisioner.diagnose.failures.explain import explain_text
from provisioner.diagnose.failures.model import Failure, Language
from provisioner.errors import InternalError
from provisioner.render.explain import describe_match

ENGLISH = load_catalogue()
CHINESE = load_catalogue(Language.ZH)
_CHINESE_CHARACTER = re.compile("[\u4e00-\u9fff]")
_STEP = re.compile(r"\(\d+\) ")
_COPIED = re.compile(
    r"""
      `[^`]+`                                                                    # code spans
    | https?://[^\s),;"\u201c\u201d\u3000-\u303f\uff00-\uffef]+                  # addresses
    | (?<![\w-])--[a-z][\w-]+                                                    # options
    | \b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?:=[\w:.,/-]*\w)?                          # variables and error codes
    | [\w.\[\]+-]+==[\w.+*]+\w                                                   # requirements
    | \b[\w-]+\.(?:dll|so|py|json|ya?ml|toml|exe|bat|sh|whl|cfg|txt|ini|md)\b    # files
    | (?<![\w.])\d+\.\d+(?:\.\d+)*(?:[\w+]*\w)?                                  # versions
    | \b[a-z]+(?:_[a-z0-9]+)+\b | \b\w+\.[\w.]+\(                                # names in code
    | \b(?:pip|conda|apt|apt-get|brew)\ (?:un)?install\b                         # commands
    | \b(?:provision\ [a-z]+|sudo\ (?:apt|usermod|systemctl)|git\ (?:pull|clone|checkout)|pip\ cache)\b
    """,
    re.ASCII | re.VERBOSE,
)


def texts(failure: Failure) -> Iterator[tuple[str, str]]:
    """Give each text that a person is shown, with its place in the entry."""
    yield "title", failure.title
    for number, cause in enumerate(failure.cause):
        yield f"cause {number}", cause.text
        yield f"step of cause {number}", cause.step
    yield from failure.cause_by_program.items()
    yield "fix", failure.fix
    yield "fix elsewhere", failure.fix_elsewhere or ""
    yield from failure.fix_by_program.items()
    if failure.general:
        yield "general title", failure.general.title
        yield "general cause", failure.general.cause
        yield "general fix", failure.general.fix


def copied(text: str) -> set[str]:
    return {found.rstrip(".:") for found in _COPIED.findall(text)}


def test_what_is_copied_is_found() -> None:
    """The comparison below sees spans, addresses, options, variables, versions and commands."""
    text = (
        "`a b`, pip install torch==2.9.1+xpu --pre from https://x.org/whl. X_Y=1; sudo apt update after 2.5"
    )
    assert copied(text) == {
        *("`a b`", "pip install", "torch==2.9.1+xpu", "--pre", "https://x.org/whl"),
        *("X_Y=1", "sudo apt", "2.5"),
    }


@pytest.mark.parametrize("name", ENGLISH.failures)
def test_every_entry_has_chinese_text_with_the_same_names_and_commands(name: str) -> None:
    """Each title, cause and cure is Chinese, has as many steps, and names the same things."""
    pairs = zip(texts(ENGLISH.failures[name]), texts(CHINESE.failures[name]), strict=True)
    for (place, english), (same_place, chinese) in pairs:
        assert same_place == place
        assert bool(_CHINESE_CHARACTER.search(chinese)) == bool(english), f"{place}: {chinese}"
        assert len(_STEP.findall(chinese)) == len(_STEP.findall(english)), place
        assert copied(chinese) == copied(english), place


@pytest.mark.parametrize("name", ENGLISH.failures)
def test_chinese_text_fits_80_columns_and_keeps_every_word(name: str) -> None:
    """A Chinese character takes two columns, and a line breaks between any two of them."""
    example = ENGLISH.failures[name].examples[0]
    match = next(match for match in explain_text([example], CHINESE) if match.id == name)
    lines = describe_match(match, Language.ZH).splitlines()
    wide = [line for line in lines[3:] if cell_len(line) > 80 and _CHINESE_CHARACTER.search(line)]
    assert wide == []
    shown = "".join("".join(lines).split())
    assert "".join(match.fix.split()) in shown
    assert "".join(match.cause.split()) in shown


def test_the_language_changes_nothing_that_is_recognised() -> None:
    """The same entries at the same lines, and headings in the language of the text."""
    log = ["Native API failed. Native API returns: 40 (UR_RESULT_ERROR_OUT_OF_RESOURCES)\n"]
    english, chinese = (explain_text(log, catalogue) for catalogue in (ENGLISH, CHINESE))
    assert [(match.id, match.line) for match in chinese] == [(match.id, match.line) for match in english]
    assert "原因" in describe_match(chinese[0], Language.ZH)
    assert "cause" in describe_match(english[0])


@pytest.mark.parametrize(
    "words",
    [
        "nothing-of-this-name: {title: 标题, cause: 原因, fix: [办法]}",
        "known-one: {title: 标题, cause: 原因}",
        "known-one: {title: 标题, cause: 原因, fix: [办法], confidence: high}",
        "known-one: {title: 标题, cause: [一, 二], fix: [办法]}",
        "[known-one]",
    ],
)
def test_damaged_words_are_refused(words: str) -> None:
    """Words of no entry, words left out, and anything but words are a mistake of the package."""
    entry = """
- id: known-one
  title: title
  phase: import
  systems: [linux]
  severity: fatal
  confidence: high
  cause: cause
  fix: [cure]
  signatures: [one certain message]
  examples: [one certain message]
  sources: [owner/repository#1]
"""
    parse_catalogue(entry)
    with pytest.raises(InternalError):
        parse_catalogue(entry, words_text=words, language=Language.ZH)


@pytest.mark.parametrize("name", ENGLISH.stack.facts)
def test_every_fact_has_chinese_text_with_the_same_names_and_commands(name: str) -> None:
    """What versions, programs and cards of a log mean is said in both languages, with the same steps."""
    english, chinese = ENGLISH.stack.facts[name], CHINESE.stack.facts[name]
    for one, other in zip((english.cause, *english.steps), (chinese.cause, *chinese.steps), strict=True):
        assert _CHINESE_CHARACTER.search(other), other
        assert copied(other) == copied(one)
        assert set(re.findall(r"\{\w+\}", other)) == set(re.findall(r"\{\w+\}", one))
