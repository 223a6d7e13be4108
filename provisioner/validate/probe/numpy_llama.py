"""A Llama forward pass in numpy: the fp32 reference where an environment has no torch.

RMSNorm (Zhang and Sennrich 2019), rotary embedding by halves as transformers has it (Su et al. 2021),
grouped-query attention, SwiGLU (Shazeer 2020), tied or own output layer. Weights are read from the folder
that ``models.smollm2.convert_gguf`` writes, or from a user's safetensors.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

_TYPES: dict[str, Any] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "BF16": np.dtype("<u2")}
_LARGEST_HEADER_BYTES = 100 << 20


def read_safetensors(path: Path) -> dict[str, Any]:
    """Return name to a mapped array of 16 or 32 bits.

    Format: https://github.com/huggingface/safetensors, "Format": a length, a JSON header, the data.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _LARGEST_HEADER_BYTES:
            raise ValueError(f"`{path.name}` is not a safetensors file")
        header = json.loads(file.read(length))
    data = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + length)
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        tensors[name] = data[start:end].view(_TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


class Llama:
    """One model with its weights in fp32 and a cache of keys and values."""

    def __init__(self, folder: Path) -> None:
        """Read configuration and weights; 4 bytes a parameter."""
        self.config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.weights = {
            name: _widen(values) for name, values in read_safetensors(folder / "model.safetensors").items()
        }
        self.heads = int(self.config["num_attention_heads"])
        self.groups = int(self.config["num_key_value_heads"])
        self.size = int(self.config.get("head_dim") or self.config["hidden_size"] // self.heads)
        self.parameters = sum(values.size for values in self.weights.values())
        self.cache: list[tuple[Any, Any]] = []
        self.length = 0

    def reset(self) -> None:
        """Forget the cache."""
        self.cache, self.length = [], 0

    def forward(self, tokens: list[int]) -> Any:
        """Return logits, shape (length, vocabulary), of tokens that continue those in the cache."""
        weights, eps = self.weights, float(self.config["rms_norm_eps"])
        angles = self._angles(np.arange(self.length, self.length + len(tokens)))
        states = weights["model.embed_tokens.weight"][tokens]
        for number in range(int(self.config["num_hidden_layers"])):
            own = f"model.layers.{number}."
            normed = _rms_norm(states, weights[own + "input_layernorm.weight"], eps)
            states = states + self._attend(number, normed, angles)
            normed = _rms_norm(states, weights[own + "post_attention_layernorm.weight"], eps)
            gate = normed @ weights[own + "mlp.gate_proj.weight"].T
            up = normed @ weights[own + "mlp.up_proj.weight"].T
            states = states + (gate / (1 + np.exp(-gate)) * up) @ weights[own + "mlp.down_proj.weight"].T
        self.length += len(tokens)
        states = _rms_norm(states, weights["model.norm.weight"], eps)
        return states @ weights.get("lm_head.weight", weights["model.embed_tokens.weight"]).T

    def last_logits(self, tokens: list[int]) -> Any:
        """Return logits of the last position as fp64, shape (vocabulary,), without an earlier cache."""
        self.reset()
        return self.forward(tokens)[-1].astype(np.float64)

    def generate(self, prompt: list[int], count: int) -> list[int]:
        """Return the greedy continuation, each token computed with the cache of those before."""
        self.reset()
        tokens = [int(self.forward(prompt)[-1].argmax())]
        while len(tokens) < count and tokens[-1] != self.config.get("eos_token_id"):
            tokens.append(int(self.forward(tokens[-1:])[-1].argmax()))
        return tokens

    def _angles(self, positions: Any) -> tuple[Any, Any]:
        """Return cosines and sines, shape (length, 1, head size)."""
        steps = np.arange(0, self.size, 2) / self.size
        angles = np.outer(positions, float(self.config["rope_theta"]) ** -steps)
        both = np.concatenate((angles, angles), axis=-1)[:, None, :]
        return np.cos(both).astype(np.float32), np.sin(both).astype(np.float32)

    def _attend(self, number: int, states: Any, angles: tuple[Any, Any]) -> Any:
        own, length = f"model.layers.{number}.self_attn.", len(states)
        query, key, value = (
            (states @ self.weights[f"{own}{part}_proj.weight"].T).reshape(length, -1, self.size)
            for part in "qkv"
        )
        query, key = _rotate(query, angles), _rotate(key, angles)
        if number < len(self.cache):
            key, value = (np.concatenate(pair) for pair in zip(self.cache[number], (key, value), strict=True))
            self.cache[number] = (key, value)
        else:
            self.cache.append((key, value))
        query = query.reshape(length, self.groups, self.heads // self.groups, self.size)
        scores = np.einsum("qgrd,kgd->grqk", query, key, optimize=True) / math.sqrt(self.size)
        future = np.arange(len(key))[None, :] > np.arange(len(key) - length, len(key))[:, None]
        scores = np.where(future, -np.inf, scores)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed = np.einsum("grqk,kgd->qgrd", scores, value, optimize=True).reshape(length, -1)
        return mixed @ self.weights[own + "o_proj.weight"].T


def _widen(values: Any) -> Any:
    if values.dtype == np.dtype("<u2"):  # bf16: the upper half of an fp32 number
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)


def _rms_norm(states: Any, weight: Any, eps: float) -> Any:
    return states / np.sqrt(np.mean(states * states, axis=-1, keepdims=True) + np.float32(eps)) * weight


def _rotate(states: Any, angles: tuple[Any, Any]) -> Any:
    cos, sin = angles
    half = states.shape[-1] // 2
    turned = np.concatenate((-states[..., half:], states[..., :half]), axis=-1)
    return states * cos + turned * sin
