"""One new token of each row through a whole model of known blocks, for sampling.

Of a token on a processor a quarter was the small operations between its products, and what the library prepares for
passes of any kind. Where a pass has one place a row, heads need no transposing, queries and keys turn together, and those
heads that share a key are several places of one head.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import DynamicCache

from rlhf_lab.engine.lora import gated, together
from rlhf_lab.engine.rms_norm import rms_norm
from rlhf_lab.engine.rotary import rotated


def last_states(decoder: Any, ids: Tensor, mask: Tensor, cache: DynamicCache) -> Tensor:
    """Last hidden state [B, D] of ids [B], which go on from ``cache``; mask [B, T_past + 1] covers both.

    Without a gradient, for a decoder all of whose blocks `decoder_block.is_known`, and a cache that `cache.keeps_all`.
    """
    hidden = decoder.embed_tokens(ids)
    # [B, 1, d]: the one place of a row, and in a block its heads.
    tables = decoder.rotary_emb(hidden, (mask.sum(-1, keepdim=True) - 1).clamp(min=0))
    seen = mask.bool()
    visible = None if bool(seen.all()) else seen[:, None, None]
    for block in decoder.layers:
        hidden = _through(block, hidden, tables, visible, cache)
    return rms_norm(decoder.norm, hidden)


def _through(
    block: Any, hidden: Tensor, tables: tuple[Tensor, Tensor], visible: Tensor | None, cache: DynamicCache
) -> Tensor:
    """hidden [B, D] to [B, D], as `decoder_block.written_out`."""
    attention, mlp = block.self_attn, block.mlp
    projections = [attention.q_proj, attention.k_proj, attention.v_proj]
    found = together(projections, rms_norm(block.input_layernorm, hidden))
    query, key, value = (each.unflatten(-1, (-1, attention.head_dim)) for each in found)
    if hasattr(attention, "q_norm"):
        query, key = rms_norm(attention.q_norm, query), rms_norm(attention.k_norm, key)
    turned = rotated(torch.cat([query, key], 1), *tables)
    query, key = turned.split([query.shape[1], key.shape[1]], 1)
    keys, values = cache.update(key.unsqueeze(2), value.unsqueeze(2), attention.layer_idx)
    grouped = query.reshape(*key.shape[:2], -1, attention.head_dim)
    said = scaled_dot_product_attention(grouped, keys, values, visible, scale=attention.scaling)
    hidden = attention.o_proj(said.flatten(1)) + hidden
    gate, up = together([mlp.gate_proj, mlp.up_proj], rms_norm(block.post_attention_layernorm, hidden))
    return gated(mlp.down_proj, gate, up) + hidden
