"""The first work on the device: copies, matrix products, and the operators of the model's fused paths."""

from __future__ import annotations

import inspect
import re
import sys
import time
from typing import Any

from .context import Context

_SIZE = 256
_SEED = 20240229
_FUSED = ("torch_ipex::mul_add",)
"""Operators that IPEX's graph fusion puts into rotary embeddings; they exist for XPU only."""

_FAMILY_MODULES = {"llama3": "llama", "chatglm2": "chatglm2"}


def measure_kernels(context: Context, measured: dict[str, Any]) -> None:
    """Copy there and back, multiply in the precisions in use against fp64, read the dispatch table."""
    import torch

    device = context.device
    generator = torch.Generator().manual_seed(_SEED)
    left = torch.randn(_SIZE, _SIZE, generator=generator)
    right = torch.randn(_SIZE, _SIZE, generator=generator)
    exact = left.double() @ right.double()

    started = time.perf_counter()
    there = left.to(device.torch)
    device.synchronize()
    back = there.to("cpu")
    measured["copy_device"] = str(there.device)
    measured["copy_equal"] = bool(torch.equal(back, left))
    measured["copy_seconds"] = round(time.perf_counter() - started, 4)

    products = measured["matmul"] = {}
    for name in ("float32", "bfloat16", "float16"):
        if name == "float16" and device.kind == "cpu":
            continue
        dtype = getattr(torch, name)
        started = time.perf_counter()
        product = left.to(device.torch, dtype) @ right.to(device.torch, dtype)
        device.synchronize()
        seen = product.to("cpu").double()
        products[name] = {
            "device": str(product.device),
            "relative_error": float((seen - exact).norm() / exact.norm()),
            "seconds": round(time.perf_counter() - started, 4),
        }
    _measure_dispatch(context, measured)


def _measure_dispatch(context: Context, measured: dict[str, Any]) -> None:
    """Record which fused operators are registered, and for which devices."""
    import torch

    find_names = torch._C._dispatch_get_all_op_names  # noqa: SLF001 - the dispatch table has no public reader
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key  # noqa: SLF001 - the same
    names = sorted(name for name in find_names() if name.startswith("torch_ipex::"))
    key = context.device.kind.upper()
    registered = {name for name in names if has_kernel(name, key)}
    measured["fused_operators"] = len(names)
    measured["fused_operators_here"] = len(registered)
    measured["dispatch"] = {
        name: {place: bool(has_kernel(name, place)) for place in ("CPU", "XPU")}
        for name in _FUSED
        if name in names
    }
    measured["missing_functions"] = _missing_functions(context)


def _missing_functions(context: Context) -> list[str]:
    """Return the native functions that ipex-llm's code for this family calls and the native modules lack."""
    if context.device.kind != "xpu" or "xe_addons" not in sys.modules:
        return []
    import importlib

    wanted: set[str] = set()
    for part in ("common", _FAMILY_MODULES[context.request["family"]]):
        source = inspect.getsource(importlib.import_module(f"ipex_llm.transformers.models.{part}"))
        wanted |= set(re.findall(r"\b(xe_(?:addons|linear)\.\w+)\(", source))
    return sorted(name for name in wanted if not _has(name))


def _has(name: str) -> bool:
    module, _, function = name.partition(".")
    loaded: Any = sys.modules.get(module)
    return loaded is not None and hasattr(loaded, function)
