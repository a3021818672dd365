"""Learning from one rollout: rewards and advantages once, then epochs of clipped steps.

Deviations from the reference implementations: policy and critic are two adapters on one frozen base with a
gradient clip each; the loss is a mean over the tokens of the whole minibatch, so the micro-batch
changes nothing; every metric is over the tokens of answers, never over padding.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.engine import maths
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.finite import require_finite
from rlhf_lab.engine.ppo_state import Trainable
from rlhf_lab.engine.rollout import Rollout
from rlhf_lab.engine.scoring import Episodes, pack, states_before, token_logprobs


@dataclass(frozen=True)
class Targets:
    """What the rollout asks of policy and critic; all [B, R] and 0 outside the mask but ``rlhf_reward`` [B]."""

    advantages: Tensor
    returns: Tensor
    rlhf_reward: Tensor


def targets_of(rollout: Rollout, config: PpoConfig, kl_coef: float) -> Targets:
    """Scores and KL made into per-token rewards, advantages (whitened over the batch) and returns."""
    scores = maths.missing_eos(rollout.scores, rollout.ended, config.missing_eos, config.missing_eos_penalty)
    rewards = maths.token_rewards(scores, rollout.logprobs, rollout.ref_logprobs, rollout.mask, kl_coef)
    rlhf_reward = maths.masked_row_sum(rewards, rollout.mask)
    if config.whiten_rewards:
        rewards = maths.masked_whiten(rewards, rollout.mask, shift_mean=False)
    advantages, returns = maths.gae(rewards, rollout.values, rollout.mask, config.gamma, config.gae_lambda)
    return Targets(maths.masked_whiten(advantages, rollout.mask), returns, rlhf_reward)


def learn(
    backbone: Backbone,
    trainable: Trainable,
    rollout: Rollout,
    targets: Targets,
    config: PpoConfig,
    *,
    generator: torch.Generator,
    tick: Callable[[], None],
) -> dict[str, float]:
    """All epochs and minibatches; the metrics of the steps taken. Raises `NotFinite` before a bad step."""
    seen = _Seen()
    for _ in range(config.epochs):
        for rows in minibatches(len(rollout.episodes), config.minibatches, generator):
            seen.begin()
            _accumulate(backbone, rollout, targets, config, rows, seen, tick)
            seen.finish(*trainable.step())
    return seen.metrics()


def minibatches(episodes: int, count: int, generator: torch.Generator) -> list[list[int]]:
    """All rows in a seeded order, split into ``count`` parts whose sizes differ by one at most."""
    order = torch.randperm(episodes, generator=generator)
    return [part.tolist() for part in order.tensor_split(count)]


def _accumulate(
    backbone: Backbone,
    rollout: Rollout,
    targets: Targets,
    config: PpoConfig,
    rows: list[int],
    seen: "_Seen",
    tick: Callable[[], None],
) -> None:
    """Gradients of one minibatch, micro-batch by micro-batch."""
    tokens = int(rollout.mask[rows].sum())
    for part in rollout.episodes.micro_batches(config.micro_batch_size, backbone.tokens_at_once, rows):
        tick()
        batch = pack(backbone, rollout.episodes, part)
        mask = rollout.mask[part]

        def at(dense: Tensor, part: list[int] = part, mask: Tensor = mask) -> Tensor:
            return dense[part][mask]

        # Policy and critic one after the other: only one graph is alive at a time.
        states = states_before(backbone, batch, "policy")
        logprobs = token_logprobs(backbone, states, batch.targets, config.temperature)
        old = at(rollout.logprobs)
        loss, clipped = maths.clipped_policy_loss(logprobs, old, at(targets.advantages), config.clip_range)
        (loss.sum() / tokens).backward()
        seen.policy(loss.detach(), clipped, logprobs.detach(), old, tokens)

        values = backbone.head("value", states_before(backbone, batch, "value")).float()
        loss, clipped = maths.clipped_value_loss(
            values, at(rollout.values), at(targets.returns), config.value_clip_range
        )
        (config.value_coef * loss.sum() / tokens).backward()
        seen.value(loss.detach(), clipped, tokens)
    require_finite({"the policy loss": seen.sums["loss/policy_avg"], "the value loss": seen.sums["loss/value_avg"]})


class _Seen:
    """Sums over the steps of one update; each step's means weigh the same, however it was cut up."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self._steps = 0
        self._log_ratio_max = torch.zeros(())
        self._first_dev = torch.zeros(())

    def begin(self) -> None:
        self._steps += 1

    def policy(self, loss: Tensor, clipped: Tensor, logprobs: Tensor, old: Tensor, tokens: int) -> None:
        log_ratio = (logprobs - old).abs().max().cpu()
        if self._steps == 1:
            self._first_dev = torch.maximum(self._first_dev, (torch.exp(logprobs - old) - 1).abs().max().cpu())
        self._log_ratio_max = torch.maximum(self._log_ratio_max, log_ratio)
        self._add("loss/policy_avg", loss, tokens)
        self._add("policy/clipfrac_avg", clipped, tokens)
        self._add("policy/approxkl_avg", maths.approx_kl(logprobs, old), tokens)

    def value(self, loss: Tensor, clipped: Tensor, tokens: int) -> None:
        self._add("loss/value_avg", loss, tokens)
        self._add("val/clipfrac_avg", clipped, tokens)

    def finish(self, policy_norm: float, value_norm: float) -> None:
        self._add("optim/grad_norm", torch.tensor([policy_norm]), 1)
        self._add("optim/grad_norm_value", torch.tensor([value_norm]), 1)

    def metrics(self) -> dict[str, float]:
        return {name: total.item() / self._steps for name, total in self.sums.items()} | {
            "policy/ratio_first_dev": self._first_dev.item(),
            "policy/log_ratio_max": self._log_ratio_max.item(),
        }

    def _add(self, name: str, per_token: Tensor, tokens: int) -> None:
        self.sums[name] = self.sums.get(name, 0) + per_token.sum() / tokens


def describe(rollout: Rollout, targets: Targets, kl_coef: float) -> dict[str, float]:
    """What the rollout says of policy, reward and critic, before anything is learned from it."""
    mask, episodes = rollout.mask, rollout.episodes
    kl = maths.k1(rollout.logprobs, rollout.ref_logprobs)
    return {
        "objective/scores": rollout.scores.mean().item(),
        "objective/scores_sd": rollout.scores.std(correction=0).item(),
        "objective/rlhf_reward": targets.rlhf_reward.mean().item(),
        "objective/kl": maths.masked_row_sum(kl, mask).mean().item(),
        "objective/kl_k3": maths.masked_row_sum(maths.k3(rollout.logprobs, rollout.ref_logprobs), mask).mean().item(),
        "objective/kl_per_token": maths.masked_mean(kl, mask).item(),
        "objective/kl_coef": kl_coef,
        "objective/entropy": maths.masked_mean(rollout.entropy, mask).item(),
        "val/explained_variance": maths.explained_variance(rollout.values, targets.returns, mask),
        "val/eos_rate": rollout.ended.float().mean().item(),
        "val/response_length": _mean_length(episodes),
        "val/repetition": maths.repetition(episodes.answer_ids),
    }


def _mean_length(episodes: Episodes) -> float:
    lengths = episodes.lengths()
    return sum(lengths) / len(lengths)
