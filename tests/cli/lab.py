"""A place to run the command line in: folders of its own, an index on loopback, a clean environment."""

import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli import main
from tests.loopback import Loopback
from tests.wheels import make_wheel

COMMAND = (sys.executable, "-m", "provisioner")
REPOSITORY = Path(__file__).parents[2]
ENVELOPE = {"schema", "command", "exit_code", "data", "errors"}
ERROR = {"code", "message", "hints", "retryable", "context"}

PROFILE = """\
description: A small environment for tests
family: llama3
device: cpu
torch: cpu
python: "{python}"
platforms: [linux-64]
indexes:
  pytorch-cpu: {url}/ok/torch
pip:
  packages:
    - torch==2.13.0+cpu
    - tinyapp
  routes:
    torch: pytorch-cpu
"""
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Return the one JSON document on stdout, after checking the envelope and every sentence in it."""
        document: dict[str, Any] = json.loads(self.out)
        assert set(document) == ENVELOPE
        assert document["schema"] == "provision.result/1"
        assert document["exit_code"] == self.code
        assert (self.code == 0) == (not document["errors"])
        for error in document["errors"]:
            check_error(error)
        return document

    @property
    def data(self) -> dict[str, Any]:
        """Return the document's data."""
        data: dict[str, Any] = self.document["data"]
        return data

    @property
    def error(self) -> dict[str, Any]:
        """Return the document's first error."""
        error: dict[str, Any] = self.document["errors"][0]
        return error


def check_error(error: Mapping[str, Any]) -> None:
    """Check an error's shape and the house form of its sentences."""
    assert set(error) == ERROR
    assert re.fullmatch(r"[a-z0-9]+(\.[a-z0-9_]+)+", error["code"]), error["code"]
    assert isinstance(error["retryable"], bool)
    assert isinstance(error["context"], dict)
    # the place of a mistake in a file says what to do
    assert error["hints"] or "line" in error["context"], f"{error['code']} says nothing about what to do"
    for sentence in (error["message"], *error["hints"]):
        check_sentence(sentence)


def check_sentence(sentence: str) -> None:
    """Check the house form: lower case at the start, unless a value or a name stands there, no full stop.

    What other programs said follows on further lines, in their words.
    """
    assert sentence.strip() == sentence
    sentence = sentence.partition("\n")[0]
    assert not sentence.endswith((".", "!")), sentence
    first = sentence.split(maxsplit=1)[0]
    assert not first[0].isupper() or first.isupper() or first in _NAMES, sentence


_NAMES = {"Windows", "Python", "Linux", "IPEX", "Intel's"}


@dataclass(kw_only=True)
class Lab:
    """Folders, an index and an environment; every test has its own."""

    root: Path
    server: Loopback
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the folders and the environment of children."""
        self.home.mkdir()
        self.envs.mkdir()
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "XDG_CONFIG_DIRS": str(self.home / "xdg"),
            "LANG": "C.UTF-8",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": f"{self.server.url}/ok/simple",
            "PROVISION_DATA_DIR": str(self.data),
        }

    @property
    def child_environ(self) -> dict[str, str]:
        """Return the environment of processes; they find the package where we found it."""
        return self.environ | {"PYTHONPATH": str(REPOSITORY)}

    @property
    def home(self) -> Path:
        """Return the home folder."""
        return self.root / "home"

    @property
    def envs(self) -> Path:
        """Return the folder of profiles."""
        return self.root / "envs"

    @property
    def data(self) -> Path:
        """Return the data folder; it does not exist until a command makes it."""
        return self.root / "data"

    @property
    def lockfile(self) -> Path:
        """Return the path of the lockfile of `tiny`."""
        return self.root / "lockfiles" / "tiny.conda-lock.yml"

    def write_profile(self, name: str = "tiny", *, changes: Mapping[str, str] | None = None) -> Path:
        """Write a profile, with words replaced."""
        path = self.envs / f"{name}.yaml"
        text = PROFILE.replace("{url}", self.server.url).replace("{python}", PYTHON)
        for old, new in (changes or {}).items():
            assert old in text
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
        return path

    def offer(
        self, name: str, version: str, *, index: str = "simple", files: Mapping[str, str] | None = None
    ) -> str:
        """Put a small wheel into an index and return its file name."""
        filename, data = make_wheel(name, version, files)
        self.server.files[f"files/{filename}"] = data
        page = f"{index}/{name}/"
        address = f"/ok/files/{filename}#sha256={sha256(data).hexdigest()}"
        link = f'<a href="{address}">{html.escape(filename)}</a>\n'
        self.server.files[page] = self.server.files.get(page, b"<!doctype html>\n") + link.encode()
        self.server.types[page] = "text/html"
        return filename

    def run(self, *arguments: str, **variables: str) -> Outcome:
        """Run a command in this process, with more variables."""
        out, err = io.StringIO(), io.StringIO()
        with self._surroundings(variables), redirect_stdout(out), redirect_stderr(err):
            code = main.run(list(arguments))
        assert "Traceback" not in err.getvalue()
        return Outcome(code=code, out=out.getvalue(), err=err.getvalue())

    @contextmanager
    def _surroundings(self, variables: Mapping[str, str]) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.root)
            for name in set(os.environ) - set(self.environ) - {"PYTEST_CURRENT_TEST"}:
                patch.delenv(name)
            for name, value in (self.environ | dict(variables)).items():
                patch.setenv(name, value)
            yield

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command as a process; ``options`` are those of ``Popen``, ``variables`` are added."""
        chosen: dict[str, Any] = {
            "cwd": self.root,
            "env": self.child_environ | options.pop("variables", {}),
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        return subprocess.Popen([*COMMAND, *arguments], **(chosen | options))

    def spawn(self, *arguments: str, data: bytes | None = None, **options: Any) -> Outcome:
        """Run a command as a process to its end; ``data`` is its standard input, ``timeout_s`` its time."""
        timeout_s = options.pop("timeout_s", 60)
        if data is not None:
            options["stdin"] = subprocess.PIPE
        with self.start(*arguments, **options) as process:
            out, err = process.communicate(data, timeout=timeout_s)
        return Outcome(code=process.returncode, out=_text(out), err=_text(err))

    def copy_tiny(self, other: "Lab") -> None:
        """Take profile and lockfile of a lab with the same server."""
        shutil.copytree(other.envs, self.envs, dirs_exist_ok=True)
        shutil.copytree(other.lockfile.parent, self.lockfile.parent, dirs_exist_ok=True)

    def lock_tiny(
        self, *, torch: Mapping[str, str] | None = None, changes: Mapping[str, str] | None = None
    ) -> None:
        """Offer the wheels, write the profile and lock it; ``torch`` are the files of that wheel."""
        self.offer("torch", "2.13.0+cpu", index="torch", files=torch)
        self.offer("tinyapp", "1.0")
        self.write_profile(changes=changes)
        locked = self.run("lock", "tiny")
        assert locked.code == 0, locked.err

    def build_tiny(self) -> Path:
        """Build, without validation, and return the prefix."""
        return Path(self.run("create", "tiny", "--no-validate", "--json").data["prefix"])

    def tree(self) -> dict[str, bytes | None]:
        """Return every path below the data folder with a file's bytes: what a failure must not change."""
        return {
            str(path.relative_to(self.root)): path.read_bytes() if path.is_file() else None
            for path in sorted(self.data.rglob("*"))
        }


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "backslashreplace")
