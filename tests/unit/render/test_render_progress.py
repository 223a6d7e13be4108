"""Progress: lines for logs, bars for people, and who gets which."""

import io
import re
import sys

import pytest

from provisioner.events import Event, Notice, Progress, StageFinished, StageStarted
from provisioner.render.amounts import format_bytes, format_progress, format_remaining, shorten_name
from provisioner.render.progress import PlainLines, show_progress


class Terminal(io.StringIO):
    """A stream that says that it is a terminal of some encoding."""

    def __init__(self, encoding: str = "utf-8") -> None:
        """Keep the encoding."""
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override] # StringIO has none, a terminal has
        """Return it."""
        return self._encoding

    def isatty(self) -> bool:
        """Say yes."""
        return True


def lines(*events: Event) -> list[str]:
    stream = io.StringIO()
    listener = PlainLines(stream)
    for event in events:
        listener(event)
    return stream.getvalue().splitlines()


def test_stages_are_lines() -> None:
    """A start is a line, an end only where it took a while."""
    assert lines(
        StageStarted(stage="fetch", detail="3 files"),
        StageFinished(stage="fetch", seconds=1.25, detail="3 files"),
        StageStarted(stage="resolve"),
        StageFinished(stage="resolve", seconds=0.01),
    ) == ["fetch: 3 files", "fetch: 3 files (1.2 s)", "resolve"]


def test_notices_say_how_serious_they_are() -> None:
    """A warning is called one; a control character in it is not obeyed."""
    assert lines(Notice(message="by the way"), Notice(message="mind \x1b[2J that", level="warning")) == [
        "note: by the way",
        "warning: mind \\x1b[2J that",
    ]


def test_bytes_do_not_flood_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress within a file is a line every ten seconds at most."""
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    stream = io.StringIO()
    listener = PlainLines(stream)
    for step in range(1, 41):
        now = 100.0 + step
        listener(Progress(stage="fetch", item="torch.whl", done=step * 1_000_000, total=40_000_000))
    assert stream.getvalue().splitlines() == [
        f"fetch: torch.whl {step} MB of 40 MB" for step in (10, 20, 30, 40)
    ]


@pytest.mark.parametrize(
    ("done", "total", "unit", "text"),
    [
        (1_500_000, None, "bytes", "1.5 MB"),
        (0, 0, "bytes", "0 bytes"),
        (12_000_000, 2_100_000_000, "bytes", "12 MB of 2.1 GB"),
        (3, 9, "files", "3 of 9 files"),
        (3, None, "files", "3 files"),
    ],
)
def test_amounts_have_units(done: int, total: int | None, unit: str, text: str) -> None:
    """Bytes have the unit that fits, other things are counted; an unknown total is left out."""
    assert format_progress(done, total, unit) == text


def test_words_for_amounts() -> None:
    """Small and large numbers read well, and a long name keeps its end."""
    assert [format_bytes(count) for count in (7, 2_500, 950_000_000)] == ["7 bytes", "2.5 kB", "950 MB"]
    assert [format_remaining(s) for s in (4.4, 200, 4_800)] == ["4 s", "3 min", "1 h 20 min"]
    short = shorten_name("torch-2.9.1+xpu-cp311-cp311-manylinux_2_28_x86_64.whl", 24)
    assert short == "torch-2.9.1+xpu…6_64.whl"
    assert len(short) == 24


@pytest.mark.parametrize(
    ("environ", "encoding", "bars"),
    [
        ({}, "utf-8", True),
        ({}, "UTF8", True),
        ({"NO_COLOR": ""}, "utf-8", True),
        ({"NO_COLOR": "1"}, "utf-8", False),
        ({"CI": "true"}, "utf-8", False),
        ({"TERM": "dumb"}, "utf-8", False),
        ({}, "ascii", False),
        ({}, "cp1252", False),
    ],
)
def test_bars_are_for_terminals_that_can(
    environ: dict[str, str], encoding: str, bars: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_COLOR, CI, dumb terminals and those without the characters get lines."""
    monkeypatch.setattr(sys, "stderr", Terminal(encoding))
    with show_progress(environ) as listener:
        assert isinstance(listener, PlainLines) is not bars


def test_a_log_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no terminal never gets bars."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with show_progress({"FORCE_COLOR": "1"}) as listener:
        assert isinstance(listener, PlainLines)


def test_bars_show_events_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Square brackets are no markup, finished stages and notices stay as lines."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with show_progress({"TERM": "xterm"}) as listener:
        listener(StageStarted(stage="fetch", detail="ipex-llm[xpu]"))
        listener(Progress(stage="fetch", item="a[red].whl", done=1, total=2))
        listener(Progress(stage="fetch", item="a[red].whl", done=2, total=2))
        listener(Notice(message="mind [this]", level="warning"))
        listener(StageFinished(stage="fetch", seconds=2.0, detail="ipex-llm[xpu]"))
    shown = terminal.getvalue()
    assert "✓ fetch ipex-llm[xpu] (2.0 s)" in shown
    assert "warning: mind [this]" in shown


def test_a_whole_without_files_has_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tells its bytes for all files together, as unpacking does, is one line with what is left."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with show_progress({"TERM": "xterm"}) as listener:
        listener(StageStarted(stage="install", detail="32 wheels"))
        listener(Progress(stage="install", item="all", done=100_000_000, total=1_000_000_000))
        now = 110.0
        listener(Progress(stage="install", item="all", done=500_000_000, total=1_000_000_000))
    assert "install ━━━━━───── 500 MB of 1.0 GB, 40 MB/s, 12 s left" in terminal.getvalue()


def test_a_download_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line tells of the whole with totals and what is left, one of each running file; none is cut."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    name = "intel_extension_for_pytorch-2.1.10+xpu-cp311-cp311-linux_x86_64.whl"
    with show_progress({"TERM": "xterm"}) as listener:
        listener(StageStarted(stage="fetch", detail="45 files"))
        listener(Progress(stage="fetch", item="all", done=0, total=2_000_000_000))
        listener(Progress(stage="fetch", item="all", done=12, total=45, unit="files"))
        listener(Progress(stage="fetch", item=name, done=0, total=800_000_000))
        now = 110.0
        listener(Progress(stage="fetch", item=name, done=200_000_000, total=800_000_000))
    shown = terminal.getvalue()
    assert "12 of 45 files, 200 MB of 2.0 GB, 20 MB/s, 2 min left" in shown
    assert "200 MB of 800 MB" in shown
    assert "x_x86_64.whl" in shown
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert max(len(line) for line in re.split(r"[\r\n]", plain)) <= 80
