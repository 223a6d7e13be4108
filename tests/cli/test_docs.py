"""The pages do what they say: each command of a `console` block is run, and prints the lines below it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from provisioner.cli.main import root
from tests.cli.lab import REPOSITORY

DOCS = REPOSITORY / "docs"
# Pages whose commands need no package index, and those that build environments.
QUICK = (
    "how-to/firewall-or-china.md",
    "how-to/from-conda-and-pip.md",
    "how-to/locks-in-ci.md",
    "how-to/move-to-a-supported-stack.md",
    "how-to/two-gpus.md",
)
SLOW = ("tutorial.md",)
MARK = "\x1e"


def read_blocks(page: str) -> list[tuple[str, str]]:
    """Return kind and text of a page's fenced blocks, in their order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def split_console(text: str) -> list[tuple[str, list[str]]]:
    """Return each command with the lines that follow it."""
    steps: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], []))
        elif line.strip():
            steps[-1][1].append(line)
    return steps


def blur(line: str) -> str:
    """Return a line without what differs from run to run: figures, devices, space."""
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


def run_page(page: str, home: Path) -> list[str]:
    """Run a page's commands in one shell and return what they did not print."""
    steps: list[tuple[str, list[str]]] = []
    for kind, text in read_blocks(page):
        if kind == "console":
            steps += split_console(text)
        elif match := re.match(r"# (\w+\.(?:py|yaml|yml))\b", text):
            # A file that the page asks to save, where the commands are by then.
            steps.append((f"cat > {match[1]} <<'END-OF-FILE'\n{text}END-OF-FILE", []))
    script = "".join(f"printf '{MARK}'\n{command}\n" for command, _ in steps)
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("PROVISION_", "GIT_"))}
    environ |= {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CI": "1",
        "LC_ALL": "C.UTF-8",
    }
    environ.pop("XDG_DATA_HOME", None)
    done = subprocess.run(
        ["bash"],
        input=script,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=home,
        env=environ,
        timeout=1500,
    )
    parts = done.stdout.split(MARK)[1:]
    assert len(parts) == len(steps), done.stdout
    if "the host's name could not be resolved" in done.stdout:
        pytest.skip(reason="no package index can be reached here")
    return [
        f"$ {command}\nlacks: {lost}\nprinted:\n{printed}"
        for (command, expected), printed in zip(steps, parts, strict=True)
        if (lost := find_lost(expected, printed.splitlines())) is not None
    ]


@pytest.mark.parametrize("page", QUICK)
def test_a_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    """Every command of the page prints the lines that the page shows."""
    lost = run_page(page, tmp_path)
    assert not lost, "\n".join(lost)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform != "linux", reason="the pages' commands are bash's")
@pytest.mark.parametrize("page", SLOW)
def test_a_page_that_builds_does_what_it_says(page: str, tmp_path: Path) -> None:
    """The same for pages that fetch wheels and build environments."""
    lost = run_page(page, tmp_path)
    assert not lost, "\n".join(lost)


def test_a_missing_line_is_noticed() -> None:
    """The comparison takes other figures, and neither another order nor another word."""
    printed = ["fetch: 5 files", "a: passed on cpu (AMD EPYC 9334 32-Core)", "took 3.25 s"]
    assert find_lost(["a: passed on cpu (AMD EPYC)", "took  12 s"], printed) is None
    assert find_lost(["differ by 0.0699 (norm)"], ["differ by 3.28e-06 (norm)"]) is None
    assert find_lost(["took … s"], printed) is None
    assert find_lost(["took 1 s", "a: passed on cpu (AMD EPYC)"], printed) == "a: passed on cpu (AMD EPYC)"
    assert find_lost(["a: failed on cpu (AMD EPYC)"], printed) is not None


@pytest.mark.parametrize("page", ["tutorial.md", "seed.md"])
def test_the_chinese_page_has_the_same_commands(page: str) -> None:
    """What is run and what it prints is the same to the letter in both languages."""
    assert read_blocks(f"zh/{page}") == read_blocks(page)
    assert re.search("[\u4e00-\u9fff]{10}", (DOCS / "zh" / page).read_text(encoding="utf-8"))


def test_every_link_between_pages_leads_somewhere() -> None:
    """A relative link of README or docs names a file that is there."""
    pages = [REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md"))]
    lost = [
        f"{page.relative_to(REPOSITORY)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert len(pages) > 20
    assert lost == []


def find_commands(text: str) -> list[str]:
    """Return every `provision …` that begins a command in a page's blocks and code spans."""
    blocks = re.findall(r"^```.*?\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))
    code = "\n".join([*blocks, *spans]).replace("\\\n", " ")
    return re.findall(r"(?m)(?:^|[$;&|] |\$\()(provision (?=[a-z-])[^\n|;&#>`)]*)", code)


@pytest.mark.parametrize(
    "page", [*sorted(DOCS.rglob("*.md")), REPOSITORY / "README.md"], ids=lambda page: page.name
)
def test_every_command_of_a_page_has_its_verb_and_options(page: Path) -> None:
    """Also of those that nothing here can run: other systems' shells, a fleet, a GPU."""
    for command in find_commands(page.read_text(encoding="utf-8")):
        words = re.sub(r"[\[\]\"']", " ", command.partition(" -- ")[0]).split()[1:]
        entry: click.Command = root
        while isinstance(entry, click.Group) and words and not words[0].startswith("-"):
            with click.Context(entry) as context:
                found = entry.get_command(context, words.pop(0))
            assert found is not None, command
            entry = found
        known = {name for each in entry.params for name in (*each.opts, *each.secondary_opts)} | {
            "-h",
            "--help",
        }
        for word in words:
            assert (
                not word.startswith("-") or word == "--" or word.partition("=")[0].rstrip(",.:") in known
            ), command
