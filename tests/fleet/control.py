"""A control node: the collection where Ansible finds it, and playbooks that are run for real."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.lab import COMMAND, REPOSITORY

COLLECTION = REPOSITORY / "ansible"
PLAYBOOK = shutil.which("ansible-playbook", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
_RECAP = re.compile(r"^(\S+) +: (ok=.*)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """What a playbook did.

    Attributes:
        recap: Host to Ansible's counters: `changed`, `failed`, `unreachable` …
    """

    code: int
    out: str
    recap: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """A folder on the control node with an inventory and the settings of Ansible."""

    root: Path
    environ: Mapping[str, str]

    def link_collection(self) -> None:
        """Put the collection, as it lies in the checkout, where Ansible looks for it."""
        (self.root / "ansible.cfg").touch()  # in place of the user's
        place = self.root / "collections" / "ansible_collections" / "provision"
        place.mkdir(parents=True, exist_ok=True)
        if not (place / "workstations").is_symlink():
            (place / "workstations").symlink_to(COLLECTION)

    def play(
        self,
        playbook: str | Path | Sequence[Mapping[str, Any]],
        *arguments: str,
        inventory: Mapping[str, Any],
        variables: Mapping[str, Any] | None = None,
        timeout_s: float = 240.0,
    ) -> Played:
        """Run a playbook, or plays that are given here, to its end."""
        self.link_collection()
        command = [str(PLAYBOOK), "-i", str(self.write("inventory.json", inventory))]
        if variables:
            command += ["-e", f"@{self.write('variables.json', variables)}"]
        named = (
            str(playbook) if isinstance(playbook, str | Path) else str(self.write("playbook.json", playbook))
        )
        done = subprocess.run(
            [*command, named, *arguments],
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        out = done.stdout + done.stderr
        recap = {
            host: {key: int(value) for key, value in (pair.split("=") for pair in counters.split())}
            for host, counters in _RECAP.findall(out)
        }
        return Played(code=done.returncode, out=out, recap=recap)

    def ask(self, module: str, *arguments: str, **options: Any) -> dict[str, Any]:
        """Run one module on this machine and return what it answered; `arguments` are ansible-playbook's."""
        answer = self.root / "answer.json"
        answer.unlink(missing_ok=True)
        tasks = [
            {
                "name": "Ask",
                f"provision.workstations.{module}": options,
                "register": "answer",
                "ignore_errors": True,
            },
            {
                "name": "Keep the answer",
                "ansible.builtin.copy": {
                    "content": "{{ answer | to_json }}",
                    "dest": str(answer),
                    "mode": "0600",
                },
                "check_mode": False,
                "diff": False,
            },
        ]
        play = {"name": "One module", "hosts": "all", "gather_facts": False, "tasks": tasks}
        played = self.play([play], *arguments, inventory=LOCALHOST)
        assert played.code == 0, played.out
        told: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return told | {"_out": played.out}

    def write(self, name: str, value: Any) -> Path:
        """Write a file of JSON, which is YAML, too."""
        path = self.root / name
        path.write_text(json.dumps(value), encoding="utf-8")
        return path

    def environment(self) -> dict[str, str]:
        """Return the environment of Ansible's programs, with nothing of the user's."""
        return dict(self.environ) | {
            "ANSIBLE_CONFIG": str(self.root / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(self.root / "collections"),
            "ANSIBLE_LOCAL_TEMP": str(self.root / "ansible"),
            "ANSIBLE_HOME": str(self.root / "ansible"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(
                self.root / "cp"
            ),  # a socket's path has 108 characters at most
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=20s",
            "LC_ALL": "C.UTF-8",
        }


LOCALHOST = {
    "all": {
        "hosts": {"here": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}},
    }
}


def write_command(folder: Path) -> Path:
    """Write a `provision` that runs this checkout, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "provision"
    words = " ".join(f"'{word}'" for word in COMMAND)
    path.write_text(f"#!/bin/sh\nPYTHONPATH='{REPOSITORY}' exec {words} \"$@\"\n", encoding="utf-8")
    path.chmod(0o755)
    return path
