"""The block of Llama and its kin, written out: fewer passes over memory, and less kept for the backward pass.

Layers that read the same input are one function, and what goes into the MLP's last layer is computed again on the way
back, not kept (see `rlhf_lab.engine.lora`). Of the last block only some places may be read: what no later block looks at
needs neither a query nor the MLP. Where an answer of 32 tokens behind a prompt of 64 is read, that is two thirds of the
block; where a score is read at one place, nearly all of it.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from rlhf_lab.core.memory import WRITTEN_OUT
from rlhf_lab.engine.lora import gated, together
from rlhf_lab.engine.rms_norm import rms_norm
from rlhf_lab.engine.rotary import rotated

Places = int | Tensor
"""Which of T places are read: those from this one on, or in each row of B these, [B, K]."""


def read(x: Tensor, places: Places) -> Tensor:
    """x [B, T, D] at the ``places``: [B, T − n, D] or [B, K, D]; a first dimension of 1 serves all rows."""
    if isinstance(places, int):
        return x[:, places:] if places else x
    return torch.take_along_dim(x, places.unsqueeze(-1), 1)


def is_known(block: nn.Module) -> bool:
    """Whether `written_out` computes what this block does."""
    config: Any = getattr(getattr(block, "self_attn", None), "config", None)
    known = getattr(config, "model_type", None) in WRITTEN_OUT
    return known and config._attn_implementation == "sdpa" and config.hidden_act == "silu"


def written_out(
    block: Any,
    places: Places,
    hidden: Tensor,
    attention_mask: Tensor | None = None,
    *,
    position_embeddings: tuple[Tensor, Tensor],
    past_key_values: Cache | None = None,
    **_: Any,
) -> Tensor:
    """What ``block`` makes of hidden [B, T, D] at the ``places`` that are read; with a cache, at all, ``places`` 0."""
    attention, mlp = block.self_attn, block.mlp
    states = rms_norm(block.input_layernorm, hidden)
    projections = [attention.q_proj, attention.k_proj, attention.v_proj]
    everywhere = isinstance(places, int) and places == 0
    if everywhere:
        query, key, value = together(projections, states)
    else:
        query, (key, value) = attention.q_proj(read(states, places)), together(projections[1:], states)
    width = attention.head_dim
    at_query = (read(table, places).unsqueeze(1) for table in position_embeddings)
    query = rotated(_heads(query, width, getattr(attention, "q_norm", None)), *at_query)
    at_key = (table.unsqueeze(1) for table in position_embeddings)
    key = rotated(_heads(key, width, getattr(attention, "k_norm", None)), *at_key)
    value = _heads(value, width)
    if past_key_values is not None:
        key, value = past_key_values.update(key, value, attention.layer_idx)
    if not everywhere:
        if attention_mask is None:
            every = torch.arange(states.shape[1], device=hidden.device)
            attention_mask = (every <= every.unsqueeze(1))[None, None]
        attention_mask = read(attention_mask[:, 0], places).unsqueeze(1)
    attend = ALL_ATTENTION_FUNCTIONS["sdpa"]
    found, _ = attend(attention, query, key, value, attention_mask, scaling=attention.scaling)
    hidden = read(hidden, places) + attention.o_proj(found.flatten(2))
    gate, up = together([mlp.gate_proj, mlp.up_proj], rms_norm(block.post_attention_layernorm, hidden))
    return hidden + gated(mlp.down_proj, gate, up)


def _heads(x: Tensor, width: int, norm: Any = None) -> Tensor:
    """[B, T, H·d] to [B, H, T, d]"""
    each = x.unflatten(-1, (-1, width))
    return (each if norm is None else rms_norm(norm, each)).transpose(1, 2)
