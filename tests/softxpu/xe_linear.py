"""The low-bit kernels that ipex-llm 2.2.0 calls on XPU, as plain torch operators.

Intel's `xe_linear` holds SYCL kernels; this one unpacks the weight and multiplies, on the software XPU.
The weights are those that ipex-llm's own library packed, in its XPU layout.
"""

import torch
from torch.nn import functional

SILU = 0


def get_xpu_device_name(device: torch.device) -> str:
    """Return the family by which ipex-llm chooses kernels: the one without special cases."""
    if device.type != "xpu":
        raise ValueError(f"{device} is not an xpu device")
    return "unknown"


def _blocks(packed: torch.Tensor, block_bytes: int, header_bytes: int) -> tuple[torch.Tensor, torch.Tensor]:
    rows = packed.view(-1, block_bytes)
    return rows[:, :header_bytes].contiguous(), rows[:, header_bytes:].contiguous()


def dequantise(weight: torch.Tensor, qtype: int, in_features: int) -> torch.Tensor:
    """Unpack a weight from ipex-llm's XPU layout.

    The layouts of `asym_int4` and the two `fp8` were read off what ipex-llm 2.2.0 packs: blocks of 64, first
    the scale (half; single for `fp8`) and the minimum, then the codes.

    Returns:
        A float32 CPU tensor of shape (out_features, in_features).

    Raises:
        NotImplementedError: For a format that this module cannot unpack.
    """
    from ipex_llm.transformers import (
        low_bit_linear as ipex,
    )  # it imports this module in turn, when it computes

    packed = weight.cpu().contiguous().view(torch.uint8)
    count = packed.numel() // ipex.ggml.ggml_type_size(qtype) * ipex.get_qk_size(qtype)
    if qtype == ipex.NF4:
        packed = ipex.ggml_q_format_convet_xpu2cpu(packed.view(torch.bfloat16), count, qtype).view(
            torch.uint8
        )
    else:
        packed = ipex.ggml_q_format_convet_xpu2cpu(packed, count, qtype)
    if qtype in (ipex.SYM_INT4, ipex.SYM_INT8, ipex.NF4, ipex.FP4):
        return ipex.ggml_convert_fp32(packed, (count // in_features, in_features), count, qtype)
    if qtype == ipex.ASYM_INT4:
        header, codes = _blocks(packed, 36, 4)
        scale, minimum = header.view(torch.float16).float().split(1, dim=1)
        values = torch.cat([codes & 15, codes >> 4], dim=1) * scale + minimum
    elif qtype == ipex.FP8E5:
        scale, codes = _blocks(packed, 68, 4)
        values = codes.view(torch.float8_e5m2).float() * scale.view(torch.float32)
    elif qtype == ipex.FP8E4:
        scale, codes = _blocks(packed, 68, 4)
        values = codes.view(torch.float8_e4m3fn).float() * scale.view(torch.float32) / 256
    else:
        raise NotImplementedError(f"the software xe_linear cannot unpack weights of ipex-llm's type {qtype}")
    return values.view(-1, in_features)


def dequant(x: torch.Tensor, weight: torch.Tensor, qtype: int) -> torch.Tensor:
    """Return the weight in `x`'s type on `x`'s device; used by ipex-llm's backward pass."""
    if weight.device != x.device:
        raise RuntimeError(f"the weight is on {weight.device}, the input on {x.device}")
    return dequantise(weight, qtype, x.shape[-1]).to(x.device, x.dtype)


def forward_new(x: torch.Tensor, weight: torch.Tensor, qtype: int, out_features: int) -> torch.Tensor:
    """Multiply (rows, in_features) by a packed weight: (rows, out_features)."""
    result = functional.linear(x, dequant(x, weight, qtype))
    if result.shape[-1] != out_features:
        raise RuntimeError(f"the weight has {result.shape[-1]} output features, not {out_features}")
    return result


def mlp_forward_xpu(  # noqa: PLR0917 - ipex-llm's signature
    x: torch.Tensor,
    gate: torch.Tensor,
    up: torch.Tensor,
    _rows: int,
    _in_features: int,
    out_features: int,
    activation: int,
    qtype: int,
) -> torch.Tensor:
    """Return act(x @ gate.T) * (x @ up.T), the fused path of one token."""
    act = functional.silu if activation == SILU else functional.gelu
    return act(forward_new(x, gate, qtype, out_features)) * forward_new(x, up, qtype, out_features)


def dequantize_rows(
    index: torch.Tensor, weight: torch.Tensor, qtype: int, width: int, _rows: int
) -> torch.Tensor:
    """Look up rows of a packed embedding, as float32."""
    table = dequantise(weight, qtype, width).to(weight.device)
    return functional.embedding(index, table)
