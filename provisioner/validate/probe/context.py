"""What the checks hand to each other."""

from __future__ import annotations

from typing import Any


class Context:
    """The request and what has been loaded so far.

    Attributes:
        device: Where the model under test runs, a `devices.Device`.
        model: The model; in fp32 on the CPU until it is converted.
        prompt: Token numbers, shape (1, length), int64, on the CPU.
        reference: Logits of the last position from the fp32 model, shape (vocabulary,), float64.
        logits: The same from the model under test.
        is_converted: Whether the model has been converted and should be on the device.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        """Start with the request alone."""
        self.request = request
        self.device: Any = None
        self.model: Any = None
        self.tokenizer: Any = None
        self.prompt: Any = None
        self.reference: Any = None
        self.logits: Any = None
        self.is_converted = False
