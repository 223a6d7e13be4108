"""Run the model in fp32 on the CPU and as the profile wants on the device, and measure how they agree."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

from . import low_bit
from .context import Context
from .devices import Device
from .placement import find_tensors_elsewhere

NEW_TOKENS = 12
LENGTHS = (1, 2, 17, 33, 64, 128)
"""Lengths of further prompts: kernels are chosen by length, and one of them may be the wrong one."""

SAMPLED = 256
"""Logits of each forward that are told, for a comparison with another process's."""

_NAMED = 5
_CHOSEN = 5


def measure_reference(context: Context, measured: dict[str, Any]) -> None:
    """Run the fp32 model on the CPU: logits of the last position, and what it says."""
    cpu = Device("cpu")
    context.expected = [last_logits(context.model, prompt, cpu) for prompt in context.prompts]
    context.reference = context.expected[0]
    measured.update(describe(context.reference))
    tokens = generate(context.model, context.prompt, cpu, NEW_TOKENS)
    measured["tokens"] = tokens
    measured["text"] = _text(context, tokens)


def measure_forward(context: Context, measured: dict[str, Any]) -> None:
    """Run the converted model on the device once; the first call may compile kernels."""
    device = context.device
    elsewhere = find_tensors_elsewhere(context.model, device.kind)
    measured["tensors_elsewhere"] = elsewhere[:_NAMED]
    measured["tensors_elsewhere_count"] = len(elsewhere)
    if elsewhere:
        return  # the parent names them; running on would die in the first fused operator
    device.reset_peak()
    context.logits = []
    entries: list[dict[str, Any]] = []
    started = time.perf_counter()
    for prompt in context.prompts:
        seen = _run_last(context.model, prompt, device)
        logits = _bring(seen)
        if not entries:
            measured["first_call_seconds"] = round(time.perf_counter() - started, 4)
            measured["output_device"] = str(seen.device)
            measured["asked_device"] = str(device.torch)
            measured["peak_bytes"] = device.peak_bytes()
            measured.update(describe(logits))
        entry = {"length": prompt.size(1), **describe(logits), "sample": sample(logits)}
        entries.append({**entry, "choices": measure_choices(seen, logits)})
        context.logits.append(logits)
    measured["lengths"] = entries


def measure_comparison(context: Context, measured: dict[str, Any]) -> None:
    """Compare the logits of the last position; all vectors are fp64 on the CPU by now.

    In low bit the reference has the weights that the device has, and the means are left out.
    """
    centred = is_low_bit(context.request)
    if centred:
        measured["reference"] = "fp32 with the same weights"
        measured["of_file"] = compare(context.logits[0], context.reference, centred=True)
    measured.update(compare(context.logits[0], context.expected[0], centred=centred))
    measured["lengths"] = [
        {"length": prompt.size(1), **describe(own), **compare(own, context.expected[number], centred=True)}
        for number, (prompt, own) in enumerate(_pairs(context.prompts, context.logits))
        if number
    ]


def measure_generation(context: Context, measured: dict[str, Any]) -> None:
    """Continue the prompt token by token with the cache, the path that single-token kernels serve."""
    tokens = generate(context.model, context.prompt, context.device, NEW_TOKENS)
    measured["tokens"] = tokens
    measured["text"] = _text(context, tokens)
    step = cached_step(context.model, context.prompt, context.device)
    measured["cached_step"] = {
        **describe(step),
        **compare(step, context.expected[0], centred=is_low_bit(context.request)),
    }


def _pairs(prompts: list[Any], logits: list[Any]) -> list[tuple[Any, Any]]:
    """Return each prompt with its logits; `zip` is not strict before Python 3.10."""
    return [(prompt, logits[number]) for number, prompt in enumerate(prompts)]


def is_low_bit(request: dict[str, Any]) -> bool:
    """Tell whether the weights are read back, and the reference has them."""
    return request["precision"] in low_bit.PRECISIONS


def repeat(prompt: Any, length: int) -> Any:
    """Return the prompt's tokens again and again, shape (1, length).

    Random tokens are worse: some rows of them are so unstable that any rounding moves their logits far.
    """
    return prompt.repeat(1, -(-length // prompt.size(1)))[:, :length]


def last_logits(model: Any, prompt: Any, device: Device) -> Any:
    """Return logits of the last position as fp64 on the CPU, shape (vocabulary,)."""
    return _bring(_run_last(model, prompt, device))


def _run_last(model: Any, prompt: Any, device: Device) -> Any:
    import torch

    with torch.inference_mode():
        # ipex-llm's Llama needs the cache even for a single forward
        logits = model(prompt.to(device.torch), use_cache=True).logits[0, -1]
        device.synchronize()
        return logits


def _bring(logits: Any) -> Any:
    return logits.to("cpu").double()


def measure_choices(seen: Any, logits: Any) -> dict[str, float | None]:
    """Return, per operator, how far the logits of the tokens that the device takes are from the likeliest.

    Not whether they are the CPU's tokens: in 16 bits several share a logit. None: there are no such tokens.

    Args:
        seen: Logits on the device, shape (vocabulary,).
        logits: The same as fp64 on the CPU.
    """
    best = logits.topk(min(_CHOSEN, logits.numel())).values
    chosen = {"argmax": seen.argmax().reshape(1), "topk": seen.topk(best.numel()).indices}
    gaps: dict[str, float | None] = {}
    for name, there in chosen.items():
        tokens = there.tolist()
        known = len(set(tokens)) == len(tokens) and set(tokens) <= set(range(logits.numel()))
        gaps[name] = float((logits[tokens] - best[: len(tokens)]).abs().max()) if known else None
    return gaps


def cached_step(model: Any, prompt: Any, device: Device) -> Any:
    """Return the same logits computed in two steps: all tokens but one, then the last with their cache."""
    import torch

    inputs = prompt.to(device.torch)
    with torch.inference_mode():
        output = model(inputs[:, :-1], use_cache=True)
        position = torch.tensor([[inputs.size(1) - 1]], device=device.torch)
        output = model(
            inputs[:, -1:], past_key_values=output.past_key_values, position_ids=position, use_cache=True
        )
        device.synchronize()
        return output.logits[0, -1].to("cpu").double()


def generate(model: Any, prompt: Any, device: Device, count: int) -> list[int]:
    """Return the greedy continuation of ``count`` tokens, or fewer if the model ends."""
    # Since transformers 5 a configuration has only the attributes that it was given.
    ends = getattr(model.config, "eos_token_id", None)
    ends = set(ends) if isinstance(ends, (list, tuple)) else {ends}
    tokens: list[int] = []
    for token in stream(model, prompt, device):
        tokens.append(token)
        if len(tokens) == count or token in ends:
            break
    return tokens


def stream(model: Any, prompt: Any, device: Device) -> Generator[int, None, None]:
    """Yield the greedy continuation token by token, each computed with the cache of those before."""
    import torch

    with torch.inference_mode():
        inputs = prompt.to(device.torch)
        position = inputs.size(1)
        output = model(inputs, use_cache=True)
        while True:
            token = int(output.logits[0, -1].argmax())
            yield token
            output = model(
                torch.tensor([[token]], device=device.torch),
                position_ids=torch.tensor([[position]], device=device.torch),
                past_key_values=output.past_key_values,
                use_cache=True,
            )
            position += 1


def describe(logits: Any) -> dict[str, Any]:
    """Return what tells a sane vector of logits from a broken one."""
    import torch

    finite = bool(torch.isfinite(logits).all())
    return {
        "vocabulary": int(logits.numel()),
        "finite": finite,
        "largest": float(logits.abs().max()) if finite else None,
        "spread": float(logits.std()) if finite else None,
        "top": int(logits.argmax()) if finite else None,
    }


def sample(logits: Any) -> list[float]:
    """Return some of the logits, evenly spread, for a comparison with another process's."""
    step = max(1, logits.numel() // SAMPLED)
    return [float(value) for value in logits[::step]]


def compare(logits: Any, reference: Any, *, centred: bool = False) -> dict[str, Any]:
    """Return how far the logits are from the reference.

    ``relative_difference`` is the norm of the difference over the reference's norm, ``cosine`` the cosine
    of the angle, ``divergence_nats`` the Kullback-Leibler divergence of the two distributions. ``centred``
    leaves the means out, which softmax does not see: 4 bits move that of SmolLM2 by twice the spread.
    """
    if logits.shape != reference.shape:
        return {"shapes": [list(logits.shape), list(reference.shape)]}
    own, other = logits.log_softmax(-1), reference.log_softmax(-1)
    same_top = bool(logits.argmax() == reference.argmax())
    if centred:
        logits, reference = logits - logits.mean(), reference - reference.mean()
    return {
        "relative_difference": float((logits - reference).norm() / reference.norm()),
        "cosine": float(logits @ reference / (logits.norm() * reference.norm())),
        "divergence_nats": float((other.exp() * (other - own)).sum()),
        "same_top": same_top,
    }


def _text(context: Context, tokens: list[int]) -> str | None:
    return None if context.tokenizer is None else context.tokenizer.decode(tokens)
