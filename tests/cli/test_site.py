"""The pages as a site: built without a warning, and looked at in chromium."""

import json
import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.browser import measure_address
from tests.cli.lab import REPOSITORY

DOCS = REPOSITORY / "docs"
CONFIG = DOCS / "site" / "mkdocs.yml"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep quiet."""


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
@pytest.mark.parametrize("width", [380, 1280])
def test_pages_fit_a_telephone_and_a_screen(width: int, site: Path, tmp_path: Path) -> None:
    """No page is wider than the window; wide tables and commands scroll by themselves."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        for page in ("index.html", "tutorial.html", "reference.html", "zh/tutorial.html"):
            seen = measure_address(f"/{page}", site, server.server_address[1], tmp_path, width=width)
            assert seen["scroll"] == seen["width"], (page, json.dumps(seen))
    finally:
        server.shutdown()
        server.server_close()
