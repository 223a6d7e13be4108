"""A torch of one small file that answers the probe as a sound stack would: a fake, for many small machines.

It measures nothing. It stands in for two gigabytes of a real stack, so that eight machines of a test can have
a verdict each; what a verdict is worth is tested in tests/gpu with real models.
"""

import json

from tests.faults.standin import MEASURED

_ABSENT = {"kind": "xpu", "index": 0, "count": 0, "built": True, "selectors": {}, "name": None}

_CODE = """\
import json, os, sys
__version__ = "2.13.0+cpu"
MEASURED, ABSENT = json.loads({measured!r}), json.loads({absent!r})
def answer():
    frame = sys._getframe()
    while frame and not {{"channel", "request", "context"}} <= set(frame.f_locals):
        frame = frame.f_back
    if frame is None or "_provision_probe" not in sys.modules:
        return
    channel, request = frame.f_locals["channel"], frame.f_locals["request"]
    stages = request["stages"][request["stages"].index("imports"):]
    for number, stage in enumerate(stages):
        if number:
            channel.send("started", stage=stage)
        measured = ABSENT if stage == "device" and request["device"] != "cpu" else MEASURED[stage]
        channel.send("finished", stage=stage, seconds=0.01, measured=measured)
    channel.send("done")
    os._exit(0)
answer()
"""

STANDIN_TORCH = {
    "torch/__init__.py": _CODE.format(measured=json.dumps(MEASURED), absent=json.dumps(_ABSENT)),
    "torch/version.py": "__version__ = '2.13.0+cpu'\n",
}
