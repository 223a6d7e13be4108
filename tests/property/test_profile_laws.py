"""Laws of profiles: reading, merging and the schema."""

import json
import tempfile
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.errors import ErrorList, ProvisionError
from provisioner.ground.names import PLATFORMS
from provisioner.ground.yaml_reader import read_yaml
from provisioner.ground.yaml_tree import PlacedProblem, plain
from provisioner.profile.keys import GPU_CLASSES
from provisioner.profile.load import load_profile
from provisioner.profile.parse import parse_file
from provisioner.profile.schema import json_schema

VALIDATOR = jsonschema.Draft202012Validator(json_schema())
HEAD = {"description": "d", "family": "llama3", "device": "cpu", "torch": "cpu", "python": "3.11"}

TEXT = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff\ufffe\uffff"), max_size=30
)
TREES = st.recursive(
    TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(TEXT, TREES, max_size=5), st.booleans())
def test_what_was_dumped_is_read(document: dict[str, Any], flow: bool) -> None:  # noqa: FBT001 # Hypothesis draws it
    """Any tree of text, written by PyYAML, comes back unchanged and without a problem."""
    text = yaml.safe_dump(document, default_style='"', default_flow_style=flow, allow_unicode=True)
    root, problems = read_yaml(text.encode(), "p.yaml")
    assert problems == []
    assert root is not None
    assert plain(root) == document


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    """Whatever the file holds, the answer is a tree or problems with a place inside the file."""
    root, problems = read_yaml(data, "p.yaml")
    assert root is not None or problems
    lines = data.count(b"\n") + data.count(b"\r") + data.count(b"\x85") + data.count(b"\xe2\x80") + 2
    for problem in problems:
        assert 1 <= problem.origin.line <= lines
        assert problem.origin.column >= 1
        assert problem.message.isprintable()


WRONG = st.sampled_from([None, 1, 0.5, True, [], {}, "", "no such value", ["x"], {"x": "y"}, "../x", "A B"])


def maybe(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw a good value mostly, and one of another kind now and then."""
    return st.one_of(good, good, good, good, WRONG)


def record(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw a mapping of some of the fields, now and then with a key that nobody knows."""
    known = {name.replace("__", "-"): maybe(value) for name, value in fields.items()}
    unknown = st.sampled_from([{}, {}, {}, {}, {"pakages": "x"}])
    return st.builds(lambda a, b: {**a, **b}, st.fixed_dictionaries({}, optional=known), unknown)


def words(*known: str) -> st.SearchStrategy[Any]:
    return st.lists(maybe(st.sampled_from(known)), max_size=3, unique_by=str)


ENV = st.dictionaries(
    st.sampled_from(["A", "B_1", "a", "C-D"]), maybe(st.sampled_from(["1", "{prefix}/x"])), max_size=2
)
SECTION = {
    "conda": record(channels=words("conda-forge"), packages=words("libuv", "sqlite >=3")),
    "pip": record(
        packages=words("numpy==1.26.4", "tabulate"),
        routes=st.dictionaries(st.sampled_from(["torch", "Foo_Bar", "-x"]), maybe(st.just("x")), max_size=2),
        prereleases=words("torch", "foo.bar"),
        overrides=st.dictionaries(st.sampled_from(["a==1", "b"]), maybe(st.just("because")), max_size=2),
        yanked=st.dictionaries(st.sampled_from(["a==1"]), maybe(st.just("because")), max_size=1),
        sdists=st.dictionaries(st.sampled_from(["jieba", "a b"]), maybe(st.just("because")), max_size=1),
    ),
    "startup": st.dictionaries(st.sampled_from(["Some.Name", "a b"]), maybe(st.just("because")), max_size=1),
    "env": ENV,
    "gpus": record(**{name.replace("-", "__"): record(env=ENV) for name in GPU_CLASSES}),
}
KEYS: dict[str, st.SearchStrategy[Any]] = dict(
    description=st.just("d"),
    extends=st.sampled_from(["near", ["near", "far"]]),
    stack=st.booleans(),
    family=st.sampled_from(["llama3", "chatglm2"]),
    device=st.sampled_from(["cpu", "xpu"]),
    torch=st.sampled_from(["cpu", "xpu", "ipex"]),
    platforms=words(*PLATFORMS),
    python=st.sampled_from(["3.11", "3.12"]),
    as_of=st.just("2026-11-15"),
    transformers=st.just("==4.37.0"),
    status=record(
        state=st.sampled_from(["archived", "supported"]), since=st.just("2026-01-28"), note=st.just("n")
    ),
    indexes=st.dictionaries(
        st.sampled_from(["x", "y-1", "Z"]), maybe(st.just("https://example.org/x")), max_size=2
    ),
    validation=record(
        backend=st.sampled_from(["ipex-llm", "transformers"]),
        precision=st.sampled_from(["sym_int4", "bf16"]),
        tolerance=st.sampled_from([0, 0.15, 10, 11, -1]),
        weights=st.sampled_from(["smollm2", "random"]),
        model=st.sampled_from(["models/own", "qwen3"]),
        imports=words("numpy", "a.b"),
        commands=st.lists(maybe(st.lists(st.just("x"), max_size=2)), max_size=2),
    ),
    **SECTION,
    linux__64=record(**SECTION),
    win__64=record(**SECTION),
)
# A good profile in which two keys are drawn anew and now and then one is missing: about as many good as bad.
DOCUMENTS = st.lists(st.sampled_from(sorted(KEYS)), max_size=2, unique=True).flatmap(
    lambda names: st.builds(
        lambda drawn, left_out: {k: v for k, v in {**HEAD, **drawn}.items() if k != left_out},
        record(**{name: KEYS[name] for name in names}),
        st.sampled_from([None, None, None, None, *HEAD]),
    )
)
# What has a meaning that a schema cannot say: not drawn as text where these checks would read it.
MEANING = {
    *("bad_requirement", "bad_url", "bad_package", "forbidden_variable"),
    *("bad_name", "duplicate_package"),
}


def meaningless(problem: PlacedProblem) -> bool:
    """Say whether a problem is of the kind that the schema can see."""
    checks = ("is not a version specifier", "is not a module's name", "is the only placeholder")
    return problem.code not in MEANING and not any(words in problem.message for words in checks)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(DOCUMENTS)
def test_schema_and_parser_agree(document: dict[str, Any]) -> None:
    """The schema refuses exactly the files in which the parser finds a wrong key, type or value."""
    root, problems = read_yaml(json.dumps(document).encode(), "p.yaml")
    assert problems == []
    assert root is not None
    parse_file("p", "p.yaml", root, problems)
    seen = [problem for problem in problems if meaningless(problem)]
    assert VALIDATOR.is_valid(document) is (not seen), seen


PINS = st.lists(
    st.sampled_from(["a==1", "a==2", "A>=3", "b", "b==1", "c.d==1", "C_D==2"]),
    max_size=3,
    unique_by=lambda r: r[:1].lower(),
)
LAYERS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "env": st.dictionaries(st.sampled_from("ABC"), st.sampled_from("xyz"), max_size=3),
            "pip": PINS,
        },
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60)
@given(LAYERS)
def test_merging_is_adding_with_the_nearer_word_last(layers: list[dict[str, Any]]) -> None:
    """A chain of files equals a dict that is updated from far to near, for variables and for packages."""
    env: dict[str, str] = {}
    pip: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for i, layer in enumerate(layers):
            document: dict[str, Any] = {"description": "d", "stack": True, "env": layer.get("env", {})}
            document["pip"] = {"packages": layer.get("pip", [])}
            if i + 1 < len(layers):
                document["extends"] = f"layer{i + 1}"
            if i == 0:
                document = {**document, **HEAD, "stack": False}
            (folder / f"layer{i}.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        found = load_profile("layer0", folders=[folder]).platforms[0]
    for layer in reversed(layers):
        env |= layer.get("env", {})
        pip |= {r[:1].lower(): r.lower().replace(".", "-").replace("_", "-") for r in layer.get("pip", [])}
    assert found.env == env
    assert found.pip == tuple(pip.values())


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(DOCUMENTS)
def test_loading_answers_with_a_profile_or_with_told_errors(document: dict[str, Any]) -> None:
    """No document ends in anything but a profile or a list of errors with exit code 2."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "near.yaml").write_text("description: n\nstack: true\n", encoding="utf-8")
        (folder / "far.yaml").write_text("description: f\nstack: true\n", encoding="utf-8")
        (folder / "p.yaml").write_text(json.dumps({**document, "stack": False}), encoding="utf-8")
        errors: tuple[ProvisionError, ...] = ()
        try:
            load_profile("p", folders=[folder])
        except ErrorList as caught:
            errors = caught.errors
        assert all(error.exit_code == 2 and error.code.startswith("profile.") for error in errors)
