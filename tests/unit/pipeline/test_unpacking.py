"""Unpacking tells how far it is while an engine says nothing."""

import time
from pathlib import Path

from provisioner.events import Event, Progress, StageStarted
from provisioner.pipeline.unpacking import tell_unpacked


def wait_for(events: list[Event], number: int) -> Progress:
    """Return the last event once there are so many."""
    deadline = time.monotonic() + 30
    while len(events) < number:
        assert time.monotonic() < deadline, "nothing was told"
        time.sleep(0.005)
    last = events[-1]
    assert isinstance(last, Progress)
    return last


def test_bytes_below_the_folder_are_told_until_the_end(tmp_path: Path) -> None:
    """Files of all folders count, as they come; what is more than the total is not told."""
    events: list[Event] = []
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.py").write_bytes(b"1234")
    with tell_unpacked(tmp_path, 10, events.append, pause_s=0.01):
        first = wait_for(events, 1)
        assert (first.stage, first.item, first.done, first.total) == ("install", "all", 4, 10)
        (tmp_path / "y.py").write_bytes(b"12345")
        assert wait_for(events, len(events) + 2).done == 9
    seen = len(events)
    time.sleep(0.05)
    assert len(events) == seen


def test_the_step_after_the_last_byte_has_a_name(tmp_path: Path) -> None:
    """What lies unpacked is linked then, which takes its time; it is told once, and no byte after it."""
    events: list[Event] = []
    (tmp_path / "x.py").write_bytes(b"12345678901")
    with tell_unpacked(tmp_path, 10, events.append, pause_s=0.01):
        time.sleep(0.3)
    assert events == [
        Progress(stage="install", item="all", done=10, total=10),
        StageStarted(stage="install", detail="link"),
    ]


def test_an_absent_folder_tells_nothing(tmp_path: Path) -> None:
    """An engine that has not begun, or needs no such folder, has no progress."""
    events: list[Event] = []
    with tell_unpacked(tmp_path / "no", 10, events.append, pause_s=0.01):
        time.sleep(0.05)
    assert events == []
