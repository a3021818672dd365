"""The norm of Llama and its kin, x / √(mean x² + ε) · w, with w frozen: half the passes over memory, backwards too."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def rms_norm(norm: Any, x: Tensor) -> Tensor:
    """What the library's layer ``norm`` makes of x [..., D]; in fp32 within, whatever x is."""
    if not torch.is_grad_enabled():
        return _normed(x, norm.weight, norm.variance_epsilon)[0]
    found: Tensor = _RmsNorm.apply(x, norm.weight, norm.variance_epsilon)
    return found


def _normed(x: Tensor, weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """The normed [..., D], and 1 / √(mean x² + ε) [..., 1]."""
    exact = x.float()
    scale = torch.linalg.vecdot(exact, exact).div_(x.shape[-1]).add_(epsilon).rsqrt_().unsqueeze(-1)
    # The library rounds before it multiplies by the weight.
    return (exact * scale).to(x.dtype).mul_(weight), scale


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        found, scale = _normed(x, weight, epsilon)
        ctx.save_for_backward(x, weight, scale)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        x, weight, scale = ctx.saved_tensors
        exact = x.float()
        slope = (gradient * weight).float()
        along = torch.linalg.vecdot(slope, exact).div_(x.shape[-1]).unsqueeze(-1).mul_(scale * scale)
        return slope.addcmul_(exact, along, value=-1).mul_(scale).to(x.dtype), None, None
