"""Tell how far an engine is that unpacks packages and says nothing meanwhile."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from provisioner.events import Listener, Progress, StageStarted

_PAUSE_S = 0.5
_PAUSES_PER_LOOK = 10  # a look at many files takes long; it may cost a tenth of a core


@contextmanager
def tell_unpacked(
    folder: Path, total: int, on_event: Listener, *, pause_s: float = _PAUSE_S
) -> Iterator[None]:
    """Tell the bytes of the files below ``folder`` while the block runs, as part of ``total``.

    Once it is all of them, the step is called ``link``, which is what engines do then, and nothing more is
    told. ``total`` may be too small, as of packages of unknown size: no more than it is told.
    """
    stop = threading.Event()

    def watch() -> None:
        pause = pause_s
        while not stop.wait(pause):
            started = time.thread_time()
            done = _count_bytes(folder, stop)
            if done and not stop.is_set():
                on_event(Progress(stage="install", item="all", done=min(done, total), total=total))
                if done >= total:
                    on_event(StageStarted(stage="install", detail="link"))
                    return
            pause = max(pause_s, _PAUSES_PER_LOOK * (time.thread_time() - started))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _count_bytes(folder: Path, stop: threading.Event) -> int:
    """Return the bytes of all files below a folder, from which others take files meanwhile."""
    count = 0
    for place, _, names in os.walk(folder):
        if stop.is_set():
            break
        for name in names:
            with suppress(OSError):
                count += os.lstat(f"{place}{os.sep}{name}").st_size
    return count
