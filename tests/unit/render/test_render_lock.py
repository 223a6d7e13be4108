"""What `provision lock` answers."""

from pathlib import PureWindowsPath

from provisioner.render.lock import render_checked


def test_a_lockfile_is_spelled_as_its_system_spells_paths() -> None:
    """On Windows `lock --check` names the same path as `show`, in words and as data."""
    result = render_checked([("tiny", PureWindowsPath("Z:/w/lockfiles/tiny.conda-lock.yml"), None)])
    assert result.text == "tiny: fresh (Z:\\w\\lockfiles\\tiny.conda-lock.yml)"
    assert isinstance(result.data, dict)
    assert result.data["profiles"][0]["lockfile"] == "Z:\\w\\lockfiles\\tiny.conda-lock.yml"
