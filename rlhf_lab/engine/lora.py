"""LoRA layers that compute what PEFT's do, in fewer passes over memory and with less kept for the backward pass.

PEFT writes x·Wᵀ, (x·Aᵀ)·Bᵀ, its multiple and the sum as four tensors and lets autograd go through each. Here
the low-rank part is added in place, the thin products of the backward pass are laid out so that they run along the
tokens, and layers that read the same input share these products.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from rlhf_lab.engine.frozen import narrowed, product, thin

_CACHED = 2**19
"""Bytes of one piece, in fp32."""


class LoraLinear(Linear):
    """PEFT's layer for `nn.Linear`, with another way to compute the usual case: one adapter, on an fp32 or bf16 base."""

    def switch_to(self, names: list[str]) -> None:
        """As `set_adapter`, but ``requires_grad`` of all adapters is neither changed nor looked at."""
        self._active_adapter = names

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """[..., in] to [..., out]."""
        adapted = None if args or kwargs else _adapted(self, x)
        if adapted is not None:
            found: Tensor = _Lora.apply(x, *adapted)[0]
        elif any(name in self.lora_A for name in self.active_adapters) or args or kwargs:
            found = super().forward(x, *args, **kwargs)
        else:
            found = self.get_base_layer()(x)  # the same, without all that PEFT asks first
        return found


def together(layers: Sequence[nn.Module], x: Tensor) -> Sequence[Tensor]:
    """What each of the layers makes of the same x [..., in]: [..., out] each."""
    adapted = [_adapted(layer, x) for layer in layers]
    known = [one for one in adapted if one is not None]
    if len(known) < len(layers):
        return [layer(x) for layer in layers]
    found: tuple[Tensor, ...] = _Lora.apply(x, *(part for one in known for part in one))
    return found


def gated(layer: nn.Module, gate: Tensor, up: Tensor) -> Tensor:
    """``layer`` of silu(gate)·up, both [..., in]: [..., out]. Without a gradient the gate is written over."""
    if not torch.is_grad_enabled():
        found: Tensor = layer(functional.silu(gate, inplace=True).mul_(up))
    elif (adapted := _adapted(layer, gate)) is None:
        found = layer(functional.silu(gate) * up)
    else:
        found = _GatedLora.apply(gate, up, *adapted)
    return found


class _Adapted(NamedTuple):
    """A frozen layer and the adapter on it: x·Wᵀ + bias + scale·(x·Aᵀ)·Bᵀ."""

    weight: Tensor
    bias: Tensor | None
    a: Tensor
    b: Tensor
    scale: float


def _adapted(layer: nn.Module, x: Tensor) -> _Adapted | None:
    """Of the usual case; None for all else, which is PEFT's or torch's to compute."""
    if not isinstance(layer, LoraLinear) or layer.disable_adapters:
        return None
    active = [name for name in layer.active_adapters if name in layer.lora_A]
    weight: Tensor = layer.get_base_layer().weight
    if len(active) != 1 or x.dtype != weight.dtype or x.dtype not in (torch.float32, torch.bfloat16):
        return None
    a, b = layer.lora_A[active[0]].weight, layer.lora_B[active[0]].weight
    return _Adapted(weight, layer.get_base_layer().bias, a, b, layer.scaling[active[0]])


_FIELDS = len(_Adapted._fields)
_A, _B = _Adapted._fields.index("a"), _Adapted._fields.index("b")


class _Lora(torch.autograd.Function):
    """Adapted layers, one after the other in ``given``, on one x.

    On a bf16 base all of the low-rank part is fp32, rounded once with the sum; x is kept as it came, not as a copy in
    fp32, which is what PEFT's way leaves for the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *given: Any) -> tuple[Tensor, ...]:
        layers = [_Adapted(*given[i : i + _FIELDS]) for i in range(0, len(given), _FIELDS)]
        rows = x.reshape(-1, x.shape[-1])
        low, found = _forwards(rows, layers)
        ctx.save_for_backward(rows, low, *(tensor for layer in layers for tensor in (layer.weight, layer.a, layer.b)))
        ctx.scales, ctx.shape = [layer.scale for layer in layers], x.shape
        return tuple(out.view(*x.shape[:-1], -1) for out in found)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, low, *kept = ctx.saved_tensors
        layers = [
            _Adapted(kept[3 * i], None, kept[3 * i + 1], kept[3 * i + 2], scale) for i, scale in enumerate(ctx.scales)
        ]
        wants = _Wants(ctx.needs_input_grad[0], ctx.needs_input_grad[1 + _A], ctx.needs_input_grad[1 + _B])
        into, slopes = _backwards(rows, low, [g.reshape(-1, g.shape[-1]) for g in gradients], layers, wants)
        for_layers = [part for for_a, for_b in slopes for part in (None, None, for_a, for_b, None)]
        return None if into is None else into.view(ctx.shape), *for_layers


class _GatedLora(torch.autograd.Function):
    """An adapted layer on silu(gate)·up, of which the two are kept and the product is not."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, *given: Any) -> Tensor:
        layer = _Adapted(*given)
        rows = functional.silu(gate).mul_(up)
        low, (out,) = _forwards(rows.view(-1, rows.shape[-1]), [layer])
        ctx.save_for_backward(gate, up, low, layer.weight, layer.a, layer.b)
        ctx.scale = layer.scale
        return out.view(*gate.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gate, up, low, weight, a, b = ctx.saved_tensors
        opened = functional.silu(gate)
        rows = (opened * up).view(-1, up.shape[-1])
        layer = _Adapted(weight, None, a, b, ctx.scale)
        wants = _Wants(True, ctx.needs_input_grad[2 + _A], ctx.needs_input_grad[2 + _B])
        into, [(for_a, for_b)] = _backwards(rows, low, [gradient.reshape(-1, gradient.shape[-1])], [layer], wants)
        assert into is not None
        into = into.view(up.shape)
        for_up = opened.mul_(into)
        for_gate = torch.ops.aten.silu_backward(into.mul_(up), gate)
        return for_gate, for_up, None, None, for_a, for_b, None


class _Wants(NamedTuple):
    """Whose gradients are asked for."""

    x: bool
    a: bool
    b: bool


def _forwards(rows: Tensor, layers: Sequence[_Adapted]) -> tuple[Tensor, list[Tensor]]:
    """A·xᵀ of all layers, one below the other [r₁ + r₂ + …, n], and what each makes of rows [n, in]."""
    low = _below(layers) @ rows.float().T
    found = []
    for layer, place in zip(layers, _places(layers), strict=True):
        out = product(rows, layer.weight, layer.bias)
        _add(out, low[place].T, layer.b.T, layer.scale)
        found.append(out)
    return low, found


def _backwards(
    rows: Tensor, low: Tensor, gradients: Sequence[Tensor], layers: Sequence[_Adapted], wants: _Wants
) -> tuple[Tensor | None, list[tuple[Tensor | None, Tensor | None]]]:
    """Gradients of rows [n, in], and of A and B of each layer."""
    back = torch.empty_like(low)
    for_bs: list[Tensor | None] = []
    for layer, place, gradient in zip(layers, _places(layers), gradients, strict=True):
        for_b = None
        for part in _parts(gradient):
            exact = gradient[part].float()  # itself on an fp32 base
            back[place, part] = narrowed(exact, layer.b)
            if wants.b:
                for_b = _plus(for_b, low[place, part], exact)
        back[place].mul_(layer.scale)
        for_bs.append(None if for_b is None else for_b.mul_(layer.scale).T)
    for_a = into = None
    if wants.a:
        for part in _parts(rows):
            for_a = _plus(for_a, back[:, part], rows[part].float())
    if wants.x:
        for layer, gradient in zip(layers, gradients, strict=True):
            part_of = product(gradient, layer.weight.T)
            into = part_of if into is None else into.add_(part_of)
        assert into is not None
        _add(into, back.T, _below(layers), 1.0)
    for_as = [None if for_a is None else for_a[place] for place in _places(layers)]
    return into, list(zip(for_as, for_bs, strict=True))


def _below(layers: Sequence[_Adapted]) -> Tensor:
    """A of all layers, one below the other: [r₁ + r₂ + …, in]."""
    return layers[0].a if len(layers) == 1 else torch.cat([layer.a for layer in layers])


def _places(layers: Sequence[_Adapted]) -> list[slice]:
    """Where each layer's part is in what stands one below the other."""
    ends = accumulate(len(layer.a) for layer in layers)
    return [slice(end - len(layer.a), end) for end, layer in zip(ends, layers, strict=True)]


def _plus(total: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    return thin(left, right) if total is None else total.addmm_(left, right)


def _add(out: Tensor, low: Tensor, up: Tensor, scale: float) -> None:
    """out [n, d] += scale·low [n, r]·up [r, d], which are fp32; rounded once where out is bf16."""
    if out.dtype == torch.float32:
        out.addmm_(low, up, alpha=scale)
        return
    for part in _parts(out):
        out[part] = torch.addmm(out[part].float(), low[part], up, alpha=scale)


def _parts(rows: Tensor) -> list[slice]:
    """On a processor a bf16 tensor goes through in pieces whose fp32 forms stay in its cache."""
    count, width = rows.shape
    if rows.device.type != "cpu" or rows.dtype == torch.float32:
        return [slice(None)]
    at_once = max(16, _CACHED // (4 * width))
    return [slice(i, i + at_once) for i in range(0, max(1, count), at_once)]
