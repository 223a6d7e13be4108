"""What a stage tells while it works; the command line decides how it looks."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class StageStarted:
    """A stage or a step of it begins."""

    stage: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageFinished:
    """A stage or a step of it ended after ``seconds``."""

    stage: str
    seconds: float
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Work done so far within a stage.

    ``done`` and ``total`` count ``unit`` (``bytes`` or ``files``); ``total`` is None while unknown.
    """

    stage: str
    item: str
    done: int
    total: int | None
    unit: str = "bytes"


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """One sentence that the user should read once; ``level`` is ``info`` or ``warning``."""

    message: str
    level: str = "info"


Event = StageStarted | StageFinished | Progress | Notice
Listener = Callable[[Event], None]


def ignore_events(event: Event) -> None:
    """Drop the event; the listener of callers that do not watch."""
    del event


@contextmanager
def tell_step(stage: str, detail: str, on_event: Listener) -> Iterator[None]:
    """Tell of a step's begin and of its end; a step that fails has no end."""
    started = time.monotonic()
    on_event(StageStarted(stage=stage, detail=detail))
    yield
    on_event(StageFinished(stage=stage, seconds=time.monotonic() - started, detail=detail))
