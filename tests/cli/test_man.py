"""The manual page says what the command line says."""

import re
import shutil
import subprocess
import sys

import pytest

from provisioner.cli.main import VERBS
from tests.cli.lab import REPOSITORY

PAGE = REPOSITORY / "docs" / "man" / "provision.1"


def test_the_page_is_current() -> None:
    """`scripts/man` would write the same page; it has every verb."""
    done = subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "man", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = PAGE.read_text(encoding="utf-8")
    assert all(f".SS provision {verb}" in text for verb in VERBS)


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff")
def test_groff_has_nothing_to_say() -> None:
    """The page is read without a warning, and shows its words as they are."""
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-P-c", PAGE], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "provision completion {bash|zsh|fish|powershell}" in re.sub(".\b", "", done.stdout)
