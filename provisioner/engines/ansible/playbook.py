"""Run ``ansible-inventory`` and ``ansible-playbook``, each a program in a process group of its own.

Not through ansible-runner: it starts ansible-playbook in a session that ignores a hangup and kills it without
a word, so its workers, and what they run, go on after a stop (seen with 2.4.3: a task's `sleep` ran on eight
seconds after SIGTERM). ansible-playbook itself passes SIGTERM on to its workers and is gone in 0.1 s.
"""

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provisioner.engines.process.run import ChildProcess, ProgramTimeoutError, run_program, start_program
from provisioner.errors import InternalError, UsageError
from provisioner.ground.text import shorten

_INVENTORY_TIMEOUT_S = 120.0
_GRACE_S = 5.0  # its workers end their own children
_MOST_HOSTS = 20_000
_TOLD_LINES = 5
# Else Ansible warns of a source that it cannot read, or of a name in `--limit` that is nowhere, and goes on.
_WHOLE = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true", "ANSIBLE_HOST_PATTERN_MISMATCH": "error"}
# No setting refuses these.
_SKIPPED = re.compile(r"\[WARNING\]: (Skipping .*\bgroup\b.*|Failed to load inventory plugin.*)")
_CAUSE = re.compile(
    r"^\[WARNING\]: Failed to parse inventory .*?: (.*?)\.?\n(?:.*\n)*?Origin: (.*)", re.MULTILINE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ansible:
    """Ansible's programs, and the environment that they get.

    Attributes:
        folder: Where ``ansible-playbook`` and ``ansible-inventory`` are.
        environ: The user's own: inventories look things up in it, and ssh its agent.
    """

    folder: Path
    environ: Mapping[str, str]

    def list_hosts(self, inventory: str, *, limit: str | None, cwd: Path) -> tuple[str, ...]:
        """Return the names of the hosts of an inventory, sorted.

        Args:
            inventory: A file, a folder, or names with commas between.
            limit: Ansible's pattern of hosts and groups; None: all.
            cwd: Where ``ansible.cfg`` is looked for.

        Raises:
            UsageError: ``fleet.inventory``: Ansible cannot read all of it, or it names no host.
        """
        command = [str(self.folder / "ansible-inventory"), f"--inventory={inventory}", "--list"]
        command += [f"--limit={limit}"] if limit else []
        try:
            environ = {**self._environ(), **_WHOLE}
            done = run_program(command, env=environ, cwd=cwd, timeout_s=_INVENTORY_TIMEOUT_S)
            document = json.loads(done.stdout) if done.exit_code == 0 else None
        except ProgramTimeoutError as error:
            raise _bad_inventory(inventory, str(error)) from error
        except ValueError as error:
            raise _bad_inventory(inventory, "`ansible-inventory` answered no JSON") from error
        if not isinstance(document, dict):
            raise _bad_inventory(inventory, _find_cause(done.stderr) or f"exit code {done.exit_code}")
        if skipped := _SKIPPED.search(done.stderr):
            raise _bad_inventory(inventory, skipped[1])
        groups = [group for group in document.values() if isinstance(group, dict)]
        hosts = {str(host) for group in groups for host in group.get("hosts", ())}
        if not hosts or len(hosts) > _MOST_HOSTS:
            raise _bad_inventory(inventory, "it names no host" if not hosts else "it names too many hosts")
        return tuple(sorted(hosts))

    @contextmanager
    def play(
        self,
        playbook: Path,
        *,
        inventory: str,
        hosts: Sequence[str],
        variables: Mapping[str, str],
        forks: int,
        scratch: Path,
        cwd: Path,
    ) -> Iterator["Play"]:
        """Start a playbook on these hosts for the length of a ``with`` block.

        Args:
            playbook: The file.
            inventory: As for `list_hosts`.
            hosts: Names of the inventory.
            variables: Extra variables, which win over all others.
            forks: On how many machines at a time.
            scratch: An empty folder of the caller's.
            cwd: Where ``ansible.cfg`` is looked for.
        """
        limit, extra = scratch / "limit", scratch / "variables.json"
        limit.write_text("".join(f"{host}\n" for host in hosts), encoding="utf-8")
        extra.write_text(json.dumps(dict(variables)), encoding="utf-8")
        command = [
            *(str(self.folder / "ansible-playbook"), str(playbook), f"--inventory={inventory}"),
            *(f"--limit=@{limit}", f"--extra-vars=@{extra}", f"--forks={forks}"),
        ]
        with start_program(command, env=self._environ(), cwd=cwd, grace_s=_GRACE_S) as child:
            yield Play(child)

    def _environ(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, [str(self.folder), self.environ.get("PATH")]))
        return {**self.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}


class Play:
    """A running playbook."""

    def __init__(self, child: ChildProcess) -> None:
        """Keep the program."""
        self._child = child

    @property
    def exit_code(self) -> int | None:
        """Return how it ended; None while it runs."""
        return self._child.exit_code

    @property
    def last_words(self) -> str:
        """Return the last lines that it said, those of standard error first."""
        return _last_lines(self._child.stderr) or _last_lines(self._child.stdout)

    def lines(self, seconds: float) -> Iterator[str]:
        """Yield what it says for so long, or until it ends."""
        for _, line in self._child.lines(time.monotonic() + seconds):
            yield line.decode("utf-8", "replace").rstrip("\r\n")


def find_ansible(environ: Mapping[str, str]) -> Ansible:
    """Return Ansible: the one beside this Python, else the one on the path.

    Raises:
        UsageError: ``fleet.no_ansible``, ``fleet.no_control_node``.
    """
    if sys.platform == "win32":
        raise UsageError(
            "fleet.no_control_node",
            "`fleet run` needs Ansible, which cannot be started from Windows",
            hints=["run it in WSL, or on a Linux machine"],
        )
    for folder in (str(Path(sys.executable).parent), environ.get("PATH", "")):
        playbook = shutil.which("ansible-playbook", path=folder)
        if playbook and shutil.which("ansible-inventory", path=str(Path(playbook).parent)):
            return Ansible(folder=Path(playbook).parent, environ=environ)
    raise UsageError(
        "fleet.no_ansible",
        "`fleet run` needs Ansible, and there is no `ansible-playbook` beside this Python or on the path",
        hints=["install it: `pip install '.[fleet]'` in the folder of the source"],
    )


def describe_abort(play: Play) -> InternalError:
    """Return the error of a playbook that ended before any machine answered."""
    return InternalError(
        "fleet.ansible",
        f"`ansible-playbook` ended with exit code {play.exit_code} before a machine answered:"
        f" {play.last_words}",
        hints=["mend what it names, and run the same command again"],
        context={"exit_code": play.exit_code},
    )


def _bad_inventory(inventory: str, why: str) -> UsageError:
    return UsageError(
        "fleet.inventory",
        f"the machines cannot be read from the inventory `{inventory}`: {shorten(why, 600)}",
        hints=[f"see what `ansible-inventory --inventory {inventory} --graph` says"],
        context={"inventory": inventory},
    )


def _find_cause(text: str) -> str:
    """Return the place that `ansible-inventory` could not read, and what the first of its readers said."""
    found = _CAUSE.search(text)
    return f"{found[2]}: {found[1]}" if found else _last_lines(text)


def _last_lines(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return shorten(" ".join(lines[-_TOLD_LINES:]), 600)
