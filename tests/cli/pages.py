"""The pages as a test sees them: blocks, commands with what they print, and a shell that runs them."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.cli.lab import REPOSITORY

# Pages that are run with small packages, in tests/cli/test_docs_loopback.py.
LOOPBACK = (
    "ansible/README.md",
    "docs/how-to/audit.md",
    "docs/how-to/containers.md",
    "docs/how-to/editors.md",
    "docs/how-to/it-worked-last-month.md",
    "docs/how-to/locks-in-ci.md",
    "docs/how-to/many-machines.md",
    "docs/how-to/mirror.md",
    "docs/how-to/your-own-folder.md",
)
ACCOUNT = REPOSITORY / "tests" / "data" / "pages.yaml"
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# ([\w-]+(?:/[\w-]+)?\.(?:py|yaml|yml|ini))\b")
_BEGIN, _END = "\x1e", "\x1f"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A command of a page.

    Attributes:
        command: The command, or the first line of a block that is none.
        lines: What the page shows below it.
        saved: The text, where the page asks to save a file.
        kind: The block's kind, for example ``console``.
    """

    command: str
    lines: tuple[str, ...] = ()
    saved: str | None = None
    kind: str = "console"


def list_pages() -> list[str]:
    """Return the pages that are read, as paths of the repository."""
    pages = [*REPOSITORY.glob("docs/**/*.md"), REPOSITORY / "README.md", REPOSITORY / "ansible" / "README.md"]
    return sorted(page.relative_to(REPOSITORY).as_posix() for page in pages)


def read_page(page: str) -> str:
    """Return a page's text."""
    return (REPOSITORY / page).read_text(encoding="utf-8")


def read_blocks(text: str) -> list[tuple[str, str]]:
    """Return kind and text of a page's fenced blocks, in their order."""
    return [(kind, re.sub(f"(?m)^{indent}", "", block)) for indent, kind, block in _BLOCK.findall(text)]


def read_steps(text: str) -> list[Step]:
    """Return the commands of `console` and `sh` blocks, files to save, and other blocks' first lines."""
    steps: list[Step] = []
    for kind, block in read_blocks(text):
        if kind == "console":
            steps += _split_console(block)
        elif kind == "sh":
            steps += [Step(command=line) for line in _join(block).splitlines()]
        else:
            file = _FILE.match(block)
            steps.append(
                Step(command=block.partition("\n")[0], saved=block, kind=kind)
                if file
                else Step(command=block.partition("\n")[0], kind=kind or "text")
            )
    return steps


def _join(block: str) -> str:
    """Return a block with the lines together that a backslash cuts."""
    return re.sub(r"\\\n\s*", "", block)


def _split_console(block: str) -> Iterator[Step]:
    before, *texts = re.split(r"^\$ ", _join(block), flags=re.MULTILINE)
    if before:
        yield Step(command=before.partition("\n")[0], kind="text")
    for text in texts:
        command, *lines = text.splitlines()
        yield Step(command=command, lines=tuple(line for line in lines if line.strip()))


def read_account() -> dict[str, dict[str, str]]:
    """Return, page by page, which commands and blocks are not run as the page has them, and why."""
    account: dict[str, dict[str, str]] = yaml.safe_load(ACCOUNT.read_text(encoding="utf-8"))
    return account


def blur(line: str) -> str:
    """Return a line without what differs from run to run and CPU to CPU: figures, devices, words."""
    line = re.sub(r"(prompt: .* -> .\s*\w+).*", r"\1", line)
    line = re.sub(r"(?<= on cpu) \(.*\)$", " (DEVICE)", line)  # Intel's CPUs have parentheses in their names
    line = re.sub(r"(?:AMD|Intel)\W[^)]*(?=\))", "DEVICE", line.replace("(AMD EPYC)", "(DEVICE)"))
    return re.sub(r"\s+", " ", re.sub(r"\d+(?:\.\d+)*(?:e-?\d+)?", "#", line)).strip()


def find_lost(expected: list[str], printed: list[str]) -> str | None:
    """Return the first expected line that was not printed in its turn; `…` stands for anything."""
    rest = iter(blur(line) for line in printed)
    for line in expected:
        pattern = re.escape(blur(line)).replace("…", ".*")
        if not any(re.fullmatch(pattern, candidate) for candidate in rest):
            return line
    return None


def find_lost_words(expected: Sequence[str], printed: str) -> str | None:
    """Return the first expected line whose words were not printed in their turn, wherever lines end."""
    rest = blur(printed)
    for line in expected:
        found = re.search(re.escape(blur(line)).replace("…", ".*?"), rest)
        if found is None:
            return line
        rest = rest[found.end() :]
    return None


def run_page(
    page: str,
    folder: Path,
    *,
    environ: Mapping[str, str] | None = None,
    edits: Mapping[str, str] | None = None,
) -> list[str]:
    """Run a page's commands in one shell and return what went wrong.

    A command fails that ends with another code than 0 and shows no line at all, or lacks a line that the page
    shows. What the account names is left out; ``edits`` are words of the page that cannot stay here.
    """
    text = read_page(page)
    for old, new in (edits or {}).items():
        assert old in text, f"{page} has no {old}"
        text = text.replace(old, new)
    left_out = read_account().get(page, {})
    steps = [
        step
        for step in read_steps(text)
        if step.command not in left_out and (step.saved or step.kind == "console")
    ]
    script = "".join(f"printf '{_BEGIN}'\n{_say(step)}\nprintf '{_END}%d' $?\n" for step in steps)
    environ = {
        name: value
        for name, value in (environ or os.environ).items()
        if not name.startswith(("GIT_", "XDG_DATA"))
    }
    environ |= {"CI": "1", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["bash"],
        input=script,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=environ,
        timeout=1500,
    )
    parts = done.stdout.split(_BEGIN)[1:]
    assert len(parts) == len(steps), done.stdout
    if "the host's name could not be resolved" in done.stdout:
        pytest.skip(reason="no package index can be reached here")
    lost = []
    for step, part in zip(steps, parts, strict=True):
        printed, _, code = part.partition(_END)
        missing = find_lost(list(step.lines), printed.splitlines())
        if missing is not None or (code != "0" and not step.lines):
            lost.append(f"$ {step.command}\nexit: {code}, lacks: {missing}\nprinted:\n{printed}")
    return lost


def _say(step: Step) -> str:
    if step.saved is None:
        return step.command
    name = _FILE.match(step.saved)[1]  # type: ignore[index] # it matched when the step was read
    return f"mkdir -p \"$(dirname '{name}')\" && cat > '{name}' <<'END-OF-FILE'\n{step.saved}END-OF-FILE"
