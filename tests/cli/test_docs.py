"""The pages do what they say: each command of a `console` block is run, and prints the lines below it."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import click
import pytest

from provisioner.cli.main import root
from tests.cli.lab import REPOSITORY
from tests.cli.pages import (
    ACCOUNT,
    LOOPBACK,
    find_lost,
    find_lost_words,
    list_pages,
    read_account,
    read_blocks,
    read_page,
    read_steps,
    run_page,
)

DOCS = REPOSITORY / "docs"
# Pages whose commands need no package index, and those that build environments of real wheels.
QUICK = (
    "docs/configuration.md",
    "docs/how-to/firewall-or-china.md",
    "docs/how-to/from-conda-and-pip.md",
    "docs/how-to/move-to-a-supported-stack.md",
    "docs/how-to/two-gpus.md",
    "docs/profiles.md",
)
SLOW = ("docs/tutorial.md", "docs/how-to/talk-to-it.md", "docs/how-to/add-a-family.md")
RUN = {*QUICK, *SLOW, *LOOPBACK}


def make_environ(home: Path) -> dict[str, str]:
    """Return the variables of a user who has nothing yet."""
    return {name: text for name, text in os.environ.items() if not name.startswith("PROVISION_")} | {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the home of a user who keeps what was fetched."""
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("page", QUICK)
def test_a_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    """Every command of the page prints the lines that the page shows."""
    lost = run_page(page, tmp_path, environ=make_environ(tmp_path))
    assert not lost, "\n".join(lost)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform != "linux", reason="the pages' commands are bash's")
@pytest.mark.parametrize("page", SLOW)
def test_a_page_that_builds_does_what_it_says(page: str, home: Path) -> None:
    """The same for pages that fetch wheels and build environments, one after the other in one home."""
    if page == "docs/how-to/add-a-family.md":
        model = next(home.glob("model/*/*.gguf"), None)
        if model is None:
            pytest.skip(reason="the page before fetches the model")
        (home / "models").mkdir()
        (home / "models" / "mine.gguf").symlink_to(model)
    lost = run_page(page, home, environ=make_environ(home))
    assert not lost, "\n".join(lost)


def find_unaccounted(text: str, account: Mapping[str, str], *, run: bool) -> list[str]:
    """Return what of a page nothing runs and no reason excuses, and the reasons for nothing."""
    steps = read_steps(text)
    told = [step.command for step in steps if step.command in account]
    open_ = [
        step.command
        for step in steps
        if step.command not in account and not (run and (step.saved or step.kind == "console"))
    ]
    return open_ + [name for name in account if name not in told]


@pytest.mark.parametrize("page", [page for page in list_pages() if not page.startswith("docs/zh/")])
def test_every_block_is_run_or_has_a_reason(page: str) -> None:
    """A block without either fails here, and so does a reason whose block is gone, or a test that is none."""
    account = read_account().get(page, {})
    assert find_unaccounted(read_page(page), account, run=page in RUN) == [], (
        f"run them in a test, or say in {ACCOUNT.name} why not"
    )
    for reason in account.values():
        if reason.startswith(("tests/", ".ci/", ".github/")):
            file, _, name = reason.partition("::")
            text = (REPOSITORY / file).read_text(encoding="utf-8")
            assert not name or re.search(rf"^def {name}\(", text, re.MULTILINE), reason
            assert Path(page).name in text, f"{file} does not say that it runs {page}"
        else:
            assert len(reason.split()) > 2, reason


def test_a_command_that_fails_is_noticed(tmp_path: Path) -> None:
    """A command without a line below it ends with 0; the lines that are shown are printed."""
    page = tmp_path / "a.md"
    page.write_text(
        "```sh\ntrue\nfalse\n```\n\n```console\n$ echo a\na\n$ echo b\nc\n```\n", encoding="utf-8"
    )
    failed = run_page(str(page), tmp_path)
    assert [each.splitlines()[:2] for each in failed] == [
        ["$ false", "exit: 1, lacks: None"],
        ["$ echo b", "exit: 0, lacks: c"],
    ]


def test_a_block_without_a_reason_is_noticed() -> None:
    """On a page that is run an unmarked block is missed; on another one every command is."""
    text = "```console\n$ provision list\nall\n$ docker build .\n```\n\n```\nprovision show a\n```\n"
    assert find_unaccounted(text, {}, run=True) == ["provision show a"]
    assert find_unaccounted(text, {"provision show a": "so"}, run=True) == []
    assert find_unaccounted(text, {"gone": "so"}, run=False) == [
        "provision list",
        "docker build .",
        "provision show a",
        "gone",
    ]


def test_a_missing_line_is_noticed() -> None:
    """The comparison takes other figures, and neither another order nor another word."""
    printed = ["fetch: 5 files", "a: passed on cpu (AMD EPYC 9334 32-Core)", "took 3.25 s"]
    assert find_lost(["a: passed on cpu (AMD EPYC)", "took  12 s"], printed) is None
    assert find_lost(["differ by 0.0699 (norm)"], ["differ by 3.28e-06 (norm)"]) is None
    assert find_lost(["took … s"], printed) is None
    assert find_lost(["took 1 s", "a: passed on cpu (AMD EPYC)"], printed) == "a: passed on cpu (AMD EPYC)"
    assert find_lost(["a: failed on cpu (AMD EPYC)"], printed) is not None
    assert (
        find_lost_words(["it took 1 s, all", "told …", "the end"], "it took 3 s,\n  all told\n  the\nend")
        is None
    )
    assert find_lost_words(["the end", "it took"], "it took 3 s: the end") == "it took"


@pytest.mark.parametrize("page", sorted(path.name for path in (DOCS / "zh").glob("*.md")))
def test_the_chinese_page_has_the_same_commands(page: str) -> None:
    """What is run and what it prints is the same to the letter in both languages."""
    assert read_blocks(read_page(f"docs/zh/{page}")) == read_blocks(read_page(f"docs/{page}"))
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


@pytest.mark.parametrize("page", [REPOSITORY / page for page in list_pages()], ids=lambda page: page.name)
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
