"""The profiles that pages show are profiles."""

import re
from pathlib import Path

import pytest

from provisioner.profile.load import load_profile

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("page", ["how-to/add-a-family.md"])
def test_what_a_page_shows_can_be_used(page: str, tmp_path: Path) -> None:
    """Every block with a file's name in `envs` loads with the stacks that come along."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.findall(r"```yaml\n# envs/([\w-]+)\.yaml\n(.*?)```", text, re.DOTALL)
    assert found
    for name, block in found:
        (tmp_path / f"{name}.yaml").write_text(block, encoding="utf-8")
        assert load_profile(name, folders=[tmp_path, ROOT / "envs"]).name == name
