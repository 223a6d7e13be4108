"""Git repositories of a test's own."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest


def git(folder: Path, *arguments: str, environ: Mapping[str, str] = os.environ) -> None:
    """Run git in a folder; the test is skipped on a machine without it."""
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    options = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *options, *arguments], cwd=folder, env=environ, check=True, capture_output=True)
