import pytest
import torch
from peft import LoraConfig
from peft.tuners.lora.layer import Linear

from rlhf_lab.engine.lora import LoraLinear, gated, together


def layer(kind: type[Linear], *, bias: bool = True, dtype: torch.dtype = torch.float32) -> Linear:
    """A layer with a trained adapter "a" and another one, the same for each kind."""
    generator = torch.Generator().manual_seed(0)
    base = torch.nn.Linear(12, 20, bias=bias, dtype=dtype).requires_grad_(False)
    made = kind(base, "a", LoraConfig(r=3, lora_alpha=5), r=3, lora_alpha=5)
    made.update_layer("b", 2, 2, LoraConfig(r=2, lora_alpha=2))
    for parameter in made.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
    return made


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("active", [["a"], ["b"], [], ["a", "b"]])
def test_values_and_gradients_are_those_of_peft(bias: bool, active: list[str]) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(4, 7, 12, generator=generator)
    weights = torch.randn(4, 7, 20, generator=generator)
    found = []
    for kind in (Linear, LoraLinear):
        made, into = layer(kind, bias=bias), x.clone().requires_grad_()
        made.set_adapter(active)
        out = made(into)
        (out * weights).sum().backward()
        named = {name: p.grad for name, p in made.named_parameters() if p.grad is not None}
        found.append((out.detach(), into.grad, named))
    (value, slope, named), (other_value, other_slope, other_named) = found
    torch.testing.assert_close(other_value, value)
    torch.testing.assert_close(other_slope, slope, atol=1e-4, rtol=1e-5)
    assert other_named.keys() == named.keys()
    torch.testing.assert_close(other_named, named, atol=1e-4, rtol=1e-5)


def test_a_frozen_input_gets_no_gradient_and_the_adapter_still_does() -> None:
    made = layer(LoraLinear)
    made.set_adapter(["a"])
    x = torch.ones(2, 12)
    made(x).sum().backward()
    assert x.grad is None
    assert made.lora_B["a"].weight.grad is not None
    assert made.get_base_layer().weight.grad is None


def test_on_a_bf16_base_the_adapter_stays_fp32() -> None:
    """Values bit for bit; gradients as near to PEFT's as its one more rounding lets them be."""
    x = torch.randn(30, 12, generator=torch.Generator().manual_seed(2)).bfloat16()
    found = []
    for kind in (Linear, LoraLinear):
        made, into = layer(kind, dtype=torch.bfloat16), x.clone().requires_grad_()
        for name in ("a", "b"):  # PEFT's autocast of adapters is switched off in the lab
            made.lora_A[name].float()
            made.lora_B[name].float()
        made.set_adapter(["a"])
        out = made(into)
        out.float().square().mean().backward()
        found.append((out.detach(), into.grad, made.lora_A["a"].weight.grad, made.lora_B["a"].weight.grad))
    expected, ours = found
    assert ours[0].dtype == ours[1].dtype == torch.bfloat16
    assert ours[2].dtype == ours[3].dtype == torch.float32
    assert torch.equal(ours[0], expected[0])
    torch.testing.assert_close(ours[1], expected[1], atol=2e-2, rtol=2e-2)
    for mine, theirs in zip(ours[2:], expected[2:], strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


def test_a_bf16_base_keeps_its_input_in_bf16_for_the_backward_pass() -> None:
    made = layer(LoraLinear, dtype=torch.bfloat16)
    for name in ("a", "b"):
        made.lora_A[name].float()
        made.lora_B[name].float()
    made.set_adapter(["a"])
    kept: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        made(torch.ones(7, 12, dtype=torch.bfloat16).requires_grad_())
    assert {t.dtype for t in kept if t.shape == (7, 12)} == {torch.bfloat16}


def group(kinds: list[type[Linear]], dtype: torch.dtype = torch.float32) -> list[Linear]:
    """Layers on one input, each with other weights."""
    made = [layer(kind, dtype=dtype) for kind in kinds]
    for number, one in enumerate(made):
        for name in ("a", "b"):
            one.lora_A[name].float()
            one.lora_B[name].float()
        for parameter in one.parameters():
            parameter.data = parameter.data.roll(number + 1)
        one.set_adapter(["a"])
    return made


def slopes(layers: list[Linear]) -> list[torch.Tensor]:
    return [p.grad for one in layers for p in (one.lora_A["a"].weight, one.lora_B["a"].weight) if p.grad is not None]


@pytest.mark.parametrize("kinds", [[LoraLinear] * 3, [LoraLinear, Linear], [LoraLinear]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layers_on_one_input_say_what_each_says_alone(kinds: list[type[Linear]], dtype: torch.dtype) -> None:
    x = torch.randn(4, 7, 12, generator=torch.Generator().manual_seed(3)).to(dtype)
    found = []
    for at_once in (False, True):
        layers, into = group(kinds, dtype), x.clone().requires_grad_()
        outs = together(layers, into) if at_once else [one(into) for one in layers]
        sum(((number + 1) * out.float().square()).mean() for number, out in enumerate(outs)).backward()
        assert len(slopes(layers)) == 2 * len(layers)
        found.append(([out.detach() for out in outs], slopes(layers), into.grad))
    near = {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 2e-2, "rtol": 2e-2}
    torch.testing.assert_close(found[1][0], found[0][0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[1][1], found[0][1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[1][2], found[0][2], **near)


@pytest.mark.parametrize("kind", [LoraLinear, Linear])
def test_the_gated_product_is_computed_again_on_the_way_back(kind: type[Linear]) -> None:
    generator = torch.Generator().manual_seed(4)
    gate, up = (torch.randn(4, 7, 12, generator=generator) for _ in range(2))
    found = []
    for plain in (True, False):
        (one,) = group([kind])
        ins = [gate.clone().requires_grad_(), up.clone().requires_grad_()]
        out = one(torch.nn.functional.silu(ins[0]) * ins[1]) if plain else gated(one, *ins)
        out.square().mean().backward()
        found.append((out.detach(), slopes([one]), ins[0].grad, ins[1].grad))
        with torch.no_grad():
            torch.testing.assert_close(gated(one, gate.clone(), up), out)
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-5)
    assert torch.equal(gate, torch.randn(4, 7, 12, generator=torch.Generator().manual_seed(4)))


def test_where_nothing_is_trained_above_only_the_input_gets_a_gradient() -> None:
    layers = group([LoraLinear] * 2)
    for one in layers:
        one.requires_grad_(False)
    x = torch.ones(2, 12, requires_grad=True)
    sum(out.sum() for out in together(layers, x)).backward()
    assert x.grad is not None
    assert slopes(layers) == []
