"""Weights in 8 and 4 bits on upstream torch, for the CPU, Intel and NVIDIA GPUs.

``nf4`` is made by bitsandbytes, ``int8`` and ``int4`` by torchao. The output layer stays in 16 bits, as
transformers does it too: it is tied to the embedding in small models.
"""

from __future__ import annotations

import copy
from typing import Any

PRECISIONS = ("nf4", "int8", "int4")
GROUP = 64
"""Weights that share a scale in torchao's 4 bits; 64 divides every width of Llama, GLM and SmolLM2."""

_KEPT = ("lm_head", "output_layer")


def convert(model: Any, precision: str, device: Any, measured: dict[str, Any]) -> tuple[Any, Any]:
    """Return the model with low-bit layers on the device, and one in fp32 on the CPU with the same weights.

    The second is the reference for the device's arithmetic, as the file's own weights are that for the
    rounding: 4 bits change the logits as much as leaving out the rotary embedding does.

    Args:
        model: In fp32 on the CPU; it becomes the second of the result.
        precision: One of ``PRECISIONS``.
        device: A `torch.device`.
        measured: Gets what was replaced, and how far each matrix was rounded.
    """
    import torch

    model = model.to(torch.bfloat16)
    converted = _quantize(copy.deepcopy(model), precision, device).eval()
    model = model.float()
    names = [name for name, module in model.named_modules() if _is_wanted(name, module)]
    layers = dict(converted.named_modules())
    measured["linear_classes"] = _count(type(layers[name]).__name__ for name in names)
    measured["weight_classes"] = _count(_name_weight(layers[name]) for name in names)
    measured["left"] = [name for name in names if not _is_low_bit(layers[name])]
    changes = {}
    # Before the first forward: bitsandbytes packs weights anew for some CPUs in it.
    for name in (name for name in names if name not in measured["left"]):
        original = model.get_submodule(name)
        values = _read_weight(layers[name]).float().cpu()
        changes[name] = float((values - original.weight.data).norm() / original.weight.data.norm())
        original.weight.data = values
    measured["rounding"] = _describe(changes)
    return converted, model


def _describe(changes: dict[str, float]) -> dict[str, Any]:
    worst = max(changes, key=lambda name: changes[name], default="")
    return {
        "matrices": len(changes),
        "smallest": min(changes.values(), default=0.0),
        "largest": changes.get(worst, 0.0),
        "largest_of": worst,
    }


def _is_wanted(name: str, module: Any) -> bool:
    """Tell whether a layer of the unconverted model is to be converted."""
    import torch

    return type(module) is torch.nn.Linear and name.rpartition(".")[2] not in _KEPT


def _is_low_bit(layer: Any) -> bool:
    """Tell whether a layer was converted: bitsandbytes changes its class, torchao that of its weight."""
    return type(layer).__name__ == "Linear4bit" or _name_weight(layer) not in ("Tensor", "Parameter")


def _name_weight(layer: Any) -> str:
    kind = type(layer.weight)
    return type(layer.weight.data).__name__ if kind.__name__ == "Parameter" else kind.__name__


def _quantize(model: Any, precision: str, device: Any) -> Any:
    if precision == "nf4":
        _replace_with_bitsandbytes(model)
        return model.to(device)  # quantises on the way, on the device itself
    model = model.to(device)  # the packing is the device's
    _quantize_with_torchao(model, precision, device.type)
    return model


def _replace_with_bitsandbytes(model: Any) -> None:
    import bitsandbytes
    import torch

    for name, module in list(model.named_modules()):
        if not _is_wanted(name, module):
            continue
        with torch.device("meta"):
            new = bitsandbytes.nn.Linear4bit(
                module.in_features,
                module.out_features,
                module.bias is not None,
                compute_dtype=torch.bfloat16,
                quant_type="nf4",
            )
        new.weight = bitsandbytes.nn.Params4bit(module.weight.data, requires_grad=False, quant_type="nf4")
        new.bias = module.bias
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, new)


def _quantize_with_torchao(model: Any, precision: str, kind: str) -> None:
    import torch
    from torchao.quantization import (
        Int4WeightOnlyConfig,
        Int8WeightOnlyConfig,
        IntxWeightOnlyConfig,
        PerGroup,
        quantize_,
    )

    if precision == "int8":
        config: Any = Int8WeightOnlyConfig(set_inductor_config=False)
    elif kind == "cpu":
        # 0.18 has no packed 4-bit kernel for the CPU: the numbers are those of 4 bits, the memory that of 8.
        config = IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(GROUP))
    else:
        packing = {"xpu": "plain_int32", "cuda": "tile_packed_to_4d"}[kind]
        config = Int4WeightOnlyConfig(
            group_size=GROUP, int4_packing_format=packing, set_inductor_config=False
        )
    quantize_(model, config, filter_fn=lambda module, name: _is_wanted(name, module))


def _read_weight(layer: Any) -> Any:
    """Return the weight as the device has it, shape (out, in)."""
    import torch

    if type(layer).__name__ == "Linear4bit":
        from bitsandbytes import functional

        weight = functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        return weight.reshape(layer.out_features, -1)
    if hasattr(layer.weight, "dequantize"):
        try:
            return layer.weight.dequantize()
        except (AttributeError, NotImplementedError, RuntimeError):
            pass  # packed for a kernel alone: let the kernel tell, one unit vector after the other
    unit = torch.eye(layer.in_features, dtype=torch.bfloat16, device=layer.weight.device)
    with torch.inference_mode():
        product = layer(unit)
    return (product if layer.bias is None else product - layer.bias).T


def _count(names: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts
