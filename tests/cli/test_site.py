"""The pages as a site: built without a warning, and looked at in chromium."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.browser import measure_site, search_site
from tests.cli.lab import REPOSITORY

DOCS = REPOSITORY / "docs"
CONFIG = DOCS / "site" / "mkdocs.yml"


# How wide a page is, what lies beyond the window, and what of that no reader can scroll to.
_FIT = """
const width = page.documentElement.clientWidth;
const scrolls = (each) =>
  each && (/auto|scroll/.test(view.getComputedStyle(each).overflowX) || scrolls(each.parentElement));
const beyond = [...page.querySelectorAll("article *")].filter(
  (each) => each.getBoundingClientRect().right > width + 1);
const lost = beyond.filter((each) => !scrolls(each)).map((each) => each.outerHTML.slice(0, 90));
return { width, scroll: page.documentElement.scrollWidth, beyond: beyond.length, lost };
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site with every warning an error."""
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(CONFIG), "-d", str(folder)]
    done = subprocess.run(build, check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_in_the_navigation() -> None:
    """A reader of the site finds each page of docs/."""
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    listed = re.findall(r"(\S+\.md)$", CONFIG.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(pages) == sorted(listed)
    assert yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["docs_dir"] == ".."


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """Pages, styles and scripts lie in the site itself: it works on a machine without a network."""
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|link|img)\b[^>]*\b(?:src|href)="((?:https?:)?//[^"]+)"', text)
        assert [each for each in loaded if "canonical" not in each] == [], page


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("width", "step"), [(390, 1), (1280, 9)])
def test_pages_fit_a_telephone_and_a_screen(width: int, step: int, site: Path, tmp_path: Path) -> None:
    """No page is wider than the window; what is wider scrolls by itself, so that all can be read."""
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))[::step]
    seen = measure_site(pages, site, tmp_path, width=width, script=_FIT)
    assert len(seen) == len(pages) > 30 / step
    for page, each in seen.items():
        assert (each["scroll"], each["lost"]) == (each["width"], []), (page, each)
    assert width > 390 or seen["evidence/index.html"]["beyond"], "its table fits: nothing was tested"


@pytest.mark.slow
@pytest.mark.browser
def test_search_finds_words_of_both_languages(site: Path, tmp_path: Path) -> None:
    """A word inside a Chinese sentence is found like an English one; what stands nowhere is not."""
    found = search_site(["故障", "显卡", "rollback", "香蕉"], site, tmp_path)
    assert "zh/seed.html" in found["故障"]
    assert any(place.startswith("zh/tutorial.html") for place in found["显卡"])
    assert found["rollback"][0] == "reference.html#rollback"
    assert found["香蕉"] == []
