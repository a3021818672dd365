import pytest
import torch
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from rlhf_lab.engine.rotary import rotated


def tables(generator: torch.Generator, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """[2, 1, 5, 8] each; of two halves that differ, so that none stands for the other."""
    cos, sin = (torch.rand(2, 1, 5, 8, generator=generator).to(dtype) for _ in range(2))
    return cos, sin


@pytest.mark.parametrize("as_projected", [True, False])
def test_values_and_gradients_are_the_librarys(as_projected: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    laid = torch.randn(2, 5, 3, 8, generator=generator).transpose(1, 2)  # [B, H, T, d] from [B, T, H, d]
    x = laid if as_projected else laid.contiguous()
    weights = torch.randn(2, 3, 5, 8, generator=generator)
    cos, sin = tables(generator)
    found = []
    for compute in (lambda x: apply_rotary_pos_emb(x, x, cos[:, 0], sin[:, 0])[0], lambda x: rotated(x, cos, sin)):
        into = x.clone().requires_grad_()
        out = compute(into)
        (out * weights).sum().backward()
        found.append((out.detach(), into.grad))
    torch.testing.assert_close(found[1], found[0])
    with torch.no_grad():
        assert torch.equal(rotated(x, cos, sin), found[1][0])


def test_what_came_in_is_left_as_it_was() -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(2, 3, 5, 8, generator=generator)
    before = x.clone()
    rotated(x, *tables(generator))
    assert torch.equal(x, before)


def test_in_bf16_it_stays_in_bf16_and_rounds_no_more_than_the_library() -> None:
    generator = torch.Generator().manual_seed(3)
    exact = torch.randn(2, 3, 5, 8, generator=generator)
    x = exact.bfloat16().requires_grad_()
    cos, sin = tables(generator, torch.bfloat16)
    out = rotated(x, cos, sin)
    assert out.dtype == torch.bfloat16
    wanted = rotated(x.float(), cos.float(), sin.float())
    library = apply_rotary_pos_emb(x, x, cos[:, 0], sin[:, 0])[0]
    assert (out.float() - wanted).abs().mean() <= (library.float() - wanted).abs().mean()
    out.float().sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16
