"""Attention on a processor, where the library's way is slow.

The fused kernel takes three times as long backwards in bf16 as in fp32, casts included, and rounds more. So whole passes of a
bf16 model are computed in fp32 and rounded once. A single new token, whose keys would have to be cast each time, stays as it
is, and so does the last block where one place of each row is read; but where several heads share a key they are given to the
kernel as several places of one head, for which it is five times as fast in bf16.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward


def prepare() -> None:
    """Put it in the place of the library's own "sdpa", for every model of this process."""
    AttentionInterface.register("sdpa", attend)


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **told: Any,
) -> tuple[Tensor, None]:
    """As `sdpa_attention_forward`."""
    given = (query, key, value, attention_mask)
    if query.device.type == "cpu":
        if query.shape[2] > 1 and query.dtype == torch.bfloat16:
            return _in_fp32(module, *given, **told)
        if query.shape[2] == 1 and _heads_share_keys(query, key, attention_mask) and told.get("position_bias") is None:
            return _one_token(*given, told.get("scaling"))
    return sdpa_attention_forward(module, *given, **told)


def _in_fp32(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **told: Any
) -> tuple[Tensor, None]:
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.float()
    found, weights = sdpa_attention_forward(module, query.float(), key.float(), value.float(), attention_mask, **told)
    return found.to(query.dtype), weights


def _one_token(
    query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, scaling: float | None
) -> tuple[Tensor, None]:
    """The heads that share a key as places of one head: [batch, heads, 1, width] to [batch, 1, heads, width]."""
    grouped = query.reshape(*key.shape[:2], -1, query.shape[3])
    found = scaled_dot_product_attention(grouped, key, value, attention_mask, scale=scaling)
    return found.reshape(len(query), 1, query.shape[1], -1), None


def _heads_share_keys(query: Tensor, key: Tensor, attention_mask: Tensor | None) -> bool:
    return query.shape[1] > key.shape[1] and (attention_mask is None or attention_mask.shape[1] == 1)
