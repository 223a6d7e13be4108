"""One model in three ways: what it should say, what the device should calculate, and what it calculates.

numpy runs the file's own weights in fp32, and then those that openvino_genai made of them: 4 bits change the
logits as much as a missing rotary embedding does, so no tolerance against the file's own weights could tell
the two apart. The device must agree with the second: in ``ACCURACY`` mode to fp32's precision, in the default
mode, in which activations are quantised, within the tolerance of the precision.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from .comparison import LENGTHS, NEW_TOKENS, SAMPLED
from .context import Context
from .openvino_device import name_places, plain
from .openvino_model import MODEL_FILE

_MODES = {"accuracy": {"EXECUTION_MODE_HINT": "ACCURACY"}, "default": {}}


def measure_reference(context: Context, measured: dict[str, Any]) -> None:
    """Run the file's own weights in numpy, fp32; a user's folder on the CPU in ``ACCURACY`` mode."""
    from .numpy_llama import Llama

    if context.request["model_dir"]:
        context.model = context.core.read_model(context.folder / MODEL_FILE)
        cpu = context.cpu = context.core.compile_model(context.model, "CPU", _MODES["accuracy"])
        context.reference = _last_logits(cpu, [context.prompt])
    else:
        model = context.reference_model = Llama(Path(context.request["weights_dir"]))
        context.reference = model.last_logits(context.prompt)
        measured["parameters"] = model.parameters
        measured["tokens"] = model.generate(context.prompt, NEW_TOKENS)
    measured.update(describe(context.reference))
    context.prompts = [context.prompt, *(repeat(context.prompt, length) for length in LENGTHS)]
    if context.request["model_dir"]:
        context.expected = [_last_logits(cpu, [prompt]) for prompt in context.prompts]


def repeat(prompt: list[int], length: int) -> list[int]:
    """Return the prompt's tokens again and again.

    Random tokens are worse: one row of 17 was so unstable that the default mode's rounding moved the logits
    by 0.6, and that of fp32 by ten times as much as for others.
    """
    return (prompt * (-(-length // len(prompt))))[:length]


def measure_conversion(context: Context, measured: dict[str, Any]) -> None:
    """Read the weights out of the converted model; numpy then says what the device should calculate."""
    import numpy as np

    from .openvino_weights import read_weights

    model = context.model = context.core.read_model(context.folder / MODEL_FILE)
    measured["backend"], measured["precision"] = "openvino", context.request["precision"]
    constants = [node for node in model.get_ordered_ops() if node.get_type_name() == "Constant"]
    kinds = [node.get_element_type().get_type_name() for node in constants]
    measured["constant_types"] = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
    reference = context.reference_model
    own = read_weights(
        model, int(reference.config["num_hidden_layers"]), int(reference.config["hidden_size"])
    )
    changes = {
        name: float(np.linalg.norm(values - own[name]) / np.linalg.norm(values))
        for name, values in reference.weights.items()
        if name.endswith("_proj.weight")
    }
    measured["rounding"] = describe_rounding(changes)
    reference.weights = own
    context.expected = [reference.last_logits(prompt) for prompt in context.prompts]
    measured["of_file"] = compare(context.expected[0], context.reference)


def describe_rounding(changes: dict[str, float]) -> dict[str, Any]:
    """Return how many matrices rounding changed, and by how much of their norms."""
    worst = max(changes, key=lambda name: changes[name])
    values = list(changes.values())
    return {"matrices": len(values), "smallest": min(values), "largest": changes[worst], "largest_of": worst}


def measure_forward(context: Context, measured: dict[str, Any]) -> None:
    """Run the converted model on the device, in ``ACCURACY`` mode and as users run it, at several lengths."""
    measured["asked_device"] = context.request["device"]
    modes = measured["modes"] = {}
    for mode, options in _MODES.items():
        started = time.perf_counter()
        compiled = context.core.compile_model(context.model, context.openvino_name, options)
        entry = modes[mode] = {
            "devices": name_places(compiled.get_property("EXECUTION_DEVICES")),
            "inference_precision": compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name(),
            "kv_cache_precision": _ask(compiled, "KV_CACHE_PRECISION"),
            "dynamic_quantization_group": _ask(compiled, "DYNAMIC_QUANTIZATION_GROUP_SIZE"),
            "compile_seconds": round(time.perf_counter() - started, 3),
        }
        started = time.perf_counter()
        seen = [_last_logits(compiled, [prompt]) for prompt in context.prompts]
        entry["run_seconds"] = round(time.perf_counter() - started, 3)
        entry["lengths"] = [
            {"length": len(prompt), **describe(own), **compare(own, other)}
            for prompt, own, other in zip(context.prompts, seen, context.expected, strict=True)
        ]
        step = _last_logits(compiled, [context.prompt[:-1], context.prompt[-1:]])
        entry["cached_step"] = {**describe(step), **compare(step, context.expected[0])}
        context.logits = seen
    measured["output_device"] = ", ".join(modes["default"]["devices"])
    measured["lengths"] = [
        {**entry, "sample": own[:: max(1, own.size // SAMPLED)].tolist()}
        for entry, own in zip(modes["default"]["lengths"], context.logits, strict=True)
    ]
    measured.update(describe(context.logits[0]))


def measure_comparison(context: Context, measured: dict[str, Any]) -> None:
    """Compare the logits of the default mode with those of the converted and of the file's weights."""
    measured.update(compare(context.logits[0], context.expected[0]))
    own = context.request["model_dir"]
    measured["reference"] = "the CPU in ACCURACY mode" if own else "fp32 with the converted weights"
    measured["of_file"] = compare(context.logits[0], context.reference)


def measure_generation(context: Context, measured: dict[str, Any]) -> None:
    """Continue the prompt with the pipeline that users call, twice; a folder's text is held to its logits."""
    first, second = (_generate(context, context.prompt, NEW_TOKENS)[0] for _ in range(2))
    measured["tokens"] = first
    measured["same_twice"] = first == second
    measured["text"] = context.pipeline.get_tokenizer().decode(first)
    if context.cpu is not None:
        logits = _infer(context.cpu, [context.prompt + first[:-1]])
        measured["behind"] = [measure_behind(logits[~number], first[~number]) for number in range(len(first))]


def measure_behind(logits: Any, token: int) -> float:
    """Return how far a token's logit is below the largest, in standard deviations of the logits."""
    return float((logits.max() - logits[token]) / logits.std())


def measure_speed(context: Context, measured: dict[str, Any]) -> None:
    """Time prefill and decoding, the first time and warm."""
    length, count = (64, 16) if context.device.kind == "cpu" else (512, 64)
    prompt = repeat(context.prompt, length)
    measured["prompt_tokens"] = length
    for name in ("first", "warm"):
        tokens, times = _generate(context, prompt, count)
        prefill, step = times.get_ttft().mean / 1000, times.get_tpot().mean / 1000
        measured[name] = {
            "prefill_seconds": round(prefill, 4),
            "prefill_tokens_per_second": round(length / prefill, 1),
            "new_tokens": len(tokens),
            "decode_tokens_per_second": round(1 / step, 1) if step else None,
        }


def _generate(context: Context, prompt: list[int], count: int) -> tuple[list[int], Any]:
    import numpy as np
    import openvino
    import openvino_genai

    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = count
    config.do_sample = False
    config.ignore_eos = False
    config.apply_chat_template = False  # else the prompt is wrapped
    result = context.pipeline.generate(openvino.Tensor(np.array([prompt], dtype=np.int64)), config)
    return [int(token) for token in result.tokens[0]], result.perf_metrics


def _last_logits(compiled: Any, parts: list[list[int]]) -> Any:
    import numpy as np

    return _infer(compiled, parts)[-1].astype(np.float64)


def _infer(compiled: Any, parts: list[list[int]]) -> Any:
    """Return logits of the last part, shape (length, vocabulary).

    The parts share one cache, which is the request's state.
    """
    import numpy as np

    request = compiled.create_infer_request()
    past = 0
    for part in parts:
        total = past + len(part)
        inputs = {
            "input_ids": np.array([part], dtype=np.int64),
            "attention_mask": np.ones((1, total), dtype=np.int64),
            "position_ids": np.arange(past, total, dtype=np.int64)[None],
            "beam_idx": np.zeros(1, dtype=np.int32),
        }
        request.infer({name: inputs[name] for name in (port.any_name for port in compiled.inputs)})
        past = total
    return request.get_tensor("logits").data[0].copy()


def describe(logits: Any) -> dict[str, Any]:
    """Return what tells a sane vector of logits from a broken one."""
    import numpy as np

    finite = bool(np.isfinite(logits).all())
    return {
        "vocabulary": int(logits.size),
        "finite": finite,
        "largest": float(np.abs(logits).max()) if finite else None,
        "spread": float(logits.std()) if finite else None,
        "top": int(logits.argmax()) if finite else None,
    }


def compare(logits: Any, reference: Any) -> dict[str, Any]:
    """Return how far the logits are from the reference, their mean left out: softmax does not see it.

    With the mean SmolLM2 in 4 bits differs from fp32 by 1.6 of the norm and still says the same.
    """
    import numpy as np

    if logits.shape != reference.shape:
        return {"shapes": [list(logits.shape), list(reference.shape)]}
    own, other = logits - logits.mean(), reference - reference.mean()
    own_log, other_log = (
        values - np.log(np.exp(values - values.max()).sum()) - values.max() for values in (own, other)
    )
    return {
        "relative_difference": float(np.linalg.norm(own - other) / np.linalg.norm(other)),
        "cosine": float(own @ other / (np.linalg.norm(own) * np.linalg.norm(other))),
        "divergence_nats": float((np.exp(other_log) * (other_log - own_log)).sum()),
        "same_top": bool(own.argmax() == other.argmax()),
    }


def _ask(compiled: Any, name: str) -> Any:
    try:
        return plain(compiled.get_property(name))
    except RuntimeError:
        return None
