"""Laws of changing one key in a JSON file with comments: what is not the key stays, byte for byte."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.ground.json_edit import read_json, remove_key, set_key
from provisioner.ground.yaml_edit import UneditableError

KEY = "python.defaultInterpreterPath"
NAMES = st.text(alphabet='ab"\\/{}[],:\u4e2d ', min_size=1, max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | NAMES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
COMMENTS = st.sampled_from(["", " // why", " /* , */", " // }", "\n    // a line of its own"])


@st.composite
def settings(draw: st.DrawFn) -> str:
    """Return settings as people write them: a key on a line, comments, perhaps a comma before the brace."""
    members = draw(st.dictionaries(NAMES, VALUES, max_size=3))
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in members.items()]
    last = draw(st.sampled_from(["", ","]))
    commas = [*[","] * (len(lines) - 1), last]
    body = "".join(
        f"    {line}{comma}{draw(COMMENTS)}\n" for line, comma in zip(lines, commas, strict=bool(lines))
    )
    return f"{draw(st.sampled_from(['', '// head' + chr(10)]))}{{{draw(COMMENTS)}\n{body}}}\n"


@given(text=settings(), value=NAMES)
def test_a_key_is_set_and_nothing_else(text: str, value: str) -> None:
    """The object has the key, and every line that was there is there, in its order, but for a comma."""
    before = read_json(text)
    after = set_key(text, KEY, value)
    assert read_json(after) == before | {KEY: value}
    assert set_key(after, KEY, value) == after
    kept = [line.replace(",", "") for line in after.splitlines() if KEY not in line]
    assert kept == [line.replace(",", "") for line in text.splitlines()]


@given(text=settings())
def test_a_key_that_was_set_is_taken_out_again(text: str) -> None:
    """Setting and removing gives the same text, but for the comma before a brace."""
    back = remove_key(set_key(text, KEY, "x"), KEY)
    assert read_json(back) == read_json(text)
    assert back.replace(",", "") == text.replace(",", "")


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("", '{\n    "k": "v"\n}\n'),
        ("// only\n", '// only\n{\n    "k": "v"\n}\n'),
        ('{"a": 1}', '{"a": 1, "k": "v"}'),
        ('{\r\n\t"a": 1\r\n}', '{\r\n\t"a": 1,\r\n\t"k": "v"\r\n}'),
        ('{\n  "k": "old", // mine\n}', '{\n  "k": "v", // mine\n}'),
        ('{"k": 1, "k": {"x": [2]}}', '{"k": 1, "k": "v"}'),
    ],
)
def test_layouts_stay(text: str, after: str) -> None:
    """An empty file, one line, Windows' line ends, a comment beside the value, a key that stands twice."""
    assert set_key(text, "k", "v") == after


@pytest.mark.parametrize(
    "text", ["[1]", '{"a":}', '{"a" 1}', '{"a": 1', '{"a": 1,,}', "hello", '"x"', "{'a': 1}"]
)
def test_what_is_no_object_is_refused(text: str) -> None:
    """A text that cannot be read is not changed."""
    with pytest.raises(UneditableError):
        set_key(text, "k", "v")
