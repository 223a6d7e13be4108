"""Show what stages tell: moving bars on a terminal, plain lines elsewhere; always on stderr."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from provisioner.events import Event, Listener, Notice, Progress, StageFinished, StageStarted
from provisioner.render.amounts import format_progress
from provisioner.render.streams import printable, write_text


@contextmanager
def show_progress(environ: Mapping[str, str]) -> Iterator[Listener]:
    """Yield the listener that fits the terminal; what it drew is complete when the block ends."""
    if _is_interactive(environ):
        from provisioner.render.bars import Bars  # noqa: PLC0415 - 70 ms of rich that a run without a terminal saves

        with Bars() as bars:
            yield bars
    else:
        yield PlainLines(sys.stderr)


def _is_interactive(environ: Mapping[str, str]) -> bool:
    return (
        sys.stderr.isatty()
        and not environ.get("CI")
        and not environ.get("NO_COLOR")
        and environ.get("TERM") != "dumb"
        and (sys.stderr.encoding or "").lower().replace("-", "") == "utf8"  # what bars are made of
    )


class PlainLines:
    """One line per step, and one per file that is complete; a long download says so every ten seconds."""

    _EVERY_S = 10.0

    def __init__(self, stream: TextIO) -> None:
        """Keep the stream."""
        self._stream = stream
        self._last = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Write the event, if it is worth a line; a reader that has gone does not stop the work."""
        line = self._line(event)
        if line is not None:
            write_text(self._stream, printable(f"{line}\n"))

    def _line(self, event: Event) -> str | None:
        match event:
            case StageStarted(stage=stage, detail=detail):
                return f"{stage}: {detail}" if detail else stage
            case StageFinished(stage=stage, detail=detail, seconds=seconds):
                return f"{stage}: {detail or 'done'} ({seconds:.1f} s)" if seconds >= 0.05 else None
            case Notice(message=message, level=level):
                return f"{level}: {message}" if level == "warning" else f"note: {message}"
            case Progress():
                return self._progress(event)

    def _progress(self, event: Progress) -> str | None:
        now = time.monotonic()
        if now - self._last < self._EVERY_S:
            return None
        self._last = now
        return f"{event.stage}: {event.item} {format_progress(event.done, event.total, event.unit)}"
