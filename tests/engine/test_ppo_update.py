"""One update of the real code: first-update identities, what must not matter, what must not be touched."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.engine import maths
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.finite import NotFinite
from rlhf_lab.engine.ppo_state import Trainable
from rlhf_lab.engine.ppo_update import describe, learn, minibatches, targets_of
from rlhf_lab.engine.prompts import Asked
from rlhf_lab.engine.rewards import RewardModel, RewardSource
from rlhf_lab.engine.rollout import Rollout, sample_episodes, score_episodes
from rlhf_lab.engine.scoring import Episodes
from tests.engine.conftest import perturb, prompt

ASKED = Asked([prompt("?")] * 6, [[5, 20, 33, 41], [9], [7, 8, 9, 10, 11, 12, 13], [3, 90], [70, 71, 72], [200] * 5])
SETTINGS = {
    "batch_size": 6,
    "micro_batch_size": 4,
    "max_new_tokens": 12,
    "lora_r": 4,
    "lora_alpha": 8,
    "learning_rate": 3e-3,
    "value_learning_rate": 3e-3,
    "epochs": 1,
}


def quiet() -> None:
    """A tick that asks for nothing."""


def tea(episodes: Episodes, tick: Callable[[], None]) -> torch.Tensor:
    """A reward of known shape: small ids are good."""
    return torch.tensor([1 - sum(answer) / (100 * len(answer)) for answer in episodes.answer_ids])


def config(**changes: object) -> PpoConfig:
    return PpoConfig(**(SETTINGS | changes))


def with_roles(backbone: Backbone, seed: int = 0) -> Backbone:
    """Fresh policy; critic and reward model that say something."""
    backbone.add_adapter("policy", r=4, alpha=8, seed=seed)
    backbone.add_adapter("value", r=4, alpha=8, seed=seed + 1, head=True)
    perturb(backbone, "value", seed)
    return backbone


def roll(
    backbone: Backbone,
    given: PpoConfig,
    rewards: Sequence[RewardSource] = (tea,),
    *,
    temperature: float = 2.0,
    asked: Asked = ASKED,
) -> Rollout:
    """Hot answers, so that some end early."""
    hot = given.model_copy(update={"temperature": temperature})
    episodes = sample_episodes(backbone, asked, hot, generator=torch.Generator().manual_seed(3), tick=quiet)
    return score_episodes(backbone, episodes, rewards, given, quiet)


def learned(backbone: Backbone, rollout: Rollout, given: PpoConfig) -> dict[str, float]:
    targets = targets_of(rollout, given, given.kl_coef)
    return learn(
        backbone,
        Trainable(backbone, given),
        rollout,
        targets,
        given,
        generator=torch.Generator().manual_seed(1),
        tick=quiet,
    )


def weights(backbone: Backbone, name: str) -> dict[str, torch.Tensor]:
    return {key: p.detach().clone() for key, p in backbone.parameters_of(name).items()}


def test_a_fresh_policy_is_the_reference(backbone: Backbone):
    rollout = roll(with_roles(backbone), config())
    assert torch.equal(rollout.logprobs, rollout.ref_logprobs)
    found = describe(rollout, targets_of(rollout, config(), 0.05), 0.05)
    assert found["objective/kl"] == found["objective/kl_k3"] == found["objective/kl_per_token"] == 0.0
    assert found["objective/rlhf_reward"] == pytest.approx(found["objective/scores"], abs=1e-6)


def test_a_rollout_has_answers_of_mixed_lengths_and_says_which_ended(backbone: Backbone):
    many = Asked(ASKED.prompts * 5, ASKED.ids * 5)
    rollout = roll(with_roles(backbone), config(max_new_tokens=40), temperature=4.0, asked=many)
    lengths = rollout.episodes.lengths()
    assert len(set(lengths)) > 2
    assert rollout.mask.sum(1).tolist() == lengths
    eos = backbone.tokenizer.eos_token_id
    assert rollout.ended.tolist() == [answer[-1] == eos for answer in rollout.episodes.answer_ids]
    assert all(rollout.ended[i] or n == 40 for i, n in enumerate(lengths))


def test_the_first_step_has_ratio_one_and_clips_nothing(backbone: Backbone):
    with_roles(backbone)
    perturb(backbone, "policy", size=0.05)
    found = learned(backbone, roll(backbone, config()), config())
    assert found["policy/ratio_first_dev"] < 1e-6
    assert found["policy/clipfrac_avg"] == 0
    assert found["policy/approxkl_avg"] < 1e-12
    assert found["val/clipfrac_avg"] == 0
    assert found["policy/log_ratio_max"] < 1e-6


def test_later_epochs_move_away_from_the_sampling_policy(backbone: Backbone):
    found = learned(with_roles(backbone), roll(backbone, config()), config(epochs=4, learning_rate=0.03))
    assert found["policy/ratio_first_dev"] < 1e-6
    assert found["policy/log_ratio_max"] > 1e-3
    assert found["policy/approxkl_avg"] > 1e-7


def test_the_first_gradient_is_the_plain_policy_gradient(backbone: Backbone, monkeypatch: pytest.MonkeyPatch):
    """∇ of −mean over all answer tokens of A·log π, written out row by row; and of the value error."""
    with_roles(backbone)
    perturb(backbone, "policy", size=0.05)
    given = config(temperature=0.8, max_grad_norm=1e6)
    rollout = roll(backbone, given)
    targets = targets_of(rollout, given, 0.05)
    caught: dict[str, dict[str, torch.Tensor]] = {}
    real = Trainable.step

    def catch(self: Trainable) -> dict[str, float]:
        for name in ("policy", "value"):
            caught[name] = {key: p.grad.clone() for key, p in backbone.parameters_of(name).items()}
        return real(self)

    before = Trainable(backbone, given)
    start = before.snapshot()
    monkeypatch.setattr(Trainable, "step", catch)
    learned(backbone, rollout, given)
    before.restore(start)

    total = int(rollout.mask.sum())
    loss = torch.zeros(())
    for row, (asked, answer) in enumerate(zip(ASKED.ids, rollout.episodes.answer_ids, strict=True)):
        ids, mask = pad([asked + answer], backbone.pad_id)
        place = slice(len(asked) - 1, len(asked) + len(answer) - 1)
        table = (backbone.logits(backbone.hidden(ids, mask, "policy"))[0, place] / 0.8).log_softmax(-1)
        logp = table[range(len(answer)), answer]
        values = backbone.head("value", backbone.hidden(ids, mask, "value"))[0, place]
        loss = loss - (logp * targets.advantages[row, : len(answer)]).sum() / total
        loss = loss + given.value_coef * 0.5 * (values - targets.returns[row, : len(answer)]).square().sum() / total
    loss.backward()
    for name in ("policy", "value"):
        for key, parameter in backbone.parameters_of(name).items():
            torch.testing.assert_close(caught[name][key], parameter.grad, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("size", [1, 3, 6])
def test_the_micro_batch_changes_nothing(load: Callable[[], Backbone], size: int):
    results = []
    for micro in (2, size):
        backbone = with_roles(load())
        given = config(micro_batch_size=micro, epochs=2, minibatches=2)
        found = learned(backbone, roll(backbone, config(micro_batch_size=2)), given)
        results.append((found, weights(backbone, "policy"), weights(backbone, "value")))
    (one, policy, value), (other, other_policy, other_value) = results
    assert other == pytest.approx(one, rel=1e-3, abs=2e-6)
    # Adam turns tiny differences of near-zero gradients into at most a fraction of a step.
    torch.testing.assert_close(other_policy, policy, atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(other_value, value, atol=2e-4, rtol=1e-3)


def test_what_stands_after_the_end_of_an_answer_reaches_no_metric_and_no_weight(load: Callable[[], Backbone]):
    """Garbage, NaN too, at every padded place of the rollout: all numbers stay as they were."""
    results = []
    for dirt in (None, 1e9, float("nan")):
        backbone = with_roles(load())
        given = config(epochs=2, missing_eos="subtract", whiten_rewards=True)
        rollout = roll(backbone, given, temperature=4.0)
        assert not rollout.mask.all()
        if dirt is not None:
            for dense in (rollout.logprobs, rollout.ref_logprobs, rollout.values, rollout.entropy):
                dense[~rollout.mask] = dirt
        found = describe(rollout, targets_of(rollout, given, 0.1), 0.1) | learned(backbone, rollout, given)
        results.append((found, weights(backbone, "policy"), weights(backbone, "value")))
    for found, policy, value in results[1:]:
        assert found == results[0][0]
        assert all(torch.equal(tensor, results[0][1][key]) for key, tensor in policy.items())
        assert all(torch.equal(tensor, results[0][2][key]) for key, tensor in value.items())


def test_targets_by_hand():
    """γ 1, λ 1, no critic: an advantage is what is still to come, whitened over all tokens."""
    mask = torch.tensor([[True, True], [True, False]])
    rollout = Rollout(
        episodes=Episodes(Asked([prompt("?")] * 2, [[5], [6]]), [[7, 1], [8]]),
        mask=mask,
        logprobs=torch.tensor([[-1.0, -1.0], [-2.0, 0.0]]),
        ref_logprobs=torch.tensor([[-2.0, -1.0], [-2.0, 0.0]]),
        entropy=torch.zeros(2, 2),
        values=torch.zeros(2, 2),
        scores=torch.tensor([4.0, 9.0]),
        ended=torch.tensor([True, False]),
    )
    given = config(gae_lambda=1.0, missing_eos="replace", missing_eos_penalty=2.0)
    found = targets_of(rollout, given, 0.5)
    assert found.returns.tolist() == [[3.5, 4.0], [-2.0, 0.0]]
    assert found.rlhf_reward.tolist() == [3.5, -2.0]
    expected = maths.masked_whiten(torch.tensor([[3.5, 4.0], [-2.0, 0.0]]), mask)
    torch.testing.assert_close(found.advantages, expected)


def test_reference_and_reward_model_stay_as_they_are_and_the_critic_and_policy_learn(
    load: Callable[[], Backbone], tmp_path: Path
):
    maker = load()
    maker.add_adapter("reward", r=4, alpha=8, seed=9, head=True)
    perturb(maker, "reward", 9)
    maker.save_adapter("reward", tmp_path / "reward", {"stage": "reward"})
    backbone = with_roles(load())
    backbone.load_adapter("reward", tmp_path / "reward", head=True)
    source = RewardModel(backbone, mean=0.3, std=2.0, micro_batch_size=4)
    given = config(epochs=3)
    rollout = roll(backbone, given, (source,))
    frozen = weights(backbone, "reward")
    base = {k: v.clone() for k, v in backbone.model.state_dict().items() if "lora" not in k}
    policy, value = weights(backbone, "policy"), weights(backbone, "value")
    learned(backbone, rollout, given)
    assert all(torch.equal(p, frozen[k]) for k, p in backbone.parameters_of("reward").items())
    assert all(torch.equal(v, base[k]) for k, v in backbone.model.state_dict().items() if k in base)
    assert any(not torch.equal(p, policy[k]) for k, p in backbone.parameters_of("policy").items())
    assert any(not torch.equal(p, value[k]) for k, p in backbone.parameters_of("value").items())
    again = score_episodes(backbone, rollout.episodes, (source,), given, quiet)
    assert torch.equal(again.ref_logprobs, rollout.ref_logprobs)
    assert torch.equal(again.scores, rollout.scores)
    assert not torch.equal(again.logprobs, rollout.logprobs)
    trained = {n for n in ("policy", "value", "reward") for p in backbone.parameters_of(n).values() if p.requires_grad}
    assert trained == {"policy", "value"}
    assert not any(p.requires_grad for k, p in backbone.model.named_parameters() if "lora" not in k)


def test_policy_and_critic_do_not_touch_each_other(load: Callable[[], Backbone]):
    """Without a value coefficient the critic stands still and the policy learns the same, bit for bit."""
    results = []
    for coefficient in (0.0, 5.0):
        backbone = with_roles(load())
        given = config(epochs=2, value_coef=coefficient)
        learned(backbone, roll(backbone, given), given)
        results.append((weights(backbone, "policy"), weights(backbone, "value")))
    (still_policy, still), (policy, moved) = results
    assert all(torch.equal(tensor, policy[key]) for key, tensor in still_policy.items())
    assert any(not torch.equal(tensor, moved[key]) for key, tensor in still.items())


@pytest.mark.parametrize("count", [1, 2, 4])
def test_minibatches_hold_every_episode_once(count: int):
    parts = minibatches(6, count, torch.Generator().manual_seed(0))
    assert sorted(row for part in parts for row in part) == list(range(6))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_number_that_is_none_is_named_before_it_reaches_a_weight(backbone: Backbone):
    with_roles(backbone)
    with pytest.raises(NotFinite, match="the scores"):
        roll(backbone, config(), (lambda episodes, tick: torch.full((6,), torch.nan),))
    rollout = roll(backbone, config())
    before = weights(backbone, "policy")
    targets = targets_of(rollout, config(), 0.05)
    broken = replace(targets, advantages=targets.advantages * torch.inf)
    with pytest.raises(NotFinite, match="the policy loss"):
        learn(
            backbone,
            Trainable(backbone, config()),
            rollout,
            broken,
            config(),
            generator=torch.Generator().manual_seed(0),
            tick=quiet,
        )
    assert all(torch.equal(p, before[k]) for k, p in backbone.parameters_of("policy").items())
