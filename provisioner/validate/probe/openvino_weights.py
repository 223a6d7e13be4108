"""Read the weights back out of the model that openvino_genai makes of a Llama GGUF.

`LLMPipeline(GGUF, device, enable_save_ov_model=True)` writes `openvino_model.xml` beside the file. Its
constants have no names but numbers that grow in the order of `building_blocks.cpp` (openvino.genai,
src/cpp/src/gguf_utils): embedding, then per layer norm, q, k, v, o, norm, gate, up, down, last the norm of
the output. Weights of 4 and 8 bits are groups of 32 with a zero point and a scale; GGUF's minimum of Q4_1
becomes a zero point of 4 bits, which is why they differ from the file's own numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_PARTS = (
    "input_layernorm",
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "post_attention_layernorm",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)


def read_weights(model: Any, layers: int, hidden: int) -> dict[str, Any]:
    """Return transformers' names to fp32 arrays.

    Raises:
        ValueError: The model is laid out otherwise.
    """
    constants = sorted(
        (int(node.friendly_name.rpartition("_")[2]), node)
        for node in model.get_ordered_ops()
        if node.get_type_name() == "Constant" and node.friendly_name.startswith("Constant_")
    )
    nodes = [node for _, node in constants]
    found, position = [], 0
    while position < len(nodes):
        node = nodes[position]
        kind, shape = node.get_element_type().get_type_name(), list(node.shape)
        if kind in ("u4", "u8") and len(shape) == 3 and shape[-1] > 1:
            # weights, then zero point and scale, in the order of their numbers
            parts = nodes[position + 1 : position + 3]
            zero = next(part for part in parts if part.get_element_type().get_type_name() == kind)
            scale = next(part for part in parts if part.get_element_type().get_type_name() == "f16")
            values = (_plain(node) - _plain(zero)) * _plain(scale)
            found.append(values.reshape(shape[0], -1))
            position += 3
            continue
        if kind in ("f32", "f16") and shape == [1, 1, hidden]:
            found.append(_plain(node).reshape(-1))
        position += 1
    names = ["model.embed_tokens.weight"]
    names += [f"model.layers.{number}.{part}.weight" for number in range(layers) for part in _PARTS]
    names.append("model.norm.weight")
    if len(found) not in (len(names), len(names) + 1):
        raise ValueError(f"{len(found)} weights where a Llama of {layers} layers has {len(names)}")
    if len(found) > len(names):
        names.append("lm_head.weight")
    return dict(zip(names, found, strict=True))


def _plain(node: Any) -> Any:
    shape = list(node.shape)
    if node.get_element_type().get_type_name() == "u4":
        packed = (
            np.frombuffer(node.get_data().tobytes(), np.uint8)
            if node.get_data().dtype == np.uint8
            else node.get_data().view(np.uint8).reshape(-1)
        )
        if packed.size == int(np.prod(shape)):
            return packed.reshape(shape).astype(np.float32)
        both = np.stack((packed & 15, packed >> 4), axis=-1).reshape(-1)[: int(np.prod(shape))]
        return both.reshape(shape).astype(np.float32)
    return np.asarray(node.get_data()).astype(np.float32).reshape(shape)
