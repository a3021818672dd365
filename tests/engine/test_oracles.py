"""Every oracle holds for the engine as it is, and sees the fault that it is there for."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from rlhf_lab.core.config import DpoConfig
from rlhf_lab.engine import adapters, dpo, maths, reward_loss, rollout, sampler, scoring
from rlhf_lab.engine.adapter_set import AdapterSet
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.optimiser import Optimiser
from rlhf_lab.engine.oracles import arithmetic, bandit, direct, forward, update, whole_runs
from rlhf_lab.engine.oracles.bench import Bench
from rlhf_lab.engine.oracles.checks import EVERY, QUICK, Check
from rlhf_lab.engine.oracles.oracle import Oracle

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.mark.usefixtures("warm_children")
@pytest.mark.parametrize("check", [check for check in EVERY if check not in QUICK], ids=lambda check: check.__name__)
def test_it_holds(check: Check, bench: Bench) -> None:
    """The slow ones; the others are held, all of them, where `rlhf-lab selfcheck` is tested."""
    rows = list(check(bench))
    assert rows
    assert not [row for row in rows if not row.ok]


@pytest.mark.parametrize(
    ("obtained", "relation", "ok"),
    [
        (1.05, "=", True),
        (1.15, "=", False),
        (0.85, "=", False),
        (-9, "≤", True),
        (1.15, "≤", False),
        (9, "≥", True),
        (0.85, "≥", False),
        (float("nan"), "=", False),
        (float("nan"), "≤", False),
        (float("-inf"), "≤", False),
    ],
)
def test_what_it_means_to_hold(obtained: float, relation: Any, ok: bool) -> None:
    assert Oracle("", 1, obtained, 0.1, "", relation).ok is ok


def test_the_bandit_is_not_trivial(bench: Bench) -> None:
    task = bandit.make(bench)
    assert bandit.kl(task.reference, task.optimum) > 0.3
    assert task.optimum.exp().max() < 0.9, "the best policy is no single answer"


def whiten_padding_too(patch: Patch) -> None:
    patch.setattr(maths, "masked_mean", lambda x, mask: x.mean())


def whiten_unbiased(patch: Patch) -> None:
    real = maths.masked_whiten

    def biased(x: Tensor, mask: Tensor, **options: Any) -> Tensor:
        count = mask.sum()
        mean = 0 if options.get("shift_mean", True) else maths.masked_mean(x, mask)
        return torch.where(mask, (real(x, mask, **options) - mean) * ((count - 1) / count).sqrt() + mean, 0)

    patch.setattr(maths, "masked_whiten", biased)


def forget_where_answers_end(patch: Patch) -> None:
    real = maths.gae
    patch.setattr(maths, "gae", lambda r, v, mask, gamma, lam: real(r, v, torch.ones_like(mask), gamma, lam))


def turn_k3_around(patch: Patch) -> None:
    patch.setattr(maths, "k3", lambda p, q: torch.expm1(p - q) - (p - q))


def score_on_padding(patch: Patch) -> None:
    def at_the_edge(scores: Tensor, logp: Tensor, ref: Tensor, mask: Tensor, beta: float) -> Tensor:
        rewards = torch.where(mask, -beta * (logp - ref), 0)
        rewards[:, -1] += scores
        return rewards

    patch.setattr(maths, "token_rewards", at_the_edge)


def clip_optimistically(patch: Patch) -> None:
    patch.setattr(torch, "maximum", torch.minimum)


def count_ties_as_wins(patch: Patch) -> None:
    real = reward_loss.bradley_terry
    patch.setattr(arithmetic, "bradley_terry", lambda c, r, margin, tie: real(c, r, margin, torch.zeros_like(tie)))


def leave_dropout_on(patch: Patch) -> None:
    real = AdapterSet.add

    def training(self: AdapterSet, *given: Any, **options: Any) -> None:
        real(self, *given, **options)
        self._model.train()

    patch.setattr(AdapterSet, "add", training)


def use_another_reference(patch: Patch) -> None:
    real = AdapterSet.select
    patch.setattr(AdapterSet, "select", lambda self, name: real(self, name or next(iter(self._scales), None)))


def count_positions_from_the_edge(patch: Patch) -> None:
    real = Backbone.hidden
    patch.setattr(Backbone, "hidden", lambda self, ids, mask, *told: real(self, ids, torch.ones_like(mask), *told))


def read_one_token_early(patch: Patch) -> None:
    real = scoring.pack

    def early(*given: Any) -> Any:
        batch = real(*given)
        batch.last.sub_(1)
        return batch

    patch.setattr(scoring, "pack", early)


def pad_with_the_end(patch: Patch) -> None:
    patch.setattr(Backbone, "pad_id", property(lambda self: 1, lambda self, value: None), raising=False)


def forget_the_temperature(patch: Patch) -> None:
    real = maths.selective_log_softmax
    patch.setattr(maths, "selective_log_softmax", lambda logits, ids: real(logits * 0.7, ids))


def merge_a_little_more(patch: Patch) -> None:
    real = adapters.delta
    patch.setattr(adapters, "delta", lambda layer, a, b, scale: real(layer, a, b, 1.01 * scale))


def let_top_k_leak(patch: Patch) -> None:
    real = sampler.draw

    def top(logits: Tensor, temperature: float, noise: Tensor) -> Tensor:
        least = logits.topk(12).values[:, -1:]
        return real(logits.masked_fill(logits < least, -torch.inf), temperature, noise)

    patch.setattr(sampler, "draw", top)


def sample_hotter(patch: Patch) -> None:
    real = sampler.draw
    patch.setattr(sampler, "draw", lambda logits, temperature, noise: real(logits, 1.2 * temperature, noise))


def adapters_in_bf16(patch: Patch) -> None:
    real = AdapterSet.add

    def lower(self: AdapterSet, name: str, *given: Any, **options: Any) -> None:
        real(self, name, *given, **options)
        for layer in self._layers[name].values():
            layer.lora_A[name].to(layer.get_base_layer().weight.dtype)

    patch.setattr(AdapterSet, "add", lower)


def sample_and_score_at_other_temperatures(patch: Patch) -> None:
    real = scoring.score_tokens
    patch.setattr(
        rollout, "score_tokens", lambda *given, temperature, **options: real(*given, temperature=1.0, **options)
    )


def average_each_micro_batch(patch: Patch) -> None:
    real = maths.clipped_policy_loss

    def averaged(logp: Tensor, *given: Any) -> tuple[Tensor, Tensor]:
        loss, clipped = real(logp, *given)
        return loss / len(logp), clipped

    patch.setattr(maths, "clipped_policy_loss", averaged)


def compare_with_everyone(patch: Patch) -> None:
    real = maths.group_advantages
    patch.setattr(maths, "group_advantages", lambda r, size, **options: real(r, size, baseline="group_mean"))


def see_the_other_answer(patch: Patch) -> None:
    real = dpo.branches

    def all_before(*given: Any) -> Any:
        ids, sees, positions, ends = real(*given)
        return ids, torch.ones_like(sees).tril(), positions, ends

    patch.setattr(dpo, "branches", all_before)


def leave_the_end_out(patch: Patch) -> None:
    real = dpo.token_logprobs
    patch.setattr(
        dpo,
        "token_logprobs",
        lambda backbone, states, ids, **options: real(backbone, states, ids, **options) * (ids != 1),
    )


def average_over_tokens(patch: Patch) -> None:
    real = dpo.preference_loss
    patch.setattr(
        direct,
        "preference_loss",
        lambda p, q, lengths, wrong, config: real(p / lengths, q / lengths, lengths, wrong, config),
    )


def draw_with_replacement(patch: Patch) -> None:
    def weights(scores: Tensor, n: int) -> Tensor:
        count = scores.shape[1]
        ranks = scores.argsort(dim=1).argsort(dim=1).double()
        return ((ranks + 1) / count) ** n - (ranks / count) ** n

    patch.setattr(direct, "best_weights", weights)


def punish_twice(patch: Patch) -> None:
    real = maths.token_rewards
    patch.setattr(maths, "token_rewards", lambda *given: real(*given[:-1], 2 * given[-1]))


def learn_with_a_tenth_of_beta(patch: Patch) -> None:
    real = dpo.preference_loss

    def weaker(p: Tensor, q: Tensor, lengths: Tensor, wrong: Tensor, config: DpoConfig) -> Tensor:
        return real(p, q, lengths, wrong, config.model_copy(update={"beta": config.beta / 10}))

    patch.setattr(dpo, "preference_loss", weaker)


def forget_the_moments(patch: Patch) -> None:
    real = Optimiser.restore
    patch.setattr(
        Optimiser, "restore", lambda self, found: real(self, {k: t for k, t in found.items() if k.startswith("weight")})
    )


FAULTS: list[tuple[Callable[[Patch], None], Check]] = [
    (whiten_padding_too, arithmetic.whitening),
    (whiten_unbiased, arithmetic.whitening),
    (forget_where_answers_end, arithmetic.advantages),
    (turn_k3_around, arithmetic.divergence),
    (score_on_padding, arithmetic.rewards_of_tokens),
    (clip_optimistically, arithmetic.ppo_losses),
    (count_ties_as_wins, arithmetic.preferences),
    (leave_dropout_on, forward.reference),
    (use_another_reference, forward.reference),
    (count_positions_from_the_edge, forward.layout),
    (read_one_token_early, forward.readings),
    (pad_with_the_end, forward.readings),
    (forget_the_temperature, forward.readings),
    (merge_a_little_more, forward.merging),
    (let_top_k_leak, forward.sampling),
    (sample_hotter, forward.sampling),
    (adapters_in_bf16, forward.precision),
    (sample_and_score_at_other_temperatures, update.first_update),
    (average_each_micro_batch, update.cutting_up),
    (whiten_padding_too, update.after_the_end),
    (compare_with_everyone, update.leave_one_out),
    (average_over_tokens, direct.preference_losses),
    (see_the_other_answer, direct.answers_of_pairs),
    (leave_the_end_out, direct.answers_of_pairs),
    (draw_with_replacement, direct.best_of_n),
    (punish_twice, bandit.rloo_bandit),
    (learn_with_a_tenth_of_beta, bandit.dpo_bandit),
    (forget_the_moments, whole_runs.resuming),
]


@pytest.mark.parametrize(("plant", "check"), FAULTS, ids=lambda part: part.__name__)
def test_it_sees_a_planted_fault(
    plant: Callable[[Patch], None], check: Check, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        plant(patch)
        assert any(not row.ok for row in check(bench))
