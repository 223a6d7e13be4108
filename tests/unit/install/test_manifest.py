"""The lists of what was installed are kept with their digests."""

from pathlib import Path

import pytest

from provisioner.errors import InstallError
from provisioner.install.manifest import MANIFEST_NAME, format_manifest, load_manifest, make_manifest


def test_a_manifest_holds_the_lists_of_both_kinds_of_package(tmp_path: Path) -> None:
    """RECORD files and conda's records are found, with digests as RECORD writes them, and read back."""
    for name in ("lib/python3.11/site-packages/a-1.dist-info/RECORD", "conda-meta/b-1-0.json", "lib/other"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    manifest = make_manifest(tmp_path)
    empty = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"  # of no bytes
    assert manifest == {
        "conda-meta/b-1-0.json": empty,
        "lib/python3.11/site-packages/a-1.dist-info/RECORD": empty,
    }
    (tmp_path / MANIFEST_NAME).write_text(format_manifest(manifest), encoding="utf-8")
    assert load_manifest(tmp_path) == manifest


def test_an_environment_from_before_has_none(tmp_path: Path) -> None:
    """No manifest is not a damaged one."""
    assert load_manifest(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"schema": "other/1"}', '{"schema": "provision.manifest/1"}']
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, text: str) -> None:
    """What cannot be read proves nothing: the error names the file and the way out."""
    (tmp_path / MANIFEST_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(InstallError) as caught:
        load_manifest(tmp_path)
    assert caught.value.code == "install.manifest"
    assert str(tmp_path) in caught.value.message
    assert caught.value.hints
