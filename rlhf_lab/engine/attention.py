"""Attention of a bf16 model on a processor: computed in fp32.

The processor's fused kernel takes three times as long backwards in bf16 as in fp32, casts included, and rounds more. So
whole passes are computed in fp32 and rounded once. Single new tokens, whose keys would have to be cast at every one, stay
as they are.
"""

from typing import Any

import torch
from torch import Tensor
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
    if query.device.type != "cpu" or query.dtype != torch.bfloat16 or query.shape[2] == 1:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **told)
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.float()
    found, weights = sdpa_attention_forward(module, query.float(), key.float(), value.float(), attention_mask, **told)
    return found.to(query.dtype), weights
