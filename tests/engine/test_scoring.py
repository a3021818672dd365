"""Log-probabilities, values and scores of sampled ids, against whole forwards done the plain way."""

import pytest
import torch

from rlhf_lab.engine import scoring
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.prompts import Asked
from rlhf_lab.engine.scoring import Episodes, pack, score_answers, score_tokens, score_values, token_logprobs
from tests.engine.conftest import perturb, prompt

PROMPTS = [[5, 20, 33, 41], [9], [7, 8, 9, 10, 11, 12, 13], [3, 90]]
ANSWERS = [[30, 31, 1], [44, 45, 46, 47, 48, 49], [1], [60, 1]]


def episodes() -> Episodes:
    return Episodes(Asked([prompt("?")] * 4, PROMPTS), ANSWERS)


def trained(backbone: Backbone) -> Backbone:
    for seed, name in enumerate(["policy", "value", "reward"]):
        backbone.add_adapter(name, r=4, alpha=8, seed=seed, head=name != "policy")
        perturb(backbone, name, seed)
    return backbone


def quiet() -> None:
    """A tick that asks for nothing."""


def test_logprobs_and_entropy_are_those_of_a_plain_full_softmax(backbone: Backbone):
    trained(backbone)
    logprobs, entropy = score_tokens(backbone, episodes(), "policy", temperature=0.7, micro_batch_size=2, tick=quiet)
    for row, (asked, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
        ids, mask = pad([asked + answer], backbone.pad_id)
        with torch.no_grad():
            table = (backbone.logits(backbone.hidden(ids, mask, "policy"))[0] / 0.7).log_softmax(-1)
        for t, token in enumerate(answer):
            before = table[len(asked) + t - 1]
            assert logprobs[row, t].item() == pytest.approx(before[token].item(), abs=1e-5)
            assert entropy[row, t].item() == pytest.approx(-(before.exp() * before).sum().item(), abs=1e-5)
    padding = ~episodes().answer_mask(backbone.device)
    assert not logprobs[padding].any()
    assert not entropy[padding].any()


def test_values_are_read_before_each_token_and_scores_at_the_last_valid_one(backbone: Backbone):
    trained(backbone)
    values = score_values(backbone, episodes(), "value", micro_batch_size=2, tick=quiet)
    scores = score_answers(backbone, episodes(), "reward", micro_batch_size=3, tick=quiet)
    for row, (asked, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
        ids, mask = pad([asked + answer], backbone.pad_id)
        with torch.no_grad():
            states = backbone.head("value", backbone.hidden(ids, mask, "value"))[0]
            last = backbone.head("reward", backbone.hidden(ids, mask, "reward"))[0, -1]
        expected = states[len(asked) - 1 : -1].tolist()
        assert values[row, : len(answer)].tolist() == pytest.approx(expected, abs=1e-5)
        assert not values[row, len(answer) :].any()
        assert scores[row].item() == pytest.approx(last.item(), abs=1e-5)


def test_the_padding_side_changes_no_logprob(backbone: Backbone):
    trained(backbone)
    ours, _ = score_tokens(backbone, episodes(), "policy", temperature=1.0, micro_batch_size=4, tick=quiet)
    ids, mask = pad([a + b for a, b in zip(PROMPTS, ANSWERS, strict=True)], backbone.pad_id, side="left")
    with torch.no_grad():
        table = backbone.logits(backbone.hidden(ids, mask, "policy")).log_softmax(-1)
    for row, answer in enumerate(ANSWERS):
        picked = [table[row, -len(answer) - 1 + t, token].item() for t, token in enumerate(answer)]
        assert ours[row, : len(answer)].tolist() == pytest.approx(picked, abs=1e-5)


def test_cutting_the_vocabulary_work_up_changes_neither_value_nor_gradient(backbone: Backbone, monkeypatch):
    trained(backbone)
    batch = pack(backbone, episodes(), range(4))
    states = scoring.states_before(backbone, batch, "policy").detach().requires_grad_()
    weights = torch.linspace(-1, 2, len(batch.targets))
    plain = (backbone.logits(states) / 0.7).log_softmax(-1).gather(1, batch.targets[:, None])[:, 0]
    (expected,) = torch.autograd.grad((plain * weights).sum(), states)
    for at_once in (2**24, 3 * len(backbone.tokenizer)):
        monkeypatch.setattr(scoring, "LOGITS_AT_ONCE", at_once)
        ours = token_logprobs(backbone, states, batch.targets, 0.7)
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)
        (gradient,) = torch.autograd.grad((ours * weights).sum(), states)
        torch.testing.assert_close(gradient, expected, atol=1e-5, rtol=1e-5)


def test_scoring_without_a_wish_for_gradients_builds_no_graph(backbone: Backbone):
    trained(backbone)
    logprobs, entropy = score_tokens(backbone, episodes(), "policy", temperature=1.0, micro_batch_size=4, tick=quiet)
    assert not logprobs.requires_grad
    assert not entropy.requires_grad


def test_micro_batches_hold_every_row_once_and_rows_alike_in_length():
    found = episodes().micro_batches(2, 1000, [0, 1, 3])
    assert sorted(row for group in found for row in group) == [0, 1, 3]
    assert {frozenset(group) for group in found} == {frozenset({0, 1}), frozenset({3})}
