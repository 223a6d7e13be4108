"""Our ChatGLM2 against transformers' GLM, same weights; for an environment with a newer transformers.

Prints one JSON object with the largest differences of logits in fp32.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import GlmConfig, GlmForCausalLM

SIZES = {"hidden_size": 256, "num_attention_heads": 4, "num_layers": 3}
GROUPS, HEAD_SIZE, FFN, ROWS, LENGTH = 2, 64, 512, 500, 24


def load_chatglm2(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("chatglm2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["chatglm2"] = module
    spec.loader.exec_module(module)
    return module


def map_weights(ours: dict[str, Any]) -> dict[str, Any]:
    """Return GLM's weights from ours: names differ, and the fused projection comes apart; no row moves."""
    names = {
        "transformer.embedding.word_embeddings.weight": "model.embed_tokens.weight",
        "transformer.encoder.final_layernorm.weight": "model.norm.weight",
        "transformer.output_layer.weight": "lm_head.weight",
    }
    parts = {
        "self_attention.dense.weight": "self_attn.o_proj.weight",
        "mlp.dense_h_to_4h.weight": "mlp.gate_up_proj.weight",
        "mlp.dense_4h_to_h.weight": "mlp.down_proj.weight",
        "input_layernorm.weight": "input_layernorm.weight",
        "post_attention_layernorm.weight": "post_attention_layernorm.weight",
    }
    split = [SIZES["num_attention_heads"] * HEAD_SIZE, GROUPS * HEAD_SIZE, GROUPS * HEAD_SIZE]
    mapped = {}
    for name, tensor in ours.items():
        if name in names:
            mapped[names[name]] = tensor
            continue
        layer, _, part = name.removeprefix("transformer.encoder.layers.").partition(".")
        if part.startswith("self_attention.query_key_value."):
            kind = part.rpartition(".")[2]
            for projection, piece in zip("qkv", tensor.split(split), strict=True):
                mapped[f"model.layers.{layer}.self_attn.{projection}_proj.{kind}"] = piece
        else:
            mapped[f"model.layers.{layer}.{parts[part]}"] = tensor
    return mapped


def main() -> None:
    chatglm2 = load_chatglm2(Path(sys.argv[1]))
    torch.manual_seed(1)
    ours = chatglm2.ChatGLMForConditionalGeneration(
        chatglm2.ChatGLMConfig(
            **SIZES,
            multi_query_group_num=GROUPS,
            kv_channels=HEAD_SIZE,
            ffn_hidden_size=FFN,
            embedding_rows=ROWS,
        )
    ).eval()
    with torch.no_grad():  # large enough that positions, masks and norms all matter
        for parameter in ours.parameters():
            parameter.normal_(0.0, 0.1) if parameter.dim() > 1 else parameter.uniform_(0.5, 1.5)
    theirs = GlmForCausalLM(
        GlmConfig(
            vocab_size=ROWS,
            hidden_size=SIZES["hidden_size"],
            intermediate_size=FFN,
            num_hidden_layers=SIZES["num_layers"],
            num_attention_heads=SIZES["num_attention_heads"],
            num_key_value_heads=GROUPS,
            head_dim=HEAD_SIZE,
            rms_norm_eps=ours.config.layernorm_epsilon,
            pad_token_id=0,
        )
    ).eval()
    theirs.load_state_dict(map_weights(ours.state_dict()), strict=True)
    prompt = torch.randint(0, ROWS, (2, LENGTH))
    with torch.inference_mode():
        expected = theirs(prompt).logits
        plain = ours(prompt, every_position=True).logits
        first = ours(prompt[:, :-2])
        cached = ours(prompt[:, -2:], past_key_values=first.past_key_values, every_position=True).logits
        ours.transformer.rotary_pos_emb.forward = lambda positions: torch.zeros(
            positions.size(1), HEAD_SIZE // 4
        )
        unrotated = ours(prompt, every_position=True).logits
    result = {
        "largest_logit": float(expected.abs().max()),
        "difference": float((plain - expected).abs().max()),
        "cached_difference": float((cached - expected[:, -2:]).abs().max()),
        "unrotated_difference": float((unrotated - expected).abs().max()),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
