"""The first work on the device: copies, matrix products, and the operators of the model's fused paths."""

from __future__ import annotations

import inspect
import re
import sys
import time
from typing import Any

from .context import Context
from .devices import Device

SEED = 20240229
SHAPES = ((256, 256, 256), (512, 512, 512), (40, 2048, 8192))
"""Rows, depth and columns of the products: a driver may have the small one right and give NaN for the others
(intel/compute-runtime#1001: 64 x 64 right, 512 x 512 and 40 x 2048 x 8192 not)."""

_FUSED = ("torch_ipex::mul_add",)
"""Operators that IPEX's graph fusion puts into rotary embeddings; they exist for XPU only."""

_FAMILY_MODULES = {"llama3": "llama", "chatglm2": "chatglm2"}


def measure_kernels(context: Context, measured: dict[str, Any]) -> None:
    """Copy there and back, multiply in the precisions in use against fp64, read the dispatch table."""
    import torch

    device = context.device
    generator = torch.Generator().manual_seed(SEED)
    left = torch.randn(SHAPES[0][:2], generator=generator)
    started = time.perf_counter()
    there = left.to(device.torch)
    device.synchronize()
    back = there.to("cpu")
    measured["copy_device"] = str(there.device)
    measured["copy_equal"] = bool(torch.equal(back, left))
    measured["copy_seconds"] = round(time.perf_counter() - started, 4)

    products = measured["matmul"] = {}
    for height, depth, width in SHAPES:
        left = torch.randn(height, depth, generator=generator)
        right = torch.randn(width, depth, generator=generator)
        exact = left.double() @ right.double().T
        for name in ("float32", "bfloat16", "float16"):
            if name == "float16" and device.kind == "cpu":
                continue
            dtype = getattr(torch, name)
            # As a linear layer: torch-xpu-ops#5220 has zeros in fp16 and NaN in bf16 there.
            product = _measure_linear(left.to(dtype), right.to(dtype), exact, device)
            products[name_shape(name, height, depth, width)] = product
    _measure_dispatch(context, measured)


def _measure_linear(left: Any, right: Any, exact: Any, device: Device) -> dict[str, Any]:
    import torch

    started = time.perf_counter()
    product = torch.nn.functional.linear(left.to(device.torch), right.to(device.torch))
    device.synchronize()
    seen = product.to("cpu").double()
    return {
        "device": str(product.device),
        "relative_error": float((seen - exact).norm() / exact.norm()),
        "seconds": round(time.perf_counter() - started, 4),
    }


def name_shape(precision: str, height: int, depth: int, width: int) -> str:
    """Return a product's name in the report; that of the first shape is its precision alone."""
    return precision if (height, depth, width) == SHAPES[0] else f"{precision} {height}x{depth}x{width}"


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
