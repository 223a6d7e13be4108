"""Turn the first signal into an exception that ends the command, and see to it that it arrives.

What is raised in a callback goes nowhere: in that of a weak reference (every import makes one), in
``__del__``, in one of the garbage collector. A signal that comes just there is sent again. This module loads
nothing else of ours, so that a signal is heard while the rest is loaded. Source: `sys.unraisablehook` in
Python's documentation.
"""

import signal
import sys
import threading
from typing import Any

EXIT_CODES = {
    "SIGINT": 130,
    "SIGBREAK": 130,  # Ctrl-Break, only on Windows
    "SIGTERM": 143,
    "SIGHUP": 129,
}
"""Signal to the contract's exit code, which is that of a shell."""

# What has thrown the signal away has ended by then; where not, it is sent once more.
_AGAIN_S = 0.01


class SignalledError(BaseException):
    """A signal asked us to stop; its name is the first argument."""


def watch_signals() -> None:
    """Turn the first signal into an exception; what cleans up after it is not interrupted by a second."""
    for name in EXIT_CODES:
        # `nohup` and a shell's `&` make us ignore some; that is kept.
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN:
            signal.signal(getattr(signal, name), _stop)
    sys.unraisablehook = _send_again


def find_signal(error: BaseException | None) -> str | None:
    """Return the name of the signal that an exception is, or came of; Python wraps some in a RuntimeError."""
    while error is not None:
        if isinstance(error, SignalledError):
            return str(error.args[0])
        error = error.__cause__ or error.__context__
    return None


def _stop(number: int, frame: Any) -> None:
    del frame
    for name in EXIT_CODES:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    raise SignalledError(signal.Signals(number).name)


def _send_again(lost: "sys.UnraisableHookArgs") -> None:
    if not isinstance(lost.exc_value, SignalledError):
        sys.__unraisablehook__(lost)
        return
    number = getattr(signal, lost.exc_value.args[0])
    signal.signal(number, _stop)
    # Not from here, where it would be lost like the first.
    threading.Timer(_AGAIN_S, _send, (number,)).start()


def _send(number: signal.Signals) -> None:
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:  # it also wakes the main thread where that waits for something
        signal.pthread_kill(threading.main_thread().ident or 0, number)
