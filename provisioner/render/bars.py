"""Moving bars on a terminal."""

import sys
from threading import Lock
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import (
    Progress as Bar,
)

from provisioner.events import Event, Notice, Progress, StageFinished, StageStarted
from provisioner.render.progress import describe
from provisioner.render.streams import printable


class Bars:
    """One spinner per running stage, one bar per moving file; finished stages stay as lines."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        self._console = Console(file=sys.stderr, highlight=False)
        self._bar = Bar(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[far]}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
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
            self._tasks[key] = self._bar.add_task(printable(text), total=None, far="")
        else:
            self._bar.update(self._tasks[key], description=printable(text))
        return self._tasks[key]

    def _move(self, event: Progress) -> None:
        key = f"{event.stage}\0{event.item}"
        task = self._task(key, f"  {event.item}")
        self._bar.update(task, completed=event.done, total=event.total, far=describe(event))
        if event.total is not None and event.done >= event.total:
            self._end(key)

    def _end(self, key: str) -> None:
        for name in [name for name in self._tasks if name == key or name.startswith(f"{key}\0")]:
            self._bar.remove_task(self._tasks.pop(name))
