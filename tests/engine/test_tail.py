"""The last block at the places that are read alone: states and gradients are those of the whole block."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, MistralConfig, Qwen2Config

from rlhf_lab.engine import blocks
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from tests.engine.conftest import make_tokenizer, perturb, save_model, tiny_llama

ROWS = [[5, 20, 33, 47, 60, 71, 12, 9], [9, 100, 12, 40, 41], [7, 8, 150, 200, 30, 31]]


def _small(size: int) -> dict[str, Any]:
    return {
        "vocab_size": size,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": None,
    }


SHAPES: dict[str, tuple[Callable[[int], Any], bool]] = {
    "llama": (tiny_llama, True),
    "qwen2": (lambda size: Qwen2Config(**_small(size)), True),
    "mistral": (lambda size: MistralConfig(**_small(size), sliding_window=4), True),
    "gpt2": (
        lambda size: GPT2Config(vocab_size=size, n_embd=32, n_layer=3, n_head=4, n_positions=64, eos_token_id=1),
        False,
    ),
}


@pytest.fixture(params=SHAPES)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Backbone, bool]:
    tokenizer = make_tokenizer()
    config, known = SHAPES[request.param]
    backbone = Backbone.load(save_model(tmp_path / "model", config(len(tokenizer)), tokenizer), device="cpu")
    backbone.add_adapter("policy", r=4, alpha=8, seed=0)
    perturb(backbone, "policy")
    return backbone, known


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("since", [1, 4, 7])
def test_states_and_gradients_are_those_of_the_whole_block(
    made: tuple[Backbone, bool], side: Any, since: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, known = made
    ids, mask = pad(ROWS, backbone.pad_id, side)
    asked: list[int] = []
    real = blocks.tail
    monkeypatch.setattr(
        blocks, "tail", lambda block, place, *a, **k: asked.append(place) or real(block, place, *a, **k)
    )
    found, gradients = [], []
    for given in (0, since):
        states = backbone.hidden(ids, mask, "policy", since=given)
        assert states.shape[1] == ids.shape[1] - given
        states = states[:, since - given :][mask[:, since:].bool()]
        found.append(states.detach())
        (states * torch.linspace(-1, 1, states.numel()).view_as(states)).sum().backward()
        gradients.append({name: p.grad.clone() for name, p in backbone.parameters_of("policy").items()})
        backbone.model.zero_grad()
    assert asked == ([since] if known else [])
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-5)
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-5, rtol=1e-4)


def test_the_block_is_itself_again_afterwards(made: tuple[Backbone, bool]) -> None:
    backbone, _ = made
    ids, mask = pad(ROWS, backbone.pad_id)
    before = backbone.hidden(ids, mask, "policy")
    backbone.hidden(ids, mask, "policy", since=3)
    assert torch.equal(backbone.hidden(ids, mask, "policy"), before)
