"""Debian's chromium: what a page measures at a width, and what follows when a key has moved the focus."""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Sequence
from functools import partial
from html import escape, unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
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

_TOUR = """<!doctype html><meta charset="utf-8"><body style="margin: 0">
<iframe id="frame" width="{width}" height="900" style="border: 0"></iframe>
<pre id="answer"></pre>
<script>
const frame = document.getElementById("frame"), pages = {pages}, answers = {{}};
let number = 0;
frame.addEventListener("load", () => setTimeout(() => {{
  let answer;
  try {{ answer = ((page, view) => {{ {script} }})(frame.contentDocument, frame.contentWindow); }}
  catch (error) {{ answer = String(error); }}
  answers[pages[number++]] = answer;
  if (number < pages.length) frame.src = pages[number];
  else document.getElementById("answer").textContent = JSON.stringify(answers);
}}, 100));
frame.src = pages[0];
</script>"""

# The search's worker, in the page itself: the time of a headless browser does not wait for workers.
# Its messages have numbers: 0 the index, 1 ready, 2 a question, 3 the answer.
_SEARCH = """<!doctype html><meta charset="utf-8"><pre id="answer"></pre>
<script src="{worker}"></script>
<script>
const words = {words}, answers = {{}};
let number = 0;
const ask = () => postMessage({{ type: 2, data: words[number] }});
addEventListener("message", (event) => {{
  const {{ type, data }} = event.data;
  if (type === 1) ask();
  if (type === 3) {{
    answers[words[number++]] = data.items.flat().map((each) => each.location);
    if (number < words.length) ask();
    else document.getElementById("answer").textContent = JSON.stringify(answers);
  }}
}});
fetch("search/search_index.json").then((answer) => answer.json()).then(
  (index) => postMessage({{ type: 0, data: {{ ...index, options: {{ suggest: false }} }} }}));
</script>"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep quiet."""


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


def measure_site(
    pages: Sequence[str], site: Path, folder: Path, *, width: int, script: str
) -> dict[str, Any]:
    """Open a site's pages one after the other, and return what ``script`` answers of each.

    The script is the body of a function of the page's document and window. It runs a little after the page
    was loaded: pages with their own scripts lay themselves out by then.
    """
    text = _TOUR.format(width=width, pages=json.dumps(list(pages)), script=script)
    return _show(text, site, folder, budget_ms=5000 + 1000 * len(pages))


def search_site(words: Sequence[str], site: Path, folder: Path) -> dict[str, list[str]]:
    """Return which places of a site its own search finds for each word, the best first."""
    (worker,) = (site / "assets" / "javascripts" / "workers").glob("search.*.js")
    text = _SEARCH.format(worker=worker.relative_to(site).as_posix(), words=json.dumps(list(words)))
    return _show(text, site, folder, budget_ms=10000)


def _show(text: str, site: Path, folder: Path, *, budget_ms: int) -> dict[str, Any]:
    """Serve a site with one more page, and return what that page answers."""
    (site / "answer.html").write_text(text, encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}/answer.html"
        return _read_answer(_run(folder, "--dump-dom", f"--virtual-time-budget={budget_ms}", address))
    finally:
        server.shutdown()
        server.server_close()
        (site / "answer.html").unlink()


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
