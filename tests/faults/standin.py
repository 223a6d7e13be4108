"""Stand-ins for an environment's interpreter: real processes that speak the probe's protocol, or break it."""

import json
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provisioner.diagnose.failures.probe_errors import recognise_error
from provisioner.engines.process.run import start_program
from provisioner.events import Event
from provisioner.validate.model import Report, ValidationRequest
from provisioner.validate.run import validate_environment

LOGITS = {"vocabulary": 10, "finite": True, "largest": 5.0, "spread": 1.0, "top": 3}
AGREEMENT = {"relative_difference": 0.01, "cosine": 0.999, "divergence_nats": 0.001, "same_top": True}

MEASURED: Mapping[str, Mapping[str, Any]] = {
    "packages": {
        "python": "3.11.0",
        "installed": {"torch": "2.13.0+cpu"},
        "elsewhere": {},
        "damaged_count": 0,
        "damaged": [],
        "startup": [],
        "added_count": 0,
        "added": [],
    },
    "imports": {
        "modules": {"torch": {"file": "/env/torch/__init__.py", "inside": True, "version": "2.13.0+cpu"}},
        "torch": {"version": "2.13.0+cpu", "cuda": None},
        "foreign_modules": {},
    },
    "device": {"kind": "cpu", "index": 0, "count": 1, "built": True, "selectors": {}, "name": "a CPU"},
    "kernels": {
        "copy_equal": True,
        "matmul": {"float32": {"device": "cpu", "relative_error": 1e-7}},
        "dispatch": {},
    },
    "weights": {"parameters": 10, "prompt_ids": [1, 2]},
    "reference": LOGITS | {"tokens": [3], "text": " Paris"},
    "conversion": {
        "backend": "ipex-llm",
        "linear_classes": {"LowBitLinear": 3},
        "replaced": {"LlamaAttention": "ipex_llm.forward"},
    },
    "forward": LOGITS
    | {"tensors_elsewhere_count": 0, "output_device": "cpu", "asked_device": "cpu", "lengths": []},
    "comparison": AGREEMENT,
    "generation": {"tokens": [3], "text": " Paris", "cached_step": LOGITS | AGREEMENT},
    "width": LOGITS | AGREEMENT | {"cached_step": LOGITS | AGREEMENT},
    "speed": {},
}

_PRELUDE = """\
#!{python} -I
import json, os, signal, subprocess, sys, time
MEASURED = json.loads({measured!r})
request = json.loads(sys.stdin.buffer.read())
channel = os.fdopen(int(os.environ["PROVISION_CHANNEL"]), "wb", buffering=0)

def send(event, **values):
    channel.write(json.dumps({{"nonce": request["nonce"], "event": event, **values}}).encode() + b"\\n")

def run(*, until="speed", wrong=None):
    for stage in request["stages"]:
        send("started", stage=stage)
        if stage == until and until != "speed":
            return
        measured = MEASURED[stage]
        if wrong and stage in wrong:
            measured = dict(measured, **wrong[stage])
        send("finished", stage=stage, seconds=0.01, measured=measured)
    send("done")

"""


def write_interpreter(folder: Path, body: str) -> Path:
    """Write an executable that stands in for the environment's Python and return its path."""
    path = folder / "python"
    text = _PRELUDE.format(python=sys.executable, measured=json.dumps(MEASURED)) + textwrap.dedent(body)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def validate(folder: Path, body: str, **options: Any) -> Report:
    """Validate a stand-in with the given behaviour; ``options`` go into the request."""
    events: list[Event] = options.pop("events", [])
    values: dict[str, Any] = {
        "interpreter": write_interpreter(folder, body),
        "prefix": folder,
        "device": "cpu",
        "family": "llama3",
        "precision": "sym_int8",
        "profile_device": "cpu",
    }
    request = ValidationRequest(**(values | options))
    return validate_environment(
        request, process=start_program, recognise=recognise_error, on_event=events.append
    )
