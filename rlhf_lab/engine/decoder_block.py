"""The block of Llama and its kin, written out: fewer passes over memory, and less kept for the backward pass.

Layers that read the same input are one function, and what goes into the MLP's last layer is computed again on the way
back, not kept (see `rlhf_lab.engine.lora`). Of the last block only the newest places may be read: what no later block looks
at needs neither a query nor the MLP, which of a prompt of 64 tokens and an answer of 32 is two thirds of the block.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from rlhf_lab.core.memory import WRITTEN_OUT
from rlhf_lab.engine.lora import gated, together
from rlhf_lab.engine.rms_norm import rms_norm


def is_known(block: nn.Module) -> bool:
    """Whether `written_out` computes what this block does."""
    config: Any = getattr(getattr(block, "self_attn", None), "config", None)
    known = getattr(config, "model_type", None) in WRITTEN_OUT
    return known and config._attn_implementation == "sdpa" and config.hidden_act == "silu"


def written_out(
    block: Any,
    since: int,
    hidden: Tensor,
    attention_mask: Tensor | None = None,
    *,
    position_embeddings: tuple[Tensor, Tensor],
    past_key_values: Cache | None = None,
    **_: Any,
) -> Tensor:
    """What ``block`` makes of hidden [B, T, D] at the places from ``since`` on: [B, T − since, D]; with a cache, of all."""
    attention, mlp = block.self_attn, block.mlp
    states = rms_norm(block.input_layernorm, hidden)
    projections = [attention.q_proj, attention.k_proj, attention.v_proj]
    if since:
        query, (key, value) = attention.q_proj(states[:, since:]), together(projections[1:], states)
    else:
        query, key, value = together(projections, states)
    cos, sin = (table.unsqueeze(1) for table in position_embeddings)
    width = attention.head_dim
    query = _rotated(_heads(query, width, getattr(attention, "q_norm", None)), cos[:, :, since:], sin[:, :, since:])
    key = _rotated(_heads(key, width, getattr(attention, "k_norm", None)), cos, sin)
    value = _heads(value, width)
    if past_key_values is not None:
        key, value = past_key_values.update(key, value, attention.layer_idx)
    if attention_mask is not None:
        attention_mask = attention_mask[:, :, since:]
    elif since:
        places = torch.ones(query.shape[2], states.shape[1], dtype=torch.bool, device=hidden.device)
        attention_mask = places.tril(since)[None, None]
    attend = ALL_ATTENTION_FUNCTIONS["sdpa"]
    found, _ = attend(attention, query, key, value, attention_mask, scaling=attention.scaling)
    hidden = hidden[:, since:] + attention.o_proj(found.flatten(2))
    gate, up = together([mlp.gate_proj, mlp.up_proj], rms_norm(block.post_attention_layernorm, hidden))
    return hidden + gated(mlp.down_proj, gate, up)


def _heads(x: Tensor, width: int, norm: Any = None) -> Tensor:
    """[B, T, H·d] to [B, H, T, d]"""
    each = x.unflatten(-1, (-1, width))
    return (each if norm is None else rms_norm(norm, each)).transpose(1, 2)


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    low, high = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-high, low), dim=-1) * sin
