"""Debian's chromium: what a page measures at a width, and what follows when a key has moved the focus."""

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

# The page lies in a frame of the wanted width: the window itself has a smallest one. Its own script-free
# policy stays; the script around it may look inside, because both have one origin.
_WRAPPER = """<!doctype html><meta charset="utf-8"><body style="margin: 0">
<iframe id="frame" width="{width}" height="30000" style="border: 0" srcdoc="{page}"></iframe>
<pre id="answer"></pre>
<script>
document.getElementById("frame").addEventListener("load", (event) => {{
  const page = event.target.contentDocument, root = page.documentElement;
  const answer = {{ width: root.clientWidth, scroll: root.scrollWidth, more: null }};
  try {{ answer.more = ((page, view) => {{ {script} }})(page, event.target.contentWindow); }}
  catch (error) {{ answer.more = String(error); }}
  document.getElementById("answer").textContent = JSON.stringify(answer);
}});
</script>"""


def measure_page(html: str, folder: Path, *, width: int, script: str = "return null;") -> dict[str, Any]:
    """Open a page in a frame of ``width`` pixels and return its widths, with ``script``'s answer as ``more``.

    The script is the body of a function of the page's document and window.
    """
    wrapper = folder / f"frame-{width}.html"
    wrapper.write_text(_WRAPPER.format(width=width, page=escape(html), script=script), encoding="utf-8")
    return _read_answer(_run(folder, "--dump-dom", "--virtual-time-budget=5000", wrapper.as_uri()))


def _read_answer(shown: bytes) -> dict[str, Any]:
    found = re.search(r'<pre id="answer">(.*?)</pre>', shown.decode(), re.DOTALL)
    assert found, "the page was not loaded"
    answer: dict[str, Any] = json.loads(unescape(found[1]))
    return answer


def measure_address(page: str, site: Path, port: int, folder: Path, *, width: int) -> dict[str, Any]:
    """Return the widths of a page that a server on loopback shows from the folder ``site``."""
    name = f"frame-{width}.html"
    text = _WRAPPER.format(width=width, page="", script="return null;").replace('srcdoc=""', f'src="{page}"')
    # Pages with their own scripts lay themselves out by the window's height.
    (site / name).write_text(text.replace('height="30000"', 'height="900"'), encoding="utf-8")
    shown = _run(folder, "--dump-dom", "--virtual-time-budget=8000", f"http://127.0.0.1:{port}/{name}")
    return _read_answer(shown)


def picture_page(html: str, folder: Path, *, width: int, height: int = 1600) -> Path:
    """Return a picture of the page."""
    wrapper = folder / f"shot-{width}.html"
    text = _WRAPPER.format(width=width, page=escape(html), script="return null;")
    wrapper.write_text(text.replace('height="30000"', f'height="{height}"'), encoding="utf-8")
    shot = folder / f"shot-{width}.png"
    _run(folder, f"--screenshot={shot}", f"--window-size={max(width, 600)},{height}", wrapper.as_uri())
    return shot


def _run(folder: Path, *arguments: str) -> bytes:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip(reason="Debian's chromium is not installed")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'browser'}"]
    done = subprocess.run([browser, *options, *arguments], check=True, capture_output=True, timeout=60)
    return done.stdout
