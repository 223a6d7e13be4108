"""Write a small ChatGLM2 folder, as a user has one: `seed_model.py FOLDER [--buffer]` in an environment.

The code is provision's own ChatGLM2 with another rotary embedding. Its frequencies are a plain attribute,
which `model.to("xpu")` leaves on the CPU; with --buffer they are a buffer, which moves. The fused operator
stands where IPEX's graph fusion puts it. `padded_vocab_size` is not ChatGLM2's own, as after a fine-tuning
with new tokens: ipex-llm knows the family by that number and leaves this model's attention as it is.
"""

import importlib
import sys
from pathlib import Path

CHATGLM2 = Path(__file__).parents[2] / "provisioner" / "validate" / "probe" / "chatglm2.py"
ROTARY = """

class SeedRotaryEmbedding(nn.Module):
    def __init__(self, dim):
        super().__init__()
        inv_freq = 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float32) / dim)
        {keep}

    def forward(self, position_ids):
        inv_freq = self.inv_freq.float()[None, :]
        positions = position_ids[0].to(inv_freq.device).float()[:, None]
        if position_ids.device.type != "xpu":
            return positions * inv_freq
        angles = torch.ops.torch_ipex.mul_add(positions, inv_freq, torch.zeros_like(positions), 1.0)
        return angles.to(position_ids.device)


RotaryEmbedding = SeedRotaryEmbedding
"""
KEEP = {
    False: "self.inv_freq = inv_freq",
    True: 'self.register_buffer("inv_freq", inv_freq, persistent=False)',
}
TOKENIZER = {
    "tokenizer.json": (
        '{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,'
        ' "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,'
        ' "model": {"type": "WordLevel", "vocab": {"[UNK]": 3, "The": 4, "capital": 5, "of": 6},'
        ' "unk_token": "[UNK]"}}'
    ),
    "tokenizer_config.json": '{"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"}',
}


def write_model(folder: Path, *, buffer: bool) -> None:
    """Write code, seeded weights and a tokenizer of a few words."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    code = CHATGLM2.read_text(encoding="utf-8") + ROTARY.format(keep=KEEP[buffer])
    (folder / "modeling_seed.py").write_text(code, encoding="utf-8")
    for name, text in TOKENIZER.items():
        (folder / name).write_text(text, encoding="utf-8")
    sys.path.insert(0, str(folder))
    written = importlib.import_module("modeling_seed")
    config = written.ChatGLMConfig(
        hidden_size=256,
        kv_channels=64,
        num_attention_heads=4,
        ffn_hidden_size=512,
        num_layers=2,
        padded_vocab_size=65088,
        embedding_rows=320,
    )
    config.auto_map = {
        "AutoConfig": "modeling_seed.ChatGLMConfig",
        "AutoModel": "modeling_seed.ChatGLMForConditionalGeneration",
    }
    torch.manual_seed(0)
    written.ChatGLMForConditionalGeneration(config).save_pretrained(str(folder), safe_serialization=True)


if __name__ == "__main__":
    write_model(Path(sys.argv[1]), buffer="--buffer" in sys.argv[2:])
