"""Rules for the tests themselves."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_test_states_its_promise() -> None:
    """A docstring is one sentence that can be broken; names alone are read differently by each reader."""
    silent = []
    for path in sorted(TESTS.rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        silent += [
            f"{path.relative_to(TESTS)}::{node.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef)
            and node.name.startswith("test_")
            and not ast.get_docstring(node)
        ]
    assert silent == []


def test_names_of_test_files_are_unique() -> None:
    """The folders are no packages, so pytest imports test files by their bare names."""
    names = [path.name for path in TESTS.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
