"""RLOO with LoRA: several answers to each prompt, each compared with the others (Ahmadian et al. 2024). No critic.

The reward of an answer is its score less β times its KL, a sum over its tokens; its advantage is the same at all of
them. GRPO is this stage with the mean of all as the baseline, scores divided by their spread, and the KL (k3) in
the loss. As with PPO, ratios are clipped token by token and the loss is the mean over the tokens of the
minibatch: no answer's tokens count for less because it is long, which published GRPO does.
"""

from collections.abc import Iterator, Sequence

import torch

from rlhf_lab.core.config import RlooConfig
from rlhf_lab.core.events import AnyEvent
from rlhf_lab.engine import maths, on_policy
from rlhf_lab.engine.on_policy_run import Algorithm
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.ppo_update import Targets, rewards_of
from rlhf_lab.engine.rewards import RewardSource
from rlhf_lab.engine.rollout import Rollout


def train(config: RlooConfig, parts: Parts, rewards: Sequence[RewardSource] | None = None) -> Iterator[AnyEvent]:
    """The stage; see `rlhf_lab.engine.stages`. ``rewards`` instead of those that the config names are summed."""
    algorithm = Algorithm(
        targets=lambda rollout, kl_coef, _: targets_of(rollout, config, kl_coef), answers=config.samples
    )
    yield from on_policy.train(config, parts, algorithm, rewards)


def targets_of(rollout: Rollout, config: RlooConfig, kl_coef: float) -> Targets:
    """Scores and KL made into rewards, and each answer's advantage over the others to its prompt."""
    rewards = rewards_of(rollout, rollout.scores, config, kl_coef)
    advantages = maths.group_advantages(
        rewards.sum(dim=1), config.samples, baseline=config.advantage, normalise=config.normalise_advantage
    )
    return Targets(torch.where(rollout.mask, advantages.unsqueeze(1), 0), None, rewards)
