"""Attention on a processor: of bf16 that of fp32, rounded once; of a new token the library's."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from rlhf_lab.engine import attention
from rlhf_lab.engine.backbone import Backbone


def test_every_model_that_is_loaded_has_it(load: Callable[[], Backbone], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(AttentionInterface._global_mapping, "sdpa", sdpa_attention_forward)
    load()
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is attention.attend


def heads(places: int, count: int) -> Tensor:
    return torch.randn(2, count, places, 8, generator=torch.Generator().manual_seed(places + count))


@pytest.mark.parametrize("masked", [False, True])
def test_a_bf16_pass_is_rounded_once_forwards_and_backwards(masked: bool) -> None:
    module = SimpleNamespace(num_key_value_groups=2, is_causal=True)
    mask = torch.zeros(2, 1, 6, 6).masked_fill(torch.ones(6, 6).triu(1).bool(), -1e9) if masked else None
    found = {}
    for dtype in (torch.bfloat16, torch.float32):
        # The same numbers on both sides: those that bf16 can say.
        given = [x.bfloat16().to(dtype).requires_grad_() for x in (heads(6, 4), heads(6, 2), heads(6, 2) + 1)]
        function = attention.attend if dtype == torch.bfloat16 else sdpa_attention_forward
        out, _ = function(module, *given, None if mask is None else mask.to(dtype))
        assert out.dtype == dtype
        # A slope that bf16 can say, too.
        out.backward(torch.arange(out.numel(), dtype=torch.float32).view_as(out).remainder(4).to(dtype))
        found[dtype] = [out.detach(), *(x.grad for x in given)]
    for rounded, exact in zip(found[torch.bfloat16], found[torch.float32], strict=True):
        assert exact is not None
        assert torch.equal(rounded, exact.bfloat16())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("masked", [False, True])
def test_a_new_token_whose_heads_share_keys_is_the_librarys(dtype: torch.dtype, masked: bool) -> None:
    module = SimpleNamespace(num_key_value_groups=2, is_causal=True)
    given = heads(1, 4).to(dtype), heads(6, 2).to(dtype), (heads(6, 2) + 1).to(dtype)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1] * 6]).bool()[:, None, None] if masked else None
    found, _ = attention.attend(module, *given, mask, scaling=0.3)
    wanted, _ = sdpa_attention_forward(module, *given, mask, scaling=0.3)
    assert found.shape == wanted.shape
    torch.testing.assert_close(found, wanted, atol=1e-2 if dtype == torch.bfloat16 else 1e-6, rtol=0)


def test_a_new_token_with_keys_of_its_own_and_an_fp32_pass_go_the_librarys_way() -> None:
    for dtype, places, shared in ((torch.bfloat16, 1, 4), (torch.float32, 6, 2)):
        module = SimpleNamespace(num_key_value_groups=4 // shared, is_causal=True)
        given = heads(places, 4).to(dtype), heads(6, shared).to(dtype), heads(6, shared).to(dtype)
        found, _ = attention.attend(module, *given, None)
        assert torch.equal(found, sdpa_attention_forward(module, *given, None)[0])
