"""The last block of a decoder where only the newest places are read.

What no later block looks at needs neither a query nor the MLP: of a prompt of 64 tokens and an answer of 32 that is two
thirds of the block, forwards and backwards. Keys and values are still those of all places.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

_KNOWN = frozenset({"LlamaDecoderLayer", "MistralDecoderLayer", "Qwen2DecoderLayer"})
"""Blocks that compute what `tail` writes out."""


def has_tail(block: nn.Module) -> bool:
    """Whether `tail` computes what this block does."""
    attention: Any = getattr(block, "self_attn", None)
    return type(block).__name__ in _KNOWN and attention.config._attn_implementation == "sdpa"


def tail(
    block: Any,
    since: int,
    hidden: Tensor,
    attention_mask: Tensor | None = None,
    *,
    position_embeddings: tuple[Tensor, Tensor],
    **_: Any,
) -> Tensor:
    """What ``block`` makes of hidden [B, T, D] at the places from ``since`` on: [B, T − since, D]. No cache."""
    attention = block.self_attn
    states = block.input_layernorm(hidden)
    newest = states[:, since:]
    cos, sin = (table.unsqueeze(1) for table in position_embeddings)
    query = _rotated(_heads(attention.q_proj(newest), attention.head_dim), cos[:, :, since:], sin[:, :, since:])
    key = _rotated(_heads(attention.k_proj(states), attention.head_dim), cos, sin)
    value = _heads(attention.v_proj(states), attention.head_dim)
    if attention_mask is None:
        sees = torch.ones(newest.shape[1], states.shape[1], dtype=torch.bool, device=hidden.device).tril(since)
        attention_mask = sees[None, None]
    else:
        attention_mask = attention_mask[:, :, since:]
    found, _ = ALL_ATTENTION_FUNCTIONS["sdpa"](attention, query, key, value, attention_mask, scaling=attention.scaling)
    hidden = hidden[:, since:] + attention.o_proj(found.flatten(2))
    result: Tensor = hidden + block.mlp(block.post_attention_layernorm(hidden))
    return result


def _heads(x: Tensor, width: int) -> Tensor:
    """[B, T, H·d] to [B, H, T, d]"""
    return x.unflatten(-1, (-1, width)).transpose(1, 2)


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    low, high = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-high, low), dim=-1) * sin
