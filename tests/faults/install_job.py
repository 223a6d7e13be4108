"""A process that builds an environment and can be told where to die; the fault tests run it.

Arguments: data folder, wheelhouse, version of the demo wheel, and what to do at which event: ``die:7`` kills
the process at its seventh event, ``stop:7`` lets it hang there, ``none`` lets it end.
"""

import os
import signal
import sys
import time
from pathlib import Path

from provisioner.events import Event
from tests.installing import install, make_plan, stock_wheel

assert sys.platform != "win32", "it kills itself as POSIX does"

_seen = 0


def main() -> None:
    """Build, and print the generation and whether it is new."""
    data, house, version, fault = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    action, _, number = fault.partition(":")

    def listen(event: Event) -> None:
        global _seen  # noqa: PLW0603 - one counter of one process
        _seen += 1
        print(type(event).__name__, getattr(event, "detail", getattr(event, "message", "")), flush=True)  # noqa: T201 - read by the test
        if _seen == int(number or 0):
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


if __name__ == "__main__":
    main()
