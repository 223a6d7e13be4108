"""ChatGLM2, compactly: the architecture, under the names that ipex-llm looks for and patches.

No small ChatGLM2 exists, and its published modelling code comes with the weights. This one is written from
the architecture: RMSNorm, rotary embedding on the first half of each head in interleaved pairs, grouped
multi-query attention, SwiGLU, no bias but in the fused query-key-value projection. ``tests/interop``
compares it with transformers' GLM, an independent implementation. Hidden states are (length, batch, width),
cached keys and values (length, batch, groups, head size), as ipex-llm's replacements for these classes
expect. One module, because ipex-llm patches the classes of the module that a model comes from.

Sources of the names: ``ipex_llm/transformers/convert.py`` and ``ipex_llm/transformers/models/chatglm2.py``
of 2.2.0.
"""

# mypy: disable-error-code="misc"
# The base classes are torch's and transformers', which the checker does not see.

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast


class ChatGLMConfig(PretrainedConfig):
    """The names of ChatGLM2's own configuration.

    ``padded_vocab_size`` tells ipex-llm which generation of ChatGLM this is, so it has to be the real one;
    ``embedding_rows`` is how many rows the embedding and the output layer really have.
    """

    model_type = "chatglm"

    def __init__(
        self,
        *,
        num_layers: int = 4,
        hidden_size: int = 512,
        ffn_hidden_size: int = 1024,
        kv_channels: int = 128,
        num_attention_heads: int = 4,
        multi_query_group_num: int = 2,
        padded_vocab_size: int = 65024,
        embedding_rows: int = 4096,
        layernorm_epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        """Take the sizes; the small defaults keep the head size of the real model."""
        self.num_layers = self.num_hidden_layers = num_layers
        self.hidden_size = hidden_size
        self.ffn_hidden_size = ffn_hidden_size
        self.kv_channels = kv_channels
        self.num_attention_heads = num_attention_heads
        self.multi_query_attention = True
        self.multi_query_group_num = multi_query_group_num
        self.padded_vocab_size = padded_vocab_size
        self.embedding_rows = embedding_rows
        self.layernorm_epsilon = layernorm_epsilon
        self.post_layer_norm = True
        kwargs.setdefault("architectures", ["ChatGLMModel"])
        kwargs.setdefault("tie_word_embeddings", False)
        super().__init__(**kwargs)
        self.use_cache = True


class RMSNorm(nn.Module):
    """Root mean square normalisation in fp32 (Zhang and Sennrich 2019)."""

    def __init__(self, width: int, eps: float) -> None:
        """Start as the identity scale."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Return the normalised states in their own type."""
        wide = hidden_states.float()
        scaled = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return scaled.to(hidden_states.dtype) * self.weight


class RotaryEmbedding(nn.Module):
    """Angles of rotary embedding (Su et al. 2021) over ``dim`` channels of a head."""

    def __init__(self, dim: int) -> None:
        """Only the size is state: the angles follow from the positions."""
        super().__init__()
        self.dim = dim

    def forward(self, position_ids: torch.Tensor) -> torch.Tensor:
        """Return angles, shape (length, dim / 2), for positions of shape (1, length)."""
        steps = torch.arange(0, self.dim, 2, dtype=torch.float32, device=position_ids.device)
        return torch.outer(position_ids[0].float(), 10000.0 ** (-steps / self.dim))


def apply_rotary(states: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Rotate neighbouring pairs of the first channels; the rest passes.

    Shapes: states (length, batch, heads, head size), angles (length, rotated / 2).
    """
    rotated = 2 * angles.size(-1)
    even, odd = states[..., 0:rotated:2], states[..., 1:rotated:2]
    cos = angles.cos()[:, None, None, :].to(states.dtype)
    sin = angles.sin()[:, None, None, :].to(states.dtype)
    pairs = torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1)
    return torch.cat((pairs.flatten(-2), states[..., rotated:]), dim=-1)


class SelfAttention(nn.Module):
    """Attention with fewer key and value heads than query heads."""

    def __init__(self, config: ChatGLMConfig, layer_number: int) -> None:
        """Count layers from 1, as ipex-llm's cache does."""
        super().__init__()
        self.layer_number = layer_number
        self.hidden_size_per_attention_head = config.kv_channels
        self.num_attention_heads_per_partition = config.num_attention_heads
        self.multi_query_attention = config.multi_query_attention
        self.num_multi_query_groups_per_partition = config.multi_query_group_num
        queries = config.num_attention_heads * config.kv_channels
        groups = config.multi_query_group_num * config.kv_channels
        self.query_key_value = nn.Linear(config.hidden_size, queries + 2 * groups, bias=True)
        self.dense = nn.Linear(queries, config.hidden_size, bias=False)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor,
        rotary_pos_emb: torch.Tensor,
        *,
        kv_cache: Any = None,
        use_cache: bool = True,
    ) -> tuple[Any, ...]:
        """Return the attended states and the keys and values so far."""
        length, batch, _ = hidden_states.shape
        heads, size = self.num_attention_heads_per_partition, self.hidden_size_per_attention_head
        groups = self.num_multi_query_groups_per_partition
        mixed = self.query_key_value(hidden_states).view(length, batch, heads + 2 * groups, size)
        query, key, value = mixed.split([heads, groups, groups], dim=2)
        query, key = apply_rotary(query, rotary_pos_emb), apply_rotary(key, rotary_pos_emb)
        if kv_cache is not None:
            key, value = torch.cat((kv_cache[0], key)), torch.cat((kv_cache[1], value))
        every_key, every_value = (part.repeat_interleave(heads // groups, dim=2) for part in (key, value))
        attended = functional.scaled_dot_product_attention(
            query.permute(1, 2, 0, 3),
            every_key.permute(1, 2, 0, 3),
            every_value.permute(1, 2, 0, 3),
            attn_mask=~attention_mask,
        )
        flat = attended.permute(2, 0, 1, 3).reshape(length, batch, heads * size)
        return self.dense(flat), (key, value) if use_cache else None


class MLP(nn.Module):
    """SwiGLU (Shazeer 2020) with gate and value in one projection."""

    def __init__(self, config: ChatGLMConfig) -> None:
        """Make both projections."""
        super().__init__()
        self.dense_h_to_4h = nn.Linear(config.hidden_size, 2 * config.ffn_hidden_size, bias=False)
        self.dense_4h_to_h = nn.Linear(config.ffn_hidden_size, config.hidden_size, bias=False)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Return the gated states."""
        gate, up = self.dense_h_to_4h(hidden_states).chunk(2, dim=-1)
        return self.dense_4h_to_h(functional.silu(gate) * up)


class GLMBlock(nn.Module):
    """One layer: attention and SwiGLU, each normalised before and added to what came in."""

    def __init__(self, config: ChatGLMConfig, layer_number: int) -> None:
        """Make the parts."""
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.layernorm_epsilon)
        self.self_attention = SelfAttention(config, layer_number)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.layernorm_epsilon)
        self.mlp = MLP(config)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: Any,
        rotary_pos_emb: Any,
        *,
        kv_cache: Any = None,
        use_cache: bool = True,
    ) -> tuple[Any, ...]:
        """Return the states and this layer's cache."""
        attended, kv_cache = self.self_attention(
            self.input_layernorm(hidden_states),
            attention_mask,
            rotary_pos_emb,
            kv_cache=kv_cache,
            use_cache=use_cache,
        )
        hidden_states = hidden_states + attended
        return hidden_states + self.mlp(self.post_attention_layernorm(hidden_states)), kv_cache


class GLMTransformer(nn.Module):
    """The stack of layers and the last norm."""

    def __init__(self, config: ChatGLMConfig) -> None:
        """Make the layers."""
        super().__init__()
        self.num_layers = config.num_layers
        self.post_layer_norm = config.post_layer_norm
        self.layers = nn.ModuleList(GLMBlock(config, number + 1) for number in range(config.num_layers))
        self.final_layernorm = RMSNorm(config.hidden_size, config.layernorm_epsilon)

    def _get_layer(self, layer_number: int) -> nn.Module:
        return self.layers[layer_number]

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: Any,
        rotary_pos_emb: Any,
        *,
        kv_caches: Any = None,
        use_cache: bool = True,
        output_hidden_states: bool = False,
    ) -> tuple[Any, ...]:
        """Return states, caches and, as ipex-llm's replacement does, two empty places."""
        del output_hidden_states
        presents = []
        for number in range(self.num_layers):
            layer = self._get_layer(number)
            cache = kv_caches[number] if kv_caches else None
            hidden_states, cache = layer(
                hidden_states, attention_mask, rotary_pos_emb, kv_cache=cache, use_cache=use_cache
            )
            presents.append(cache)
        return self.final_layernorm(hidden_states), tuple(presents) if use_cache else None, None, None


class Embedding(nn.Module):
    """Token embedding that puts the length first."""

    def __init__(self, config: ChatGLMConfig) -> None:
        """Make the table."""
        super().__init__()
        self.word_embeddings = nn.Embedding(config.embedding_rows, config.hidden_size)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Return (length, batch, width) for (batch, length)."""
        return self.word_embeddings(input_ids).transpose(0, 1).contiguous()


class ChatGLMPreTrainedModel(PreTrainedModel):
    """What transformers wants to know of a family."""

    config_class = ChatGLMConfig
    base_model_prefix = "transformer"

    def _init_weights(self, module: nn.Module) -> None:
        """Draw weights that make positions and masks matter: with smaller ones attention is an average.

        Seen with the default sizes: without rotary embedding the logits change by 0.67 of their norm,
        without the mask by 0.9, through `sym_int8` by 0.04. With 0.02 everywhere it was 0.06, 0.9 and 0.02.
        """
        if isinstance(module, nn.Linear):
            module.weight.data.normal_(0.0, module.in_features**-0.5)
            if module.bias is not None:
                module.bias.data.normal_(0.0, 0.02)
        elif isinstance(module, nn.Embedding):
            module.weight.data.normal_(0.0, 0.02)


class ChatGLMModel(ChatGLMPreTrainedModel):
    """Embedding, layers and the output layer, which ChatGLM2 keeps here."""

    def __init__(self, config: ChatGLMConfig) -> None:
        """Make the parts."""
        super().__init__(config)
        self.embedding = Embedding(config)
        self.rotary_pos_emb = RotaryEmbedding(config.kv_channels // 2)
        self.encoder = GLMTransformer(config)
        self.output_layer = nn.Linear(config.hidden_size, config.embedding_rows, bias=False)
        self.post_init()

    def get_masks(
        self, input_ids: torch.Tensor, past_key_values: Any, padding_mask: Any = None
    ) -> torch.Tensor:
        """Return (batch, 1, length, length so far), True where a position may not be seen."""
        del padding_mask
        batch, length = input_ids.shape
        past = past_key_values[0][0].size(0) if past_key_values else 0
        rows = torch.arange(past, past + length, device=input_ids.device)[:, None]
        columns = torch.arange(past + length, device=input_ids.device)[None, :]
        return (columns > rows).expand(batch, 1, length, past + length)

    def forward(
        self,
        input_ids: torch.Tensor,
        *,
        position_ids: Any = None,
        attention_mask: Any = None,
        full_attention_mask: Any = None,
        past_key_values: Any = None,
        inputs_embeds: Any = None,
        use_cache: Any = None,
        output_hidden_states: Any = None,
        return_dict: Any = None,
    ) -> BaseModelOutputWithPast:
        """Run the layers over (batch, length) token numbers; only what validation needs is implemented."""
        del attention_mask, full_attention_mask, inputs_embeds, output_hidden_states, return_dict
        mask = self.get_masks(input_ids, past_key_values)
        if position_ids is None:
            past = mask.size(-1) - input_ids.size(1)
            position_ids = torch.arange(past, mask.size(-1), device=input_ids.device)[None, :]
        hidden_states, presents, _, _ = self.encoder(
            self.embedding(input_ids),
            mask,
            self.rotary_pos_emb(position_ids),
            kv_caches=past_key_values,
            use_cache=use_cache is not False,
        )
        return BaseModelOutputWithPast(last_hidden_state=hidden_states, past_key_values=presents)


class ChatGLMForConditionalGeneration(ChatGLMPreTrainedModel):
    """The model with logits, of the last position only."""

    def __init__(self, config: ChatGLMConfig) -> None:
        """Make the model."""
        super().__init__(config)
        self.transformer = ChatGLMModel(config)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor,
        *,
        position_ids: Any = None,
        past_key_values: Any = None,
        use_cache: bool = True,
        every_position: bool = False,
    ) -> CausalLMOutputWithPast:
        """Return logits, shape (batch, 1 or length, vocabulary), and the cache."""
        outputs = self.transformer(
            input_ids,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
            return_dict=True,
        )
        states = outputs.last_hidden_state if every_position else outputs.last_hidden_state[-1:]
        logits = self.transformer.output_layer(states).transpose(0, 1).contiguous()
        return CausalLMOutputWithPast(logits=logits, past_key_values=outputs.past_key_values)
