"""Linear layers whose weights are never trained, in fp32 on a processor by oneDNN.

torch gives products in fp32 to MKL, which leaves a quarter of an AMD core idle (70 GFLOP/s where oneDNN does 95; on
Intel's they are alike), and asks oneDNN for bf16 alone. The operation is the one that its compiler emits: not documented,
so it is tried once against torch's own before it is used.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

_LARGE = 10**5
"""Numbers in a weight from which on it is worth it: oneDNN makes a program for each number of rows anew."""
_WIDE, _TALL = 2**10, 2**9
"""Columns and rows of the large factor of a thin product from which on it is."""
_HUGE = 2**24
"""Numbers from which on one that stands across is left to torch: oneDNN copies it whole for each product."""
_FEW = 16
"""Rows up to which the weight's rows are taken for those of the left factor: while sampling."""


class FrozenLinear(nn.Linear):
    """`nn.Linear`, whose weight and bias get no gradient. Made from one by `freeze`."""

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        if not _is_for_onednn(input, self.weight) or self.weight.requires_grad:
            # A slice would take another product where there is a bias, which in bf16 rounds once more than a LoRA layer
            # does: the reference would not be the policy that changes nothing.
            return super().forward(input.contiguous())
        if torch.is_grad_enabled():
            found: Tensor = _Frozen.apply(input, self.weight, self.bias)
            return found
        return product(input.reshape(-1, input.shape[-1]), self.weight, self.bias).view(*input.shape[:-1], -1)


def freeze(model: nn.Module) -> None:
    """Make each plain linear layer a `FrozenLinear`: the same module, with the same weights."""
    for module in model.modules():
        if type(module) is nn.Linear:
            module.requires_grad_(False)
            module.__class__ = FrozenLinear


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [n, in] · weight [out, in]ᵀ + bias, without a gradient."""
    if not _is_for_onednn(x, weight):
        return functional.linear(x, weight, bias)
    if len(x) <= _FEW and bias is None and weight.is_contiguous():
        return _onednn(weight, x, None).T.contiguous()
    return _onednn(x, weight, bias)


def thin(few: Tensor, rows: Tensor) -> Tensor:
    """few [r, n] · rows [n, d], without a gradient."""
    if _is_large(rows) and _is_for_onednn(few, rows.T):
        return _onednn(few, rows.T, None)
    return few @ rows


def narrowed(rows: Tensor, narrow: Tensor) -> Tensor:
    """(rows [n, d] · narrow [d, r])ᵀ, without a gradient: [r, n]."""
    if _is_large(rows) and _is_for_onednn(narrow, rows):
        return _onednn(rows, narrow.T.contiguous(), None).T
    return narrow.T @ rows.T


class _Frozen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return product(x.reshape(-1, x.shape[-1]), weight, bias).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        into = product(gradient.reshape(-1, gradient.shape[-1]), weight.T)
        return into.view(*gradient.shape[:-1], -1), None, None


def _is_large(rows: Tensor) -> bool:
    return rows.shape[0] >= _TALL and rows.shape[1] >= _WIDE


def _is_for_onednn(x: Tensor, weight: Tensor) -> bool:
    if not (x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu" and x.numel()):
        return False
    return weight.numel() >= _LARGE and (weight.numel() < _HUGE or weight.is_contiguous()) and _agrees()


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if not (weight.is_contiguous() or weight.T.is_contiguous()):
        weight = weight.contiguous()  # of any other order a row may take seconds
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return found


@cache
def _agrees() -> bool:
    """Whether this torch has the operation, and it says what it should."""
    if not torch.backends.mkldnn.is_available():
        return False
    x, weight, bias = (torch.arange(float(n)).cos() for n in (6, 12, 4))
    x, weight = x.view(2, 3), weight.view(3, 4).T
    with torch.inference_mode():
        try:
            found = _onednn(x, weight, bias)
        except (AttributeError, RuntimeError, TypeError):  # another torch
            return False
        return torch.allclose(found, functional.linear(x, weight, bias), atol=1e-6)
