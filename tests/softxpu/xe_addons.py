"""The fused kernels that ipex-llm 2.2.0 calls on XPU, as plain torch operators.

Shapes: queries (batch, heads, tokens, head size), keys and values with fewer heads where they are grouped.
Each kernel computes in float32 and answers in its input's type. `_inplaced` ones change their arguments.
"""

import math

import torch
from torch.nn import functional


def rms_norm(weight: torch.Tensor, x: torch.Tensor, eps: float) -> torch.Tensor:
    """Divide the rows of `x` by their root mean square."""
    wide = x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype) * weight.to(x.dtype)


def layer_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, eps: float) -> torch.Tensor:
    """Normalise the rows of `x`."""
    return functional.layer_norm(x, (x.shape[-1],), weight, bias, eps)


def _angles(inv_freq: torch.Tensor, position_ids: torch.Tensor) -> torch.Tensor:
    """Return (batch, 1, tokens, rotary size / 2)."""
    return (position_ids.float()[..., None] * inv_freq.float())[:, None]


def _rotate(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, first: slice, second: slice) -> None:
    a, b = states[..., first].float(), states[..., second].float()  # views of `states` where that is float32
    turned = a * cos - b * sin, b * cos + a * sin
    states[..., first], states[..., second] = turned


def rotary_half_inplaced(
    inv_freq: torch.Tensor, position_ids: torch.Tensor, query: torch.Tensor, key: torch.Tensor
) -> None:
    """Rotate pairs made of the first and the second half of a head (Llama)."""
    angles = _angles(inv_freq, position_ids)
    half = query.shape[-1] // 2
    for states in (query, key):
        _rotate(states, angles.cos(), angles.sin(), slice(0, half), slice(half, None))


def rotary_two_inplaced(
    inv_freq: torch.Tensor, position_ids: torch.Tensor, query: torch.Tensor, key: torch.Tensor
) -> None:
    """Rotate neighbouring pairs of a head (ChatGLM)."""
    angles = _angles(inv_freq, position_ids)
    for states in (query, key):
        _rotate(states, angles.cos(), angles.sin(), slice(0, None, 2), slice(1, None, 2))


def rotary_half_with_cache_inplaced(
    query: torch.Tensor, key: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> None:
    """Rotate halves by angles computed before; `cos` and `sin` are (batch, tokens, head size)."""
    half = query.shape[-1] // 2
    cos, sin = cos.unsqueeze(1)[..., :half].float(), sin.unsqueeze(1)[..., :half].float()
    for states in (query, key):
        _rotate(states, cos, sin, slice(0, half), slice(half, None))


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float | None = None,
) -> torch.Tensor:
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1).float(), value.repeat_interleave(groups, 1).float()
    scores = query.float() @ key.transpose(-1, -2) * (scale or 1 / math.sqrt(query.shape[-1]))
    if mask is not None:  # padded to a multiple of 128 keys by ipex-llm
        scores = scores + mask[..., : key.shape[2]].float()
    return (scores.softmax(-1) @ value).to(query.dtype)


def _unpacked(states: torch.Tensor) -> torch.Tensor:
    return states.contiguous().view(torch.float8_e5m2).float()


def _attend_fp8(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float | None = None,
) -> torch.Tensor:
    return _attend(query, _unpacked(key), _unpacked(value), mask, scale)


sdp = sdp_causal = sdp_non_causal = _attend
sdp_fp8 = sdp_fp8_causal = sdp_fp8_non_causal = _attend_fp8


def quantize_key_value(
    key: torch.Tensor, value: torch.Tensor, key_output: torch.Tensor, value_output: torch.Tensor
) -> None:
    """Write keys and values as 8-bit floats (5 bits of exponent)."""
    key_output.copy_(key.to(torch.float8_e5m2).view(torch.uint8))
    value_output.copy_(value.to(torch.float8_e5m2).view(torch.uint8))


def dequantize_key_value(
    key: torch.Tensor, value: torch.Tensor, key_output: torch.Tensor, value_output: torch.Tensor
) -> None:
    """Read keys and values back."""
    key_output.copy_(_unpacked(key))
    value_output.copy_(_unpacked(value))


def attn_softmax_inplaced(scores: torch.Tensor) -> None:
    """Replace scores by their softmax over the last dimension."""
    scores.copy_(scores.float().softmax(-1))
