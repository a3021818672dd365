"""Attention on a processor, where the library's way is slow.

The fused kernel takes three times as long backwards in bf16 as in fp32, casts included, and rounds more. So whole passes of a
bf16 model are computed in fp32 and rounded once. A single new token, whose keys would have to be cast each time, stays as it
is; but where several heads share a key they are given to the kernel as several places of one head, for which it is five
times as fast in bf16.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward


def prepare() -> None:
    """Put it in the place of the library's own "sdpa", for every model of this process."""
    AttentionInterface.register("sdpa", exact_on_cpu)


def exact_on_cpu(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **told: Any,
) -> tuple[Tensor, None]:
    """As `sdpa_attention_forward`."""
    if query.device.type != "cpu":
        return sdpa_attention_forward(module, query, key, value, attention_mask, **told)
    if query.shape[2] == 1 and _is_shared(query, key, attention_mask) and told.get("position_bias") is None:
        grouped = query.reshape(*key.shape[:2], -1, query.shape[3])
        found = scaled_dot_product_attention(grouped, key, value, attention_mask, scale=told.get("scaling"))
        return found.reshape(len(query), 1, query.shape[1], -1), None
    if query.dtype != torch.bfloat16 or query.shape[2] == 1:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **told)
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.float()
    found, weights = sdpa_attention_forward(module, query.float(), key.float(), value.float(), attention_mask, **told)
    return found.to(query.dtype), weights


def _is_shared(query: Tensor, key: Tensor, attention_mask: Tensor | None) -> bool:
    return query.shape[1] > key.shape[1] and (attention_mask is None or attention_mask.shape[1] == 1)
