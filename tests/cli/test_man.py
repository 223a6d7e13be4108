"""The manual page and the reference say what the code says."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from provisioner.cli.main import VERBS
from tests.cli.lab import REPOSITORY

PAGE = REPOSITORY / "docs" / "man" / "provision.1"
REFERENCE = REPOSITORY / "docs" / "reference.md"


def test_the_pages_are_current() -> None:
    """`scripts/man` would write the same pages; both have every verb, and the reference flags and keys."""
    done = subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "man", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = PAGE.read_text(encoding="utf-8")
    assert all(f".SS provision {verb}" in text for verb in VERBS)
    reference = REFERENCE.read_text(encoding="utf-8")
    assert all(f"### {verb}" in reference for verb in VERBS)
    for told in (
        "`PROVISION_FIND_LINKS`",
        "`validation.tolerance`",
        "`audit.ignore.….until`",
        "| 9 | busy |",
    ):
        assert told in reference, told


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff")
def test_groff_has_nothing_to_say() -> None:
    """The page is read without a warning, and shows its words as they are."""
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-P-c", PAGE], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "provision completion {bash|zsh|fish|powershell}" in re.sub(".\b", "", done.stdout)


@pytest.mark.slow
def test_the_wheel_brings_the_page(tmp_path: Path) -> None:
    """Where `provision` is installed, `man` finds the page beside the folder that the command is in."""
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([sys.executable, *words, str(REPOSITORY)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        (page,) = (
            name for name in opened.namelist() if name.endswith(".data/data/share/man/man1/provision.1")
        )
        assert opened.read(page) == PAGE.read_bytes()
