"""RLOO and GRPO: advantages by hand, the run as a whole, exact resume, a planted NaN."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from rlhf_lab.core.config import RlooConfig
from rlhf_lab.core.events import Checkpointed, Event, Histogram, Metrics, Phase, Resumed, Samples
from rlhf_lab.engine import maths, rloo
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.ppo_state import Trainable
from rlhf_lab.engine.ppo_update import learn
from rlhf_lab.engine.prompts import Asked
from rlhf_lab.engine.rollout import Rollout, sample_episodes, score_episodes
from rlhf_lab.engine.scoring import Episodes, score_tokens
from tests.engine.conftest import ON_POLICY, perturb, prompt
from tests.engine.stage_runs import Counter, Person, StopAfterTicks, curves, last, metric, of, polled_at, run


def config(**changes: object) -> RlooConfig:
    return RlooConfig(**(ON_POLICY | changes))


def quiet() -> None:
    """A tick that asks for nothing."""


def short(episodes: Episodes, tick: Callable[[], None]) -> torch.Tensor:
    """Small ids are good."""
    return torch.tensor([1 - sum(answer) / (100 * len(answer)) for answer in episodes.answer_ids])


def test_an_answer_is_compared_with_the_others_to_its_prompt():
    rewards = torch.tensor([1.0, 2.0, 6.0, -1.0, -1.0, 5.0])
    found = maths.group_advantages(rewards, 3, baseline="leave_one_out")
    assert found.tolist() == [-3.0, -1.5, 4.5, -3.0, -3.0, 6.0]
    for i, reward in enumerate(rewards):
        others = [rewards[j] for j in range(6) if j != i and j // 3 == i // 3]
        assert found[i] == reward - sum(others) / 2
    torch.testing.assert_close(found.view(2, 3).sum(1), torch.zeros(2))
    mean = maths.group_advantages(rewards, 3, baseline="group_mean")
    torch.testing.assert_close(found, mean * 3 / 2)
    shifted = rewards + torch.tensor([10.0] * 3 + [-4.0] * 3)
    torch.testing.assert_close(maths.group_advantages(shifted, 3, baseline="leave_one_out"), found)


def test_grpo_divides_by_the_spread_of_the_prompt():
    rewards = torch.tensor([1.0, 2.0, 6.0, 100.0, 200.0, 600.0, 7.0, 7.0, 7.0])
    found = maths.group_advantages(rewards, 3, baseline="group_mean", normalise=True).view(3, 3)
    torch.testing.assert_close(found[0], torch.tensor([-2.0, -1.0, 3.0]) / math.sqrt(7), atol=1e-3, rtol=0)
    torch.testing.assert_close(found[1], found[0], atol=1e-3, rtol=0)
    assert found[2].tolist() == [0.0, 0.0, 0.0]


def test_targets_by_hand():
    """β·KL is taken off the score of the whole answer, and each token has the answer's advantage."""
    rollout = Rollout(
        episodes=Episodes(Asked([prompt("?")] * 2, [[5], [5]]), [[7, 1], [8]]),
        mask=torch.tensor([[True, True], [True, False]]),
        logprobs=torch.tensor([[-1.0, -1.0], [-2.0, 0.0]]),
        ref_logprobs=torch.tensor([[-2.0, -1.5], [-2.0, 0.0]]),
        entropy=torch.zeros(2, 2),
        values=None,
        scores=torch.tensor([4.0, 9.0]),
        ended=torch.tensor([True, False]),
    )
    given = config(batch_size=2, samples=2, missing_eos="replace", missing_eos_penalty=2.0)
    found = rloo.targets_of(rollout, given, 0.5)
    assert found.rewards.tolist() == [[-0.5, 3.75], [-2.0, 0.0]]
    assert found.rlhf_reward.tolist() == [3.25, -2.0]
    assert found.advantages.tolist() == [[5.25, 5.25], [-5.25, 0.0]]
    assert found.returns is None
    grpo = config(batch_size=2, samples=2, advantage="group_mean", normalise_advantage=True, missing_eos="none")
    held = rloo.targets_of(rollout, grpo, 0.0).advantages
    torch.testing.assert_close(held, torch.tensor([[-1.0, -1.0], [1.0, 0.0]]) / math.sqrt(2), atol=1e-3, rtol=0)
    assert (
        rloo.targets_of(rollout, config(batch_size=2, samples=2, advantage="group_mean"), 0.0).advantages[0, 0] == -2.5
    )


def test_a_run_says_what_it_should(given: Callable[..., Parts]):
    events = run(config(kl_loss_coef=0.1), given(judge=lambda asked, text: {"gold": float(len(text))}))
    assert [e.kind for e in events[:3]] == ["phase", "started", "progress"]
    assert last(events).outcome == "done"
    steps = [e for e in of(events, Metrics) if "objective/kl" in e.values]
    assert [e.step for e in steps] == [1, 2, 3, 4]
    for event in steps:
        assert all(math.isfinite(value) for value in event.values.values())
        assert not {
            name for name in event.values if "value" in name or "variance" in name or name.startswith("val/clip")
        }
        assert {"loss/kl_avg", "loss/policy_avg", "policy/clipfrac_avg", "optim/grad_norm"} <= set(event.values)
    assert metric(events, "episodes") == [8, 16, 24, 32]
    assert steps[0].values["objective/kl"] == 0
    assert steps[0].values["policy/ratio_first_dev"] < 1e-5
    looks = [e for e in of(events, Metrics) if "eval/gold" in e.values]
    assert [e.step for e in looks] == [0, 2, 4]
    assert len(list(of(events, Histogram))) == 16
    for samples in of(events, Samples):
        names = {"kl"} if samples.name == "heldout" else {"kl", "advantage", "reward"}
        assert all(set(row.per_token) == names for row in samples.rows)
        if samples.name == "rollout":
            # All eight are shown: two prompts, four answers to each.
            assert sorted([row.prompt for row in samples.rows].count(row.prompt) for row in samples.rows) == [4] * 8
            assert all(len(set(row.per_token["advantage"])) == 1 for row in samples.rows)


def test_what_the_reward_likes_becomes_likelier(given: Callable[..., Parts]):
    settings = config(updates=12, kl_coef=0.0, learning_rate=0.05, batch_size=32, minibatches=1, eval_every=0)
    events = list(rloo.train(settings, given(), [short]))
    scores, spread = metric(events, "objective/scores"), metric(events, "objective/scores_sd")[0]
    assert sum(scores[-3:]) / 3 > scores[0] + spread


def test_a_loss_on_kl_leads_back_to_the_reference(backbone: Backbone):
    """Without advantages there is nothing else to learn."""
    backbone.add_adapter("policy", r=4, alpha=8, seed=0)
    perturb(backbone, "policy", size=0.1)
    asked = Asked([prompt("?")] * 2, [[5, 20, 33, 41], [9]]).repeated(16)
    away = []
    for coefficient in (0.0, 1.0):
        given = config(batch_size=32, samples=16, kl_loss_coef=coefficient, learning_rate=3e-3, epochs=8, minibatches=1)
        episodes = sample_episodes(backbone, asked, given, generator=torch.Generator().manual_seed(3), tick=quiet)
        rollout = score_episodes(backbone, episodes, [short], given, quiet, critic=False)
        targets = rloo.targets_of(rollout, given, 0.0)
        nothing = replace(targets, advantages=torch.zeros_like(targets.advantages))
        trainable = Trainable(backbone, given)
        found = learn(backbone, trainable, rollout, nothing, given, generator=torch.Generator(), tick=quiet)
        assert found["loss/kl_avg"] > 0
        now, _ = score_tokens(backbone, episodes, "policy", temperature=1.0, micro_batch_size=32, tick=quiet)
        away.append(maths.masked_mean(maths.k3(now, rollout.ref_logprobs), rollout.mask).item())
    assert away[1] < 0.8 * away[0]


def test_stopped_in_mid_update_and_resumed_is_uninterrupted(given: Callable[..., Parts]):
    settings = config(warmup_steps=2, adaptive_kl=True, checkpoint_every=3, kl_loss_coef=0.1)
    counter = Counter()
    whole, polls = polled_at(rloo.train(settings, given("whole", control=counter)), counter)
    stops = {2: polls[2, "learning"] + 3, 4: polls[4, "sampling"] + 5}
    for update, ticks in stops.items():
        name = f"broken-{update}"
        first = run(settings, given(name, control=StopAfterTicks(ticks)))
        assert (last(first).outcome, last(first).step) == ("stopped", update - 1)
        assert list(of(first, Checkpointed))[-1].path == f"checkpoints/step-{update - 1}"
        again = run(settings, given(name, resume=True))
        assert next(of(again, Resumed)).step == update - 1
        assert last(again).outcome == "done"
        assert curves(first, again) == curves(whole)
        one, other = (given(n).folder / "adapter" / "adapter_model.safetensors" for n in ("whole", name))
        assert one.read_bytes() == other.read_bytes()


def test_a_person_changes_beta_and_the_learning_rate(given: Callable[..., Parts]):
    person = Person({2: {"kl_coef": 0.7, "learning_rate": 1e-5}})
    events = run(config(updates=3), given(control=person))
    assert metric(events, "objective/kl_coef") == [0.05, 0.7, 0.7]
    assert metric(events, "optim/learning_rate") == [3e-3, 1e-5, 1e-5]


def test_nan_stops_the_run_names_the_term_and_keeps_the_last_good_update(given: Callable[..., Parts]):
    calls = []

    def breaks(episodes: Episodes, tick: Callable[[], None]) -> torch.Tensor:
        calls.append(len(episodes))
        return short(episodes, tick) * (float("nan") if len(calls) == 4 else 1.0)  # a look, two good updates, this one

    events: list[Event] = list(rloo.train(config(eval_every=0, checkpoint_every=0), given(), [breaks]))
    end = last(events)
    assert (end.outcome, end.step) == ("failed", 2)
    assert "update 3" in end.message
    assert "scores" in end.message
    assert list(of(events, Checkpointed))[-1].path == "checkpoints/step-2"
    assert not [e for e in of(events, Phase) if (e.step, e.name) == (3, "learning")]
