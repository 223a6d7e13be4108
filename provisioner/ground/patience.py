"""Windows lets nobody delete or replace a file that another program holds: there it is tried again."""

import sys
import time
from collections.abc import Callable

_PATIENCE_S = 10.0


def act_patiently(action: Callable[[], object]) -> None:
    """Run ``action``; on Windows again for ten seconds while another program holds a file."""
    deadline = time.monotonic() + (_PATIENCE_S if sys.platform == "win32" else 0.0)
    pause_s = 0.05
    while True:
        try:
            action()
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 1.0)
        else:
            return
