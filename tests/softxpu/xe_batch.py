"""ipex-llm's kernel for several rows at once, as plain torch operators."""

import torch
import xe_linear
from torch.nn import functional


def batch_forward(x: torch.Tensor, weight: torch.Tensor, qtype: int) -> torch.Tensor:
    """Multiply (rows, in_features) by a packed weight: (rows, out_features)."""
    return functional.linear(x, xe_linear.dequant(x, weight, qtype))
