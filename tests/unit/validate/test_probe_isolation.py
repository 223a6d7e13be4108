"""The probe runs in somebody else's environment: old Pythons, and nothing of ours beside it."""

import ast
import sys
from pathlib import Path

import pytest

PROBE = Path(__file__).parents[3] / "provisioner" / "validate" / "probe"
SOURCES = sorted(PROBE.glob("*.py"))
FROM_THE_ENVIRONMENT = {
    *("bitsandbytes", "ipex_llm", "numpy", "openvino", "openvino_genai", "torch", "torchao", "transformers")
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_probe_reads_on_python_3_9(path: Path) -> None:
    """Its syntax is that of the oldest Python that ipex-llm runs on; annotations are never evaluated."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 9))
    if any(isinstance(node, ast.FunctionDef) for node in tree.body):
        assert "from __future__ import annotations" in source


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_probe_imports_the_standard_library_and_the_stack_alone(path: Path) -> None:
    """Nothing of the tool or its dependencies is needed inside the environment."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            imported.add(str(node.module).partition(".")[0])
    assert imported <= set(sys.stdlib_module_names) | FROM_THE_ENVIRONMENT
