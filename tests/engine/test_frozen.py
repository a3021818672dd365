"""Frozen linear layers: values and gradients are torch's own, by whatever library."""

from typing import Any

import pytest
import torch
from torch import nn

from rlhf_lab.engine import frozen
from rlhf_lab.engine.frozen import FrozenLinear, freeze, narrowed, product, thin


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Shapes of what oneDNN is asked for, from any size on."""
    seen: list[tuple[Any, ...]] = []
    real = frozen._onednn

    def onednn(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        seen.append((tuple(x.shape), tuple(weight.shape)))
        return real(x, weight, bias)

    if not torch.backends.mkldnn.is_available():
        pytest.skip("a torch without oneDNN, as on some platforms")
    assert frozen._agrees()
    monkeypatch.setattr(frozen, "_onednn", onednn)
    monkeypatch.setattr(frozen, "_LARGE", 1)
    monkeypatch.setattr(frozen, "_TALL", 50)
    monkeypatch.setattr(frozen, "_WIDE", 40)
    return seen


def layer(bias: bool) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(24, 40, bias=bias)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3, 24), (2, 30, 24), (1, 24), (24,)])
def test_values_and_gradients_are_torchs(asked: list[Any], bias: bool, shape: tuple[int, ...]) -> None:
    plain, ours = layer(bias), layer(bias)
    freeze(ours)
    assert type(ours) is FrozenLinear
    x = torch.randn(shape)
    ins = [x.clone().requires_grad_() for _ in range(2)]
    outs = [plain(ins[0]), ours(ins[1])]
    torch.testing.assert_close(outs[1], outs[0])
    slope = torch.randn(outs[0].shape)
    for out in outs:
        (out * slope).sum().backward()
    torch.testing.assert_close(ins[1].grad, ins[0].grad)
    assert ours.weight.grad is None
    assert len(asked) == 2
    with torch.no_grad():
        torch.testing.assert_close(ours(x), plain(x))


def test_factors_in_any_order_of_memory(asked: list[Any]) -> None:
    weight = torch.randn(24, 40)
    for x in (torch.randn(40, 20).T, torch.randn(20, 80)[:, ::2], torch.randn(3, 7, 40)[:, -1]):
        for factor in (weight, weight.T.contiguous().T, torch.randn(48, 40)[::2], torch.randn(24, 80)[:, 40:]):
            torch.testing.assert_close(product(x, factor), x @ factor.T)
            assert product(x, factor).is_contiguous()
    assert len(asked) == 2 * 12


@pytest.mark.parametrize("least", ["_TALL", "_WIDE", None])
def test_thin_products(monkeypatch: pytest.MonkeyPatch, asked: list[Any], least: str | None) -> None:
    if least:
        monkeypatch.setattr(frozen, least, 51)
    low, rows, narrow = torch.randn(12, 50)[4:8], torch.randn(50, 40), torch.randn(40, 4)
    for tall in (rows, rows.T.contiguous().T, torch.randn(50, 80)[:, 40:]):
        torch.testing.assert_close(thin(low, tall), low @ tall)
        torch.testing.assert_close(narrowed(tall, narrow), (tall @ narrow).T)
    assert len(asked) == (0 if least else 6)


def test_what_is_small_half_or_trained_stays_with_torch(monkeypatch: pytest.MonkeyPatch, asked: list[Any]) -> None:
    ours = layer(True)
    freeze(ours)
    ours(torch.randn(0, 24))
    product(torch.randn(3, 24).bfloat16(), ours.weight.detach().bfloat16())
    ours.weight.requires_grad_(True)
    ours(torch.randn(3, 24)).sum().backward()
    assert ours.weight.grad is not None
    monkeypatch.setattr(frozen, "_HUGE", 1)
    product(torch.randn(3, 40), ours.weight.detach().T)
    monkeypatch.setattr(frozen, "_LARGE", 10**6)
    product(torch.randn(3, 24), ours.weight.detach())
    assert asked == []


def test_a_torch_without_the_operation_or_with_another_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> torch.Tensor:
        raise AttributeError

    def another(x: torch.Tensor, weight: torch.Tensor, _: torch.Tensor | None) -> torch.Tensor:
        return x @ weight.T

    for other in (missing, another):
        monkeypatch.setattr(frozen, "_onednn", other)
        assert not frozen._agrees.__wrapped__()
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not frozen._agrees.__wrapped__()
