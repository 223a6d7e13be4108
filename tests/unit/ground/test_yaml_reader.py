"""The YAML reader: what it keeps, what it refuses, and where it says so."""

import time
from pathlib import Path

import pytest
import yaml

from provisioner.errors import ErrorList
from provisioner.ground import yaml_reader
from provisioner.ground.yaml_fields import Flag, MapOf, Record, Text, check_node
from provisioner.ground.yaml_reader import read_yaml
from provisioner.ground.yaml_tree import Kind, Leaf, PlacedProblem, Table, plain, raise_problems


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run every test with libyaml's parser and with PyYAML's own."""
    if not hasattr(yaml, request.param):
        pytest.skip("this PyYAML was built without libyaml")
    monkeypatch.setattr(yaml_reader, "LOADER", getattr(yaml, request.param))
    return str(request.param)


def read(text: str | bytes) -> Table:
    """Read a document that must be without problems."""
    root, problems = read_yaml(text.encode() if isinstance(text, str) else text, "p.yaml")
    assert problems == []
    assert root is not None
    return root


def refused(text: str | bytes) -> list[PlacedProblem]:
    """Read a document that must have problems."""
    _, problems = read_yaml(text.encode() if isinstance(text, str) else text, "p.yaml")
    assert problems
    return problems


def places(problems: list[PlacedProblem]) -> list[str]:
    return [f"{p.code} {p.origin.line}:{p.origin.column}" for p in problems]


def test_every_value_keeps_its_place() -> None:
    """A value's origin is the file, line and column at which it begins."""
    root = read("# profile\na: x\nb:\n  - one\n  - {c: two}\n")
    assert plain(root) == {"a": "x", "b": ["one", {"c": "two"}]}
    found = root.get("b")
    assert found is not None
    assert str(found.origin) == "p.yaml:4:3"
    assert [str(entry.key.origin) for entry in root] == ["p.yaml:2:1", "p.yaml:3:1"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_system_count_lines_alike(end: str) -> None:
    """Windows' line ends neither enter the values nor shift the lines."""
    root = read(end.join(["a: x", "b: y", ""]))
    assert plain(root) == {"a": "x", "b": "y"}
    assert [entry.value.origin.line for entry in root] == [1, 2]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("3.10", Kind.DECIMAL),
        ("1e3", Kind.DECIMAL),
        (".5", Kind.DECIMAL),
        ("-.inf", Kind.DECIMAL),
        ("3", Kind.INTEGER),
        ("0777", Kind.INTEGER),
        ("0o17", Kind.INTEGER),
        ("0x1F", Kind.INTEGER),
        ("1_000", Kind.INTEGER),
        ("12:30:45", Kind.INTEGER),
        ("no", Kind.BOOLEAN),
        ("On", Kind.BOOLEAN),
        ("true", Kind.BOOLEAN),
        ("2026-11-15", Kind.DATE),
        ("2026-11-15T10:00:00Z", Kind.DATE),
        ("~", Kind.NOTHING),
        ("null", Kind.NOTHING),
        ("", Kind.NOTHING),
        ('"3.10"', Kind.TEXT),
        ("'no'", Kind.TEXT),
        ("3.10.1", Kind.TEXT),
        ("nope", Kind.TEXT),
        ("torch==2.13.0+cpu", Kind.TEXT),
        ("{prefix}", Kind.TEXT),
    ],
)
def test_only_text_is_text(text: str, kind: Kind) -> None:
    """What YAML 1.1 or 1.2 reads as a number, a date, a flag or nothing is told apart from text."""
    if text == "{prefix}":
        text = f'"{text}"'
    leaf = read(f"a: {text}\n").get("a")
    assert isinstance(leaf, Leaf)
    assert leaf.kind is kind


def test_the_text_of_a_number_is_kept() -> None:
    """An unquoted 3.10 stays `3.10`, so that a message can show what was written."""
    leaf = read("python: 3.10\n").get("python")
    assert isinstance(leaf, Leaf)
    assert leaf.text == "3.10"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b"", "empty 1:1"),
        (b"# nothing\n", "empty 2:1"),
        (b"- a\n- b\n", "wrong_type 1:1"),
        (b"word\n", "wrong_type 1:1"),
        (b"a: x\n---\nb: y\n", "documents 2:1"),
        (b"a: x\nb:\n\tc: y\n", "syntax 3:1"),
        (b"a: x\nb:\n  \tc: y\n  d: z\n", "syntax 3:3"),
        (b"a: b: c\n", "syntax 1:5"),
        (b"\xef\xbb\xbfa: x\n", "encoding 1:1"),
        ("a: x\n".encode("utf-16"), "encoding 1:1"),
        ("a: x\nb: straße\n".encode("latin-1"), "encoding 2:8"),
        (b"a: x\r\nb: y\x00\r\n", "encoding 2:5"),
        (b"a: \x1b[31mred\n", "encoding 1:4"),
        (b"%YAML 1.2\n---\na: x\n", "syntax 1:1"),
        (b"a: &x y\n", "alias 1:4"),
        (b"<<: {a: b}\n", "alias 1:1"),
        (b"a: !!str x\n", "tag 1:4"),
        (b"a: !include other.yaml\n", "tag 1:4"),
        (b"a: !!python/object/apply:os.system [id]\n", "tag 1:4"),
        (b"? [a]\n: b\n", "wrong_type 1:3"),
        (b"on: x\n", "wrong_type 1:1"),
        (b"3.11: x\n", "wrong_type 1:1"),
        (b"a: {b: x,\n", None),
        (b"a: " + b"x" * (1024 * 1024) + b"\n", "too_large 1:1"),
        (b"a: " + b"[" * 5000, "too_deep 1:35"),
        (b"a:\n" + b"".join(b" " * i + b"- \n" for i in range(1, 60)), None),
    ],
)
def test_a_file_that_cannot_be_read_is_one_problem_with_its_place(
    document: bytes, expected: str | None
) -> None:
    """Bytes, syntax and YAML's special features give one problem each, with line and column."""
    problems = refused(document)
    assert len(problems) == 1
    if expected:
        assert places(problems) == [expected]


def test_equal_keys_are_told_with_both_places() -> None:
    """PyYAML would keep the last; here the second is a problem that names the first."""
    problems = refused("env:\n  A: x\n  B: y\n  A: z\n")
    assert places(problems) == ["duplicate_key 4:3"]
    assert "p.yaml:2:3" in problems[0].message


def test_an_alias_bomb_is_refused_at_once() -> None:
    """Aliases are not expanded: a bomb costs its own size."""
    lines = ['a0: &a0 ["x", "x"]']
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    start = time.perf_counter()
    problems = refused("\n".join(lines))
    assert time.perf_counter() - start < 1
    assert {p.code for p in problems} == {"alias"}


def test_a_recursive_alias_is_refused() -> None:
    """A list that holds itself neither hangs nor recurses."""
    assert places(refused("a: &a [*a]\n")) == ["alias 1:4", "alias 1:8"]


@pytest.mark.parametrize("filler", ["1", "-", "0x", ": ", "# ", "a: 1\n", "\t", "[", "1_", "1:1"])
def test_no_document_takes_long(filler: str) -> None:
    """A megabyte of one thing is read or refused in seconds, whatever the thing."""
    start = time.perf_counter()
    read_yaml(("a: " + filler * (200_000 // len(filler)) + "x").encode(), "p.yaml")
    assert time.perf_counter() - start < 20


def test_tags_run_nothing(tmp_path: Path) -> None:
    """A tag that PyYAML's unsafe loader would execute leaves no trace."""
    canary = tmp_path / "canary"
    refused(
        f"a: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{canary}']]\n"
    )
    assert not canary.exists()


def test_all_problems_of_a_readable_file_are_told() -> None:
    """Reading goes on after a duplicate, a tag and an alias, and the rest of the file is still there."""
    root, problems = read_yaml(b"a: !x 1\nb: x\nb: y\nc: *z\nd: fine\n", "p.yaml")
    assert places(problems) == ["tag 1:4", "duplicate_key 3:1", "alias 4:4"]
    assert root is not None
    found = root.get("d")
    assert isinstance(found, Leaf)
    assert found.text == "fine"


def test_other_files_are_read_with_a_table_of_their_own() -> None:
    """The reader and the checks serve any YAML file; its errors' codes begin with its own area."""
    table = Record(fields={"mirrors": MapOf(key=Text(), value=Text()), "offline": Flag()})
    root, problems = read_yaml(b"mirrors: {https://a/: https://b/}\noffline: true\n", "provision.yaml")
    assert root is not None
    checked = check_node(root, table, problems, name="the file")
    assert checked is not None
    raise_problems(problems, area="config")
    assert plain(checked) == {"mirrors": {"https://a/": "https://b/"}, "offline": True}
    root, problems = read_yaml(b"ofline: true\n", "provision.yaml")
    assert root is not None
    check_node(root, table, problems, name="the file")
    with pytest.raises(ErrorList, match="did you mean `offline`") as caught:
        raise_problems(problems, area="config")
    assert caught.value.code == "config.unknown_key"
