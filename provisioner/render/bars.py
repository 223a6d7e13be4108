"""Moving bars on a terminal: one line for the whole of a download, one for each running file."""

import sys
import time
from threading import Lock
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from provisioner.events import Event, Notice, Progress, StageFinished, StageStarted
from provisioner.render.amounts import format_bytes, format_progress, format_remaining, shorten_name
from provisioner.render.streams import printable

WHOLE = "all"
"""The item of a `Progress` that tells of all files together."""

_BAR_COLUMNS = 10
_OTHER_COLUMNS = 44  # what stands beside a file's name: spinner, bar, bytes, time
_SHORTEST_NAME = 8
_RATE_AFTER_S = 2.0


class Bars:
    """One spinner per running stage, one bar per moving file; finished stages stay as lines."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        self._console = Console(file=sys.stderr, highlight=False)
        self._bar = Bar(
            SpinnerColumn(),
            # One text a line, bar included: columns would be as wide for all lines as the longest name needs.
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._wholes: dict[str, _Whole] = {}
        self._lock = Lock()

    def __enter__(self) -> Self:
        """Start drawing."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bars away."""
        self._bar.stop()

    def __call__(self, event: Event) -> None:
        """Show the event; called from several threads."""
        with self._lock:
            match event:
                case StageStarted(stage=stage, detail=detail):
                    self._task(stage, f"{stage} {detail}".strip())
                case StageFinished(stage=stage, detail=detail, seconds=seconds):
                    self._end(stage)
                    took = f" ({seconds:.1f} s)" if seconds >= 0.05 else ""
                    self._console.print(printable(f"✓ {stage} {detail}".rstrip() + took), markup=False)
                case Notice(message=message, level=level):
                    word = "warning" if level == "warning" else "note"
                    self._console.print(printable(f"{word}: {message}"), markup=False)
                case Progress():
                    self._move(event)

    def _task(self, key: str, text: str) -> TaskID:
        if key not in self._tasks:
            self._tasks[key] = self._bar.add_task(printable(text), total=None)
        else:
            self._bar.update(self._tasks[key], description=printable(text))
        return self._tasks[key]

    def _move(self, event: Progress) -> None:
        whole = self._wholes.setdefault(event.stage, _Whole())
        whole.add(event)
        if event.item != WHOLE:
            key = f"{event.stage}\0{event.item}"
            width = max(self._console.width - _OTHER_COLUMNS, _SHORTEST_NAME)
            far = format_progress(event.done, event.total, event.unit)
            self._task(key, f"  {shorten_name(event.item, width)} {_draw(event.done, event.total)}{far}")
            if event.total is not None and event.done >= event.total:
                self._end(key)
        self._task(event.stage, f"{event.stage} {_draw(whole.done, whole.total)}{whole.describe()}")

    def _end(self, key: str) -> None:
        for name in [name for name in self._tasks if name == key or name.startswith(f"{key}\0")]:
            self._bar.remove_task(self._tasks.pop(name))
        self._wholes.pop(key, None)


def _draw(done: int, total: int | None) -> str:
    """Return a bar of fixed width with a space behind it; nothing while the total is not known."""
    if not total:
        return ""
    full = min(_BAR_COLUMNS * done // total, _BAR_COLUMNS)
    return f"{'━' * full}{'─' * (_BAR_COLUMNS - full)} "


class _Whole:
    """What all files of a stage come to: files, bytes, rate, and the time that is left.

    Attributes:
        total: Bytes of all files; None while not known.
    """

    def __init__(self) -> None:
        self.total: int | None = None
        self._files = ""
        self._done: dict[str, int] = {}
        self._started = time.monotonic()
        self._resumed = 0

    @property
    def done(self) -> int:
        """Return the bytes so far, also those that an earlier run had fetched."""
        return sum(self._done.values())

    def add(self, event: Progress) -> None:
        """Take in what an event tells of one file or of all."""
        if event.item == WHOLE and event.unit == "bytes":
            self.total = event.total
        if event.item == WHOLE and event.unit != "bytes":
            self._files = format_progress(event.done, event.total, event.unit)
        elif event.item != WHOLE or event.done:  # the whole has bytes of its own where no file is told
            if event.item not in self._done:
                self._resumed += event.done
            self._done[event.item] = event.done

    def describe(self) -> str:
        """Return ``3 of 45 files, 340 MB of 2.1 GB, 23 MB/s, 1 min left``, as far as it is known."""
        parts = [self._files, format_progress(self.done, self.total, "bytes")]
        seconds = time.monotonic() - self._started
        rate = (self.done - self._resumed) / seconds if seconds >= _RATE_AFTER_S else 0.0
        if rate > 0:
            parts.append(f"{format_bytes(rate)}/s")
            if self.total is not None and self.total > self.done:
                parts.append(f"{format_remaining((self.total - self.done) / rate)} left")
        return ", ".join(part for part in parts if part)
