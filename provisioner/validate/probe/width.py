"""Layers of production size with random weights: the real model's kernel shapes, and their memory."""

from __future__ import annotations

import time
from typing import Any

from . import comparison, models
from .context import Context
from .devices import Device

_PROMPT_LENGTH = 64
_ROWS = 8192  # no other layer's width: ipex-llm takes a layer as wide as the vocabulary for the output layer
_SIZES = {
    # Meta-Llama-3-8B
    "llama3": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": _ROWS,
    },
    # glm-4-9b-chat-hf
    "chatglm": {
        "hidden_size": 4096,
        "intermediate_size": 13696,
        "num_attention_heads": 32,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "vocab_size": _ROWS,
    },
    # chatglm2-6b
    "chatglm2": {
        "hidden_size": 4096,
        "ffn_hidden_size": 13696,
        "kv_channels": 128,
        "num_attention_heads": 32,
        "multi_query_group_num": 2,
        "embedding_rows": _ROWS,
    },
}
_LAYERS_NAME = {"llama3": "num_hidden_layers", "chatglm": "num_hidden_layers", "chatglm2": "num_layers"}


def measure_width(context: Context, measured: dict[str, Any]) -> None:
    """Build one layer on a CPU, two on a GPU, and compare as for the real model."""
    request, device = context.request, context.device
    family = request["family"]
    layers = 1 if device.kind == "cpu" else 2
    measured["sizes"] = {**_SIZES[family], "layers": layers}
    started = time.perf_counter()
    model = models.build_random(family, {**_SIZES[family], _LAYERS_NAME[family]: layers})
    prompt = models.random_prompt(model, _PROMPT_LENGTH)
    measured["parameters"] = models.count_parameters(model)
    measured["build_seconds"] = round(time.perf_counter() - started, 3)
    cpu, centred = Device("cpu"), comparison.is_low_bit(request)
    if not centred:
        reference = comparison.last_logits(model, prompt, cpu)
    device.reset_peak()
    if centred:
        model, rounded = models.convert_low_bit(model, request, device, measured)
        reference = comparison.last_logits(rounded, prompt, cpu)
    else:
        model = models.convert(model, request, device, measured)
    started = time.perf_counter()
    logits = comparison.last_logits(model, prompt, device)
    measured["first_call_seconds"] = round(time.perf_counter() - started, 4)
    started = time.perf_counter()
    comparison.last_logits(model, prompt, device)
    measured["warm_call_seconds"] = round(time.perf_counter() - started, 4)
    measured.update(comparison.describe(logits))
    measured.update(comparison.compare(logits, reference, centred=centred))
    step = comparison.cached_step(model, prompt, device)
    measured["cached_step"] = {
        **comparison.describe(step),
        **comparison.compare(step, reference, centred=centred),
    }
    measured["peak_bytes"] = device.peak_bytes()
