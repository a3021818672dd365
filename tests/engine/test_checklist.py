"""The rows of the correctness checklist that no other module holds, and that the page about it names real tests."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rlhf_lab.core.config import DpoConfig, PpoConfig, RewardConfig, RlooConfig, SftConfig
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.optimiser import Optimiser
from rlhf_lab.engine.ppo_state import Trainable
from rlhf_lab.engine.prompts import Asked
from rlhf_lab.engine.reward_scores import score_rows
from rlhf_lab.engine.rewards import RewardModel
from rlhf_lab.engine.sampler import noise_for, sample
from rlhf_lab.engine.scoring import Episodes
from tests.engine.conftest import perturb, prompt

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs" / "correctness.md"


def test_defaults_are_the_ones_that_are_known_to_work() -> None:
    ppo = PpoConfig()
    assert (ppo.gamma, ppo.gae_lambda) == (1.0, 0.95)
    assert (ppo.clip_range, ppo.value_clip_range, ppo.value_coef) == (0.2, 0.2, 0.1)
    assert (ppo.epochs, ppo.minibatches, ppo.max_grad_norm) == (4, 1, 1.0)
    assert (ppo.kl_coef, ppo.adaptive_kl, ppo.target_kl, ppo.kl_horizon) == (0.05, False, 6.0, 10_000)
    assert 0.7 <= ppo.temperature <= 1.0
    assert (ppo.missing_eos, ppo.missing_eos_penalty, ppo.whiten_rewards) == ("none", 1.0, False)
    assert ppo.value_warm_start
    assert (RlooConfig().epochs, RlooConfig().advantage, RlooConfig().kl_loss_coef) == (1, "leave_one_out", 0.0)
    assert (RewardConfig().normalise, RewardConfig().ties, RewardConfig().centre_coef) == (True, "half", 0.0)
    assert (DpoConfig().beta, DpoConfig().loss, DpoConfig().label_smoothing) == (0.1, "sigmoid", 0.0)
    assert {config().dtype for config in (SftConfig, RewardConfig, DpoConfig, PpoConfig, RlooConfig)} == {"fp32"}


def test_a_long_gradient_is_scaled_down_before_it_reaches_the_moments() -> None:
    weight = torch.nn.Parameter(torch.zeros(4))
    optimiser = Optimiser({"w": weight}, max_grad_norm=1.0)
    weight.grad = torch.tensor([3.0, 4.0, 0.0, 0.0])
    assert optimiser.step(0.1) == pytest.approx(5.0), "the norm that is told is that before clipping"
    first_moment = optimiser.tensors()["exp_avg/w"] / (1 - 0.9)
    assert first_moment.tolist() == pytest.approx([0.6, 0.8, 0.0, 0.0], rel=1e-4)


def test_a_short_gradient_is_left_alone() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    optimiser = Optimiser({"w": weight}, max_grad_norm=1.0)
    weight.grad = torch.tensor([0.3, 0.4])
    assert optimiser.step(0.1) == pytest.approx(0.5)
    assert (optimiser.tensors()["exp_avg/w"] / (1 - 0.9)).tolist() == pytest.approx([0.3, 0.4], rel=1e-4)


def test_ppo_s_adam_has_the_eps_that_keeps_the_first_steps_short(backbone: Backbone) -> None:
    """With gradient g the first step of Adam is lr·g/(|g| + eps): for g = 1e-5 half a step at 1e-5, a whole one at 1e-8."""
    backbone.add_adapter("policy", r=2, alpha=4, seed=0)
    backbone.add_adapter("value", r=2, alpha=4, seed=1, head=True)
    trainable = Trainable(backbone, PpoConfig(learning_rate=0.1, value_learning_rate=0.1))
    for name in ("policy", "value"):
        before = {key: p.detach().clone() for key, p in backbone.parameters_of(name).items()}
        for parameter in backbone.parameters_of(name).values():
            parameter.grad = torch.full_like(parameter, 1e-5)
        trainable.step()
        for key, parameter in backbone.parameters_of(name).items():
            assert (before[key] - parameter).mean().item() == pytest.approx(0.05, rel=1e-2)


def test_sampling_reads_nothing_from_the_model_s_generation_config(load: Callable[..., Backbone]) -> None:
    answers = []
    for leak in (False, True):
        backbone = load()
        if leak:
            backbone.model.generation_config.update(
                do_sample=True, top_k=1, top_p=0.1, temperature=0.01, repetition_penalty=5.0, max_new_tokens=1
            )
        found = sample(
            backbone,
            [[5, 6, 7], [9]],
            adapter=None,
            temperature=1.0,
            max_new_tokens=20,
            noise=noise_for(torch.Generator().manual_seed(0), 20, 2),
            tick=lambda: None,
        )
        answers.append(found)
    assert answers[0] == answers[1]


def test_sampled_ids_are_scored_and_not_their_text(backbone: Backbone) -> None:
    """Two tokens that spell one: text would come back as other ids."""
    tokenizer = backbone.tokenizer
    apart = [tokenizer.convert_tokens_to_ids(letter) for letter in "tea"]
    together = tokenizer.encode(tokenizer.decode(apart), add_special_tokens=False)
    assert together != apart, "the example needs a word that training would never spell so"
    backbone.add_adapter("reward", r=4, alpha=8, seed=0, head=True)
    perturb(backbone, "reward")
    end = tokenizer.eos_token_id
    source = RewardModel(backbone, 0.0, 1.0, 4)
    found = source(Episodes(Asked([prompt("?")], [[5, 6]]), [[*apart, end]]), lambda: None)
    as_sampled, as_text = score_rows(backbone, "reward", [[5, 6, *apart, end], [5, 6, *together, end]]).tolist()
    assert found.item() == pytest.approx(as_sampled, abs=1e-5)
    assert abs(as_sampled - as_text) > 1e-3


def test_the_page_of_the_checklist_names_tests_that_there_are() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 30
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (CHECKOUT / file).is_file() or f"def {test}" not in (CHECKOUT / file).read_text(encoding="utf-8")
    ]
    assert not missing
