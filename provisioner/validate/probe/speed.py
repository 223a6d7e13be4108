"""Tokens per second, reported and never judged: who else uses the machine decides them too."""

from __future__ import annotations

import time
from typing import Any

from .comparison import generate, last_logits
from .context import Context

_PROMPT_LENGTH = {"cpu": 64}
_NEW_TOKENS = {"cpu": 16}
_PROMPT_LENGTH_GPU = 512
_NEW_TOKENS_GPU = 64


def measure_speed(context: Context, measured: dict[str, Any]) -> None:
    """Time prefill and decoding, the first time (which compiles kernels of these shapes) and warm."""
    device = context.device
    length = _PROMPT_LENGTH.get(device.kind, _PROMPT_LENGTH_GPU)
    count = _NEW_TOKENS.get(device.kind, _NEW_TOKENS_GPU)
    repeats = -(-length // context.prompt.size(1))
    prompt = context.prompt.repeat(1, repeats)[:, :length]
    measured["prompt_tokens"] = length
    for name in ("first", "warm"):
        started = time.perf_counter()
        last_logits(context.model, prompt, device)
        prefill = time.perf_counter() - started
        started = time.perf_counter()
        tokens = generate(context.model, prompt, device, count, to_end=False)
        device.synchronize()
        # generating starts with a prefill of its own
        decoding = max(time.perf_counter() - started - prefill, 1e-9)
        measured[name] = {
            "prefill_seconds": round(prefill, 4),
            "prefill_tokens_per_second": round(length / prefill, 1),
            "new_tokens": len(tokens),
            "decode_tokens_per_second": round((len(tokens) - 1) / decoding, 1) if len(tokens) > 1 else None,
        }
