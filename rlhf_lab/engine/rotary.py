"""Rotary positions of Llama and its kin, x·cos + (−high, low)·sin: half the passes over memory, backwards too."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [..., T, d] turned by the tables cos and sin [..., T, d], which broadcast to it and get no gradient."""
    if not torch.is_grad_enabled():
        return _turned(x, cos, sin, 1)
    found: Tensor = _Rotary.apply(x, cos, sin)
    return found


def _turned(x: Tensor, cos: Tensor, sin: Tensor, way: int) -> Tensor:
    """``way`` −1 turns back, as gradients are: then each half takes the other's sines."""
    low, high = x.chunk(2, dim=-1)
    for_low, for_high = sin.chunk(2, dim=-1) if way > 0 else reversed(sin.chunk(2, dim=-1))
    found = x * cos
    into_low, into_high = found.chunk(2, dim=-1)
    into_low.addcmul_(high, for_low, value=-way)
    into_high.addcmul_(low, for_high, value=way)
    return found


class _Rotary(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _turned(gradient, *ctx.saved_tensors, -1), None, None
