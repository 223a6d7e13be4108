"""What every test relies on: the signals that a terminal's programs start with, and time for Hypothesis."""

import signal

from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing of the promise.
settings.register_profile("provision", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("provision")


def pytest_configure() -> None:
    """Ignore what `nohup` or a shell's `&` has us ignore, but with a handler, which no process inherits."""
    for name in ("SIGHUP", "SIGINT", "SIGQUIT"):  # Windows has SIGINT alone
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if name == "SIGINT" else lambda *_: None)
