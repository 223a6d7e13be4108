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
        logits: The same from the model under test, per prompt.
        core: OpenVINO's `Core`; this and the next five belong to the backend ``openvino``.
        openvino_name: OpenVINO's name of the device.
        pipeline: openvino_genai's `LLMPipeline`.
        folder: Where the converted model lies, a `Path`.
        reference_model: A `numpy_llama.Llama`.
        cpu: The model of a user's folder, compiled for the CPU in ``ACCURACY`` mode.
        prompts: The prompt and further ones of several lengths.
        expected: Logits per prompt that the device should calculate with the weights that it has.
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
        self.logits: list[Any] = []
        self.core: Any = None
        self.openvino_name = ""
        self.pipeline: Any = None
        self.folder: Any = None
        self.reference_model: Any = None
        self.cpu: Any = None
        self.prompts: list[Any] = []
        self.expected: list[Any] = []
        self.is_converted = False
