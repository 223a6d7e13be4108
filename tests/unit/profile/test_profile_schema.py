"""The JSON Schema says what the parser says."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from provisioner.errors import ErrorList
from provisioner.profile.load import list_profiles, load_profile
from provisioner.profile.schema import json_schema

ROOT = Path(__file__).parents[3]
GOOD: dict[str, Any] = {
    "description": "A profile",
    "family": "llama3",
    "device": "cpu",
    "torch": "cpu",
    "python": "3.11",
}


def refuses(document: object) -> bool:
    """Say whether the schema refuses a document."""
    return not jsonschema.Draft202012Validator(json_schema()).is_valid(document)


def parser_refuses(document: object, folder: Path) -> bool:
    """Say whether the parser refuses it, written as YAML (of which JSON is a part)."""
    (folder / "p.yaml").write_text(json.dumps(document), encoding="utf-8")
    try:
        load_profile("p", folders=[folder])
    except ErrorList:
        return True
    return False


def test_the_schema_is_a_schema() -> None:
    """It is valid in its own dialect and describes every key at the top."""
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert [name for name, part in schema["properties"].items() if not part.get("description")] == []


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"platforms": ["linux-64"]},
        {"as_of": "2026-11-15", "transformers": "==4.37.0"},
        {"indexes": {"x": "https://example.org"}, "pip": {"packages": ["a==1"], "routes": {"a": "x"}}},
        {"win-64": {"env": {"A": "1"}}},
        {"validation": {"tolerance": 0.15, "commands": [["python", "-V"]]}},
        {"status": {"state": "archived", "since": "2026-01-28"}},
    ],
)
def test_both_take_a_good_profile(tmp_path: Path, change: dict[str, Any]) -> None:
    """What the parser takes, the schema takes."""
    assert not refuses({**GOOD, **change})
    assert not parser_refuses({**GOOD, **change}, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "red"},
        {"python": 3.11},
        {"python": "3"},
        {"python": None},
        {"family": "Llama 3"},
        {"platforms": "linux-64"},
        {"platforms": ["osx-64"]},
        {"stack": "true"},
        {"as_of": "yesterday"},
        {"description": ""},
        {"description": "x" * 1001},
        {"extends": []} | {"family": 1},
        {"extends": "../x"},
        {"pip": ["a"]},
        {"pip": {"packages": "a"}},
        {"pip": {"package": []}},
        {"pip": {"overrides": {"a==1": ""}}},
        {"env": {"a": "x"}},
        {"env": {"A": 1}},
        {"gpus": {"nvidia": {}}},
        {"linux-64": {"python": "3.11"}},
        {"validation": {"tolerance": 11}},
        {"validation": {"tolerance": True}},
        {"validation": {"commands": [[]]}},
        {"indexes": {"X": "https://example.org"}},
    ],
)
def test_both_refuse_a_bad_profile(tmp_path: Path, change: dict[str, Any]) -> None:
    """What the schema refuses, the parser refuses."""
    assert refuses({**GOOD, **change})
    assert parser_refuses({**GOOD, **change}, tmp_path)


@pytest.mark.parametrize("key", list(GOOD))
def test_both_ask_for_the_required_keys(tmp_path: Path, key: str) -> None:
    """A profile on its own gives every required key; one that extends another, or a stack, may leave them."""
    document = {name: value for name, value in GOOD.items() if name != key}
    assert refuses(document)
    assert parser_refuses(document, tmp_path)
    assert refuses({**document, "extends": "x"}) is (key == "description")
    assert refuses({**document, "stack": True}) is (key == "description")
    assert refuses({**document, "stack": False})


def test_the_schema_takes_every_built_in_profile() -> None:
    """The files in `envs` are valid for an editor."""
    yaml = pytest.importorskip("yaml")
    entries = list_profiles([ROOT / "envs"], stacks=True)
    assert len(entries) >= 11
    for entry in entries:
        assert not refuses(yaml.safe_load(Path(entry.file).read_text(encoding="utf-8"))), entry.file
