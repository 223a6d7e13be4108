"""Ask rattler for something, in a worker process.

After a successful call the interpreter that loaded rattler may crash on its way out (8 of 60 runs on
py-rattler 0.28.0), and a damaged package may abort it: the worker's answer counts, never its exit status.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

from provisioner.engines.net.addresses import redact_text
from provisioner.engines.process.run import run_program
from provisioner.errors import InternalError
from provisioner.ground.scratch import hold_scratch

_WORKER = Path(__file__).with_name("worker.py")


def ask_rattler(
    task: Mapping[str, Any], *, environ: Mapping[str, str], timeout_s: float, stop: Event | None = None
) -> dict[str, Any]:
    """Return the worker's answer to a task; see `worker` for both.

    Raises:
        ProgramTimeoutError: It did not end in time.
        InternalError: It ended without an answer, or ``stop`` was set.
    """
    with hold_scratch("rattler") as folder:
        path = folder / "answer.json"
        completed = run_program(
            [sys.executable, "-I", str(_WORKER)],
            env=environ,
            cwd=folder,
            timeout_s=timeout_s,
            stdin=json.dumps({**task, "answer": str(path)}).encode(),
            stop=stop,
        )
        try:
            answer: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            said = redact_text(completed.stderr.strip())[-2000:]
            raise InternalError(
                "internal.rattler",
                f"rattler's worker ended with exit code {completed.exit_code} and no answer: {said}",
                hints=["run the same command again; if it fails again, report it with this output"],
            ) from error
        return answer
