"""Tokens per second, reported and never judged: who else uses the machine decides them too."""

from __future__ import annotations

import time
from typing import Any

from .comparison import stream
from .context import Context

_PROMPT_LENGTH = {"cpu": 64}
_NEW_TOKENS = {"cpu": 16}
_PROMPT_LENGTH_GPU = 512
_NEW_TOKENS_GPU = 64
# A busy CPU needs minutes for what a free one does in a second. A GPU chooses kernels for every new length
# the first time, and a warm figure needs those lengths to be behind it.
_LONGEST_S = {"cpu": 5.0}
_LONGEST_GPU_S = 60.0


def measure_speed(context: Context, measured: dict[str, Any]) -> None:
    """Time prefill and decoding, the first time (which compiles kernels of these shapes) and warm."""
    device = context.device
    length = _PROMPT_LENGTH.get(device.kind, _PROMPT_LENGTH_GPU)
    count = _NEW_TOKENS.get(device.kind, _NEW_TOKENS_GPU)
    longest_s = _LONGEST_S.get(device.kind, _LONGEST_GPU_S)
    repeats = -(-length // context.prompt.size(1))
    prompt = context.prompt.repeat(1, repeats)[:, :length]
    measured["prompt_tokens"] = length
    for name in ("first", "warm"):
        tokens = stream(context.model, prompt, device)
        started = time.perf_counter()
        next(tokens)  # reading the token waits for the device
        prefill = time.perf_counter() - started
        started = time.perf_counter()
        decoded = 0
        while decoded < count and time.perf_counter() - started < longest_s:
            next(tokens)
            decoded += 1
        decoding = time.perf_counter() - started
        tokens.close()
        measured[name] = {
            "prefill_seconds": round(prefill, 4),
            "prefill_tokens_per_second": round(length / prefill, 1),
            "new_tokens": decoded,
            "decode_tokens_per_second": round(decoded / decoding, 1),
        }
