import copy
import math
import re
from typing import Any

import pytest
import yaml

from provisioner.diagnose.failures.catalogue import load_catalogue, parse_catalogue
from provisioner.diagnose.failures.explain import list_signatures
from provisioner.diagnose.failures.model import System
from provisioner.diagnose.failures.signature import Signature, parse_signature, parse_signatures
from provisioner.errors import InternalError

CATALOGUE = load_catalogue()
SIGNATURES = tuple({signature.source: signature for signature in list_signatures(CATALOGUE)}.values())

ENTRY: dict[str, Any] = {
    "id": "an-entry",
    "title": "a title",
    "phase": "import",
    "systems": ["linux"],
    "severity": "fatal",
    "confidence": "high",
    "cause": "a cause",
    "fix": "a fix",
    "signatures": ["some message"],
    "examples": ["some message"],
    "sources": ["owner/repository#1"],
}


def changed(**changes: Any) -> str:
    entry = copy.deepcopy(ENTRY) | changes
    return yaml.safe_dump([{key: value for key, value in entry.items() if value is not ...}])


def test_a_complete_entry_is_read() -> None:
    """What the entry says is what the failure holds."""
    found = {"systems": ["windows"], "installed": [{"name": "Foo_Bar", "version": "<2", "local": ["xpu"]}]}
    failure = parse_catalogue(changed(conditions=[found], fix=["do this", "do that"])).failures["an-entry"]
    assert failure.cause[0].text == "a cause"
    assert failure.fix == "(1) do this (2) do that"
    assert failure.hints == ("do this", "do that")
    assert failure.conditions[0].systems == (System.WINDOWS,)
    assert failure.conditions[0].installed[0].name == "foo-bar"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fix": ...}, "'fix'"),
        ({"fixes": "x"}, "'fixes'"),
        ({"phase": "later"}, "later"),
        ({"severity": "bad"}, "bad"),
        ({"confidence": "sure"}, "sure"),
        ({"systems": ["macos"]}, "macos"),
        ({"cause": [{"text": "x", "evidence": ["ab"]}]}, "literal part"),
        ({"cause": [{"evidence": ["some message"]}]}, "'text'"),
        ({"caused_by": ["nobody"]}, "`nobody`"),
        ({"caused_by": ["an-entry"]}, "`an-entry`"),
        ({"conditions": [{"installed": [{"name": "x", "version": "newer"}]}]}, "newer"),
    ],
)
def test_a_mistake_names_the_entry(changes: dict[str, Any], said: str) -> None:
    """A mistake in the catalogue is refused with the entry's id and what is wrong."""
    with pytest.raises(InternalError) as caught:
        parse_catalogue(changed(**changes))
    assert caught.value.code == "catalogue.invalid"
    assert said in caught.value.message
    assert "an-entry" in caught.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (changed() + changed(), "the id is taken"),
        (changed() + "  title: again\n", "already given"),
        ("- just text", "`#1`"),
        ("id: an-entry", "no list"),
        ("- [", "not YAML"),
    ],
)
def test_a_damaged_file_is_refused(text: str, said: str) -> None:
    """Equal ids, equal keys, and what is no list of entries are errors."""
    with pytest.raises(InternalError, match=re.escape(said)):
        parse_catalogue(text)


def test_a_repeat_without_an_upper_bound_of_its_own_is_refused() -> None:
    r"""``\d{3}`` would be looked for as the characters ``{3}``, and never be found."""
    with pytest.raises(ValueError, match=r"write `\{3,3\}`"):
        parse_signature(r"Exit code: \d{3}")


def test_a_signature_whose_text_stands_in_a_group_is_one_for_each_alternative() -> None:
    """Alternatives without a literal part beside them are looked for one by one, each with its own."""
    signatures = parse_signatures("(?:gives?|returns) NaN")
    assert [signature.anchor for signature in signatures] == [b"give", b"returnsnan"]
    with pytest.raises(ValueError, match="literal part"):
        parse_signatures("(?:ab|returns) x")


@pytest.mark.parametrize("source", ["(?:message)", "a.b.c", "mess{0,1}"])
def test_a_signature_without_a_literal_part_is_refused(source: str) -> None:
    """What every match contains is looked for first, so there must be something."""
    with pytest.raises(ValueError, match="literal part"):
        parse_signature(source)


def test_a_signature_ignores_what_copying_alters() -> None:
    """White space, quotes, case and separators in a signature mean nothing, also where they are repeated."""
    signature = parse_signature("No module named ['\"]?intel[-_. ]?extension-for_pytorch'?")
    assert signature.find(b"nomodulenamedintelextensionforpytorch", most_bytes=1000) == (0, 37)
    assert signature.anchor == b"extensionforpytorch"


@pytest.mark.parametrize("name", CATALOGUE.failures)
def test_an_entry_is_complete(name: str) -> None:
    """Ids are words, no text is empty, every list says something, and nothing is said twice."""
    failure = CATALOGUE.failures[name]
    assert re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", name)
    assert failure.systems
    assert failure.signatures
    causes = [cause.text for cause in failure.cause]
    lists: list[tuple[str, ...]] = [tuple(causes), failure.examples, failure.sources]
    for texts in (*lists, (failure.title, failure.fix), failure.hints, failure.caused_by):
        assert all(isinstance(text, str) and text.strip() for text in texts)
    assert all(lists)
    for signatures in (failure.signatures, failure.requires, failure.unless):
        assert len({signature.pattern for signature in signatures}) == len(signatures)
    assert all(evidence.present for cause in failure.cause for evidence in cause.evidence)
    for condition in failure.conditions:
        assert condition.installed or condition.minor_differs or condition.files
        assert condition.minor_differs is None or len(condition.minor_differs) == 2
        assert all(count.glob == count.glob.lower() for count in condition.files)
        assert all(count.at_least or count.at_most is not None for count in condition.files)


ESCAPED = re.compile(r"\\.|\[\^?(?:\\.|[^\]\\])+\]")


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda signature: signature.source)
def test_no_log_makes_a_signature_slow(signature: Signature) -> None:
    """Repeats are bounded, short and of single characters; alternatives stand in groups; each can match."""
    assert re.compile(signature.pattern)
    assert not re.search(
        rb"(?:\(\?(?:[:=!]|<[=!])|\|)(?:\||\))", signature.pattern
    )  # a part in which nothing counts
    assert set(re.findall(r"\\(\w)", signature.source)) <= set("dwDW")
    assert all(
        part == part.lower() and part.isascii() for part in ESCAPED.findall(signature.source) if "[" in part
    )
    bare = ESCAPED.sub("x", signature.source)
    assert not re.search(r"[*+^$]|\((?!\?(?:[:=!]|<[=!]))|\)\{|[^\x00-\x7f][{?]", bare)
    assert bare.split("(")[0].count("|") == 0
    limits = [int(most or 1) for most in re.findall(r"\{\d+,(\d+)\}|(?<!\()\?", bare)]
    assert max(limits, default=0) <= 600
    assert math.prod(limit + 1 for limit in limits) <= 300_000  # steps of one failing try


def test_the_catalogue_is_whole() -> None:
    """Nothing was lost in reading."""
    assert len(CATALOGUE.failures) >= 96
