"""Pretraining from scratch: packing, learning, and the same seed giving the same weights."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from rlhf_lab.engine.pretrain import pack, pretrain

TINY = LlamaConfig(
    vocab_size=16,
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=2,
    max_position_embeddings=32,
    tie_word_embeddings=True,
)


def run(seed: int) -> tuple[LlamaForCausalLM, list[float]]:
    losses: list[float] = []
    rows = torch.tensor([[(start + i) % 16 for i in range(12)] for start in range(16)] * 40)
    model = pretrain(
        TINY, rows, seed=seed, batch_size=8, learning_rate=1e-2, on_step=lambda step, steps, loss: losses.append(loss)
    )
    return model, losses


def test_rows_begin_with_a_document_and_are_cut_to_length() -> None:
    packed = pack(iter([[1, 2, 3], [4, 5], [6, 7, 8, 9], [1] * 9]), [0], 6, 2)
    assert packed.tolist() == [[1, 2, 3, 0, 4, 5], [6, 7, 8, 9, 0, 1]]


def test_too_little_text_is_said() -> None:
    with pytest.raises(ValueError, match="fill 0 rows"):
        pack([[1, 2]], [0], 8, 1)


def test_it_learns_to_count_and_the_seed_decides() -> None:
    model, losses = run(1)
    assert losses[0] > 2.5 > 0.5 > losses[-1]
    again, _ = run(1)
    other, _ = run(2)
    assert torch.equal(model.lm_head.weight, again.lm_head.weight)
    assert not torch.equal(model.lm_head.weight, other.lm_head.weight)
    assert not model.training
