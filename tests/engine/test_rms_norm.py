import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from rlhf_lab.engine.rms_norm import rms_norm


def norm(dtype: torch.dtype) -> LlamaRMSNorm:
    made = LlamaRMSNorm(48, eps=1e-5).requires_grad_(False)
    made.weight.add_(0.3 * torch.randn(48, generator=torch.Generator().manual_seed(0)))
    return made.to(dtype)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_values_and_gradients_are_the_librarys(scale: float) -> None:
    generator = torch.Generator().manual_seed(1)
    x, weights = (torch.randn(3, 5, 48, generator=generator) for _ in range(2))
    made, found = norm(torch.float32), []
    for compute in (made, lambda x: rms_norm(made, x)):
        into = (scale * x).requires_grad_()
        out = compute(into)
        (out * weights).sum().backward()
        found.append((out.detach(), into.grad))
    torch.testing.assert_close(found[1], found[0], atol=1e-5 / scale, rtol=1e-5)
    with torch.no_grad():
        assert torch.equal(rms_norm(made, scale * x), found[1][0])


def test_in_bf16_it_rounds_where_the_library_does() -> None:
    x = torch.randn(40, 48, generator=torch.Generator().manual_seed(2)).bfloat16()
    made = norm(torch.bfloat16)
    same = rms_norm(made, x) == made(x)
    # A last bit of the fp32 scale may decide a tie.
    assert same.float().mean() > 0.99
    into = x.clone().requires_grad_()
    rms_norm(made, into).float().sum().backward()
    assert into.grad is not None
    assert into.grad.dtype == torch.bfloat16
