import copy
import re
from typing import Any

import pytest
import yaml

from provisioner.diagnose.failures.catalogue import load_catalogue, parse_catalogue
from provisioner.diagnose.failures.model import Platform
from provisioner.diagnose.failures.signature import parse_signature
from provisioner.errors import InternalError

ENTRY: dict[str, Any] = {
    "id": "an-entry",
    "title": "a title",
    "stage": "import",
    "platforms": ["linux"],
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
    probe = {"platforms": ["windows"], "installed": [{"name": "Foo_Bar", "version": "<2", "local": ["xpu"]}]}
    failure = parse_catalogue(changed(probes=[probe])).failures["an-entry"]
    assert failure.causes[0].text == "a cause"
    assert failure.probes[0].platforms == (Platform.WINDOWS,)
    assert failure.probes[0].installed[0].name == "foo-bar"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fix": ...}, "lacks `fix`"),
        ({"fixes": "x"}, "unknown key `fixes`"),
        ({"id": "An Entry"}, "`id`"),
        ({"title": " "}, "`title`"),
        ({"title": 3}, "`title`"),
        ({"stage": "later"}, "later"),
        ({"severity": "bad"}, "bad"),
        ({"confidence": "sure"}, "sure"),
        ({"platforms": ["macos"]}, "macos"),
        ({"platforms": []}, "`platforms`"),
        ({"examples": []}, "`examples`"),
        ({"sources": "owner/repository#1"}, "`sources`"),
        ({"signatures": ["a.*b message"]}, "`*`"),
        ({"cause": [{"text": "x", "evidence": ["ab"]}]}, "literal part"),
        ({"cause": [{"evidence": ["some message"]}]}, "lacks `text`"),
        ({"cause": [{"text": "x", "evidence": [["!some message"]]}]}, "names nothing"),
        ({"caused_by": ["nobody"]}, "`nobody`"),
        ({"caused_by": ["an-entry"]}, "`an-entry`"),
        ({"probes": [{"absent": ["x"]}]}, "a probe names"),
        ({"probes": [{"minor_differs": ["x"]}]}, "a probe names"),
        ({"probes": [{"installed": [{"name": "x", "version": "newer"}]}]}, "`version`"),
        ({"probes": [{"files": [{"glob": "*.dll"}]}]}, "whole number"),
    ],
)
def test_a_mistake_names_the_entry(changes: dict[str, Any], said: str) -> None:
    """A mistake in the catalogue is refused with the entry's id and what is wrong."""
    with pytest.raises(InternalError) as caught:
        parse_catalogue(changed(**changes))
    assert caught.value.code == "catalogue.invalid"
    assert said in caught.value.message
    assert ("an-entry" if changes.get("id") is None else changes["id"]) in caught.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (changed() + changed(), "the id is taken"),
        (changed() + "  title: again\n", "given twice"),
        ("- just text", "`#1`"),
        ("id: an-entry", "no list"),
        ("- [", "no YAML"),
    ],
)
def test_a_damaged_file_is_refused(text: str, said: str) -> None:
    """Equal ids, equal keys, and what is no list of entries are errors."""
    with pytest.raises(InternalError, match=re.escape(said)):
        parse_catalogue(text)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("message .*", "`*`"),
        ("message a+", "`+`"),
        ("^message", "`^`"),
        ("message|other", "`|`"),
        ("(message)", "`(`"),
        ("message (?:ab){0,3}", "single characters"),
        ("message .{0,900}", "more than 600"),
        ("message .{0,500}a.{0,500}b.{0,500}", "take too long"),
        ("message \\bword", "`\\b`"),
        ("message [A-Z]", "capitals"),
        ("message (?:a", "unclosed"),
        ("message )", "not open"),
        ("message (?!_)", "nothing counts"),
        ("message (?:a|-)", "nothing counts"),
        ("找不到{0,3}message", "beyond ASCII"),
        ("(?:message)", "literal part"),
        ("a.b.c", "literal part"),
        ("message (?<=a{0,3})", "no regular expression"),
    ],
)
def test_a_signature_that_could_be_slow_or_never_match_is_refused(source: str, said: str) -> None:
    """Unbounded repeats, anchors of lines, capitals in sets and a missing literal part are errors."""
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_signature(source)


def test_a_signature_ignores_what_copying_alters() -> None:
    """White space, quotes, case and separators in a signature mean nothing, also where they are repeated."""
    signature = parse_signature("No module named ['\"]?intel[-_. ]?extension-for_pytorch'?")
    assert signature.find(b"nomodulenamedintelextensionforpytorch") == (0, 37)
    assert signature.anchor == b"extensionforpytorch"


def test_every_signature_of_the_catalogue_compiles_and_says_one_thing() -> None:
    """No signature is written twice in the same list, and each entry's own ids are spelled right."""
    catalogue = load_catalogue()
    for failure in catalogue.failures.values():
        for signatures in (failure.signatures, failure.requires, failure.unless):
            patterns = [signature.pattern for signature in signatures]
            assert len(patterns) == len(set(patterns)), failure.id
            assert all(re.compile(pattern) for pattern in patterns)
    assert len(catalogue.failures) >= 96
