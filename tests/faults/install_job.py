"""A process that builds an environment and can be told where to die; the fault tests run it.

Arguments: data folder, wheelhouse, version of the demo wheel, and what to do when: ``die:7`` kills the
process at its seventh event, ``stop:7`` lets it hang there, ``call:7`` kills it at the seventh time that it
makes a folder, or syncs or renames a file, ``none`` lets it end.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provisioner.events import Event
from tests.installing import install, make_plan, stock_wheel

assert sys.platform != "win32", "it kills itself as POSIX does"

_CALLS = ("mkdir", "fsync", "rename", "replace")
_seen = 0


def main() -> None:
    """Build, and print the generation and whether it is new."""
    data, house, version, fault = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    action, _, number = fault.partition(":")
    if action == "call":
        die_at_call(int(number))

    def listen(event: Event) -> None:
        global _seen  # noqa: PLW0603 - one counter of one process
        _seen += 1
        print(type(event).__name__, getattr(event, "detail", getattr(event, "message", "")), flush=True)  # noqa: T201 - read by the test
        if action in {"die", "stop"} and _seen == int(number):
            if action == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(600)

    plan = make_plan(
        [
            stock_wheel(house, "demo", version),
            stock_wheel(house, "other", files={f"o{n}.py": "" for n in range(500)}),
        ]
    )
    built = install(data, plan, wheelhouse=house, on_event=listen, lock_timeout_s=60)
    print("done", built.number, built.new, flush=True)  # noqa: T201 - read by the test


def die_at_call(number: int) -> None:
    """Kill this process before its ``number``-th call of those that decide what a crash leaves."""
    left = number

    def watch(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    for name in _CALLS:
        setattr(os, name, watch(getattr(os, name)))


if __name__ == "__main__":
    main()
