"""``provision`` and ``python -m provisioner``: hear signals first, then load and run the command line."""

import gc
import os
import sys
from typing import NoReturn

from provisioner.cli.signals import EXIT_CODES, find_signal, watch_signals


def main() -> NoReturn:
    """Run the command line of this process and leave it with the contract's exit code."""
    watch_signals()
    gc.set_threshold(50_000)  # loading makes much that stays, and looking for cycles in it takes 15 ms
    try:
        from provisioner.cli.main import mend_streams, run  # noqa: PLC0415 - signals come first

        mend_streams()
        code = run(sys.argv[1:])
    except BaseException as error:
        name = find_signal(error)  # while the rest was loaded, or an answer was being printed
        if name is None:
            raise
        code = EXIT_CODES[name]
    # Engines' native threads may crash an orderly exit after everything is done (see docs/decisions).
    os._exit(code)


if __name__ == "__main__":
    main()
