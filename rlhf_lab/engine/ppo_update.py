"""Learning from one rollout: rewards and advantages once, then epochs of clipped steps.

RLOO takes the same steps with advantages of its own and without a critic.

Deviations from the reference implementations: policy and critic are two adapters on one frozen base with a
gradient clip each; the loss is a mean over the tokens of the whole minibatch, so the micro-batch
changes nothing; every metric is over the tokens of answers, never over padding.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rlhf_lab.core.config import PpoConfig, RlooConfig
from rlhf_lab.core.settings import OnPolicyRun
from rlhf_lab.engine import maths
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.finite import require_finite
from rlhf_lab.engine.ppo_state import Trainable
from rlhf_lab.engine.rollout import Rollout
from rlhf_lab.engine.scoring import pack, states_before, token_logprobs


@dataclass(frozen=True)
class Targets:
    """What the rollout asks of policy and critic; all [B, R] and 0 outside the mask."""

    advantages: Tensor
    returns: Tensor | None
    """what the critic is to foresee; None without one"""
    rewards: Tensor
    """−β·k1 at each token, and the score at the last"""

    @property
    def rlhf_reward(self) -> Tensor:
        """[B], what an answer brings in all."""
        return self.rewards.sum(dim=1)


def targets_of(
    rollout: Rollout, config: PpoConfig, kl_coef: float, before: maths.Moments = maths.NOTHING_SEEN
) -> Targets:
    """Scores and KL made into per-token rewards, advantages (whitened over the batch) and returns.

    ``before``: of the scores of all earlier rollouts.
    """
    assert rollout.values is not None, "PPO has a critic"
    scores = rollout.scores
    if config.normalise_rewards != "none":
        seen = before if config.normalise_rewards == "running" else maths.NOTHING_SEEN
        scores = seen.with_(scores).normalised(scores)
    rewards = rewards_of(rollout, scores, config, kl_coef)
    learned = maths.masked_whiten(rewards, rollout.mask, shift_mean=False) if config.whiten_rewards else rewards
    advantages, returns = maths.gae(learned, rollout.values, rollout.mask, config.gamma, config.gae_lambda)
    return Targets(maths.masked_whiten(advantages, rollout.mask), returns, rewards)


def rewards_of(rollout: Rollout, scores: Tensor, config: OnPolicyRun, kl_coef: float) -> Tensor:
    """−β·k1 at each token, plus what the answer's score [B] is worth at its last: [B, R]."""
    worth = maths.missing_eos(scores, rollout.ended, config.missing_eos, config.missing_eos_penalty)
    return maths.token_rewards(worth, rollout.logprobs, rollout.ref_logprobs, rollout.mask, kl_coef)


def learn(
    backbone: Backbone,
    trainable: Trainable,
    rollout: Rollout,
    targets: Targets,
    config: PpoConfig | RlooConfig,
    *,
    generator: torch.Generator,
    tick: Callable[[], None],
) -> dict[str, float]:
    """All epochs and minibatches; the metrics of the steps taken. Raises `NotFinite` before a bad step.

    With ``early_stop_kl`` the first minibatch on which the policy has moved farther is not learned from, and is the last.
    """
    seen = _Seen()
    for _ in range(config.epochs):
        for rows in minibatches(len(rollout.episodes), config.minibatches, generator):
            approx_kl = _accumulate(backbone, rollout, targets, config, rows, seen, tick)
            if seen.steps and 0 < config.early_stop_kl < approx_kl:
                trainable.forget_gradients()
                return seen.metrics()
            seen.stepped(trainable.step())
    return seen.metrics()


def minibatches(episodes: int, count: int, generator: torch.Generator) -> list[list[int]]:
    """All rows in a seeded order, split into ``count`` parts whose sizes differ by one at most."""
    order = torch.randperm(episodes, generator=generator)
    return [part.tolist() for part in order.tensor_split(count)]


def _accumulate(
    backbone: Backbone,
    rollout: Rollout,
    targets: Targets,
    config: PpoConfig | RlooConfig,
    rows: list[int],
    seen: "_Seen",
    tick: Callable[[], None],
) -> float:
    """Gradients of one minibatch, micro-batch by micro-batch; how far the policy is from the one that sampled."""
    tokens = int(rollout.mask[rows].sum())
    seen.begin()
    first = rollout.first_pass
    row = None if first is None else first.checked()
    if first is None or row is None:
        parts = rollout.episodes.micro_batches(config.micro_batch_size, backbone.tokens_at_once, rows)
    else:
        parts = first.groups
        seen.first(*_again(backbone, rollout, config, row))
    for group, part in enumerate(parts):
        tick()
        batch = pack(backbone, rollout.episodes, part)
        mask = rollout.mask[part]

        def at(dense: Tensor, part: list[int] = part, mask: Tensor = mask) -> Tensor:
            return dense[part][mask]

        # Policy and critic one after the other: only one graph is alive at a time.
        logprobs = None if first is None else first.take("policy", group)
        if logprobs is None:
            states = states_before(backbone, batch, "policy")
            logprobs = token_logprobs(backbone, states, batch.targets, config.temperature)
        old = at(rollout.logprobs)
        loss, clipped = maths.clipped_policy_loss(logprobs, old, at(targets.advantages), config.clip_range)
        summed = loss.sum()
        if isinstance(config, RlooConfig):
            away = maths.k3(logprobs, at(rollout.ref_logprobs))
            seen.reference(away.detach(), tokens)
            if config.kl_loss_coef:
                summed = summed + config.kl_loss_coef * away.sum()
        (summed / tokens).backward()
        logprobs = logprobs.detach()
        seen.first(logprobs, old)
        seen.policy(loss.detach(), clipped, logprobs, old, tokens)

        if targets.returns is None or rollout.values is None or not isinstance(config, PpoConfig):
            continue
        values = None if first is None else first.take("value", group)
        if values is None:
            values = backbone.head("value", states_before(backbone, batch, "value")).float()
        loss, clipped = maths.clipped_value_loss(
            values, at(rollout.values), at(targets.returns), config.value_clip_range
        )
        (config.value_coef * loss.sum() / tokens).backward()
        seen.value(loss.detach(), clipped, tokens)
    require_finite({words: seen.sums[name] for name, words in _LOSSES.items() if name in seen.sums})
    return seen.approx_kl()


@torch.no_grad()
def _again(backbone: Backbone, rollout: Rollout, config: PpoConfig | RlooConfig, row: int) -> tuple[Tensor, Tensor]:
    """log π of one answer's tokens by a pass of its own, and as the rollout has them: equal, or something is wrong."""
    batch = pack(backbone, rollout.episodes, [row])
    states = states_before(backbone, batch, "policy")
    found = token_logprobs(backbone, states, batch.targets, config.temperature)
    return found, rollout.logprobs[row][rollout.mask[row]]


_LOSSES = {
    "loss/policy_avg": "the policy loss",
    "loss/kl_avg": "the KL loss",
    "loss/value_avg": "the value loss",
}


class _Seen:
    """Sums over the minibatches of one update; the means of each weigh the same, however it was cut up."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self._norms: list[dict[str, float]] = []
        self._looked = 0
        self._approx_kl_before = 0.0
        self._log_ratio_max = torch.zeros(())
        self._first_dev = torch.zeros(())

    @property
    def steps(self) -> int:
        """Taken so far."""
        return len(self._norms)

    def begin(self) -> None:
        self._looked += 1
        self._approx_kl_before = self._sum("policy/approxkl_avg")

    def first(self, logprobs: Tensor, old: Tensor) -> None:
        """How far the first step's log-probabilities are from those of the rollout; of later steps nothing."""
        if self._looked == 1:
            self._first_dev = torch.maximum(self._first_dev, (torch.exp(logprobs - old) - 1).abs().max().cpu())

    def policy(self, loss: Tensor, clipped: Tensor, logprobs: Tensor, old: Tensor, tokens: int) -> None:
        log_ratio = (logprobs - old).abs().max().cpu()
        self._log_ratio_max = torch.maximum(self._log_ratio_max, log_ratio)
        self._add("loss/policy_avg", loss, tokens)
        self._add("policy/clipfrac_avg", clipped, tokens)
        self._add("policy/approxkl_avg", maths.approx_kl(logprobs, old), tokens)

    def value(self, loss: Tensor, clipped: Tensor, tokens: int) -> None:
        self._add("loss/value_avg", loss, tokens)
        self._add("val/clipfrac_avg", clipped, tokens)

    def reference(self, k3: Tensor, tokens: int) -> None:
        self._add("loss/kl_avg", k3, tokens)

    def approx_kl(self) -> float:
        """Of the minibatch that was looked at last."""
        return self._sum("policy/approxkl_avg") - self._approx_kl_before

    def stepped(self, norms: dict[str, float]) -> None:
        self._norms.append(norms)

    def metrics(self) -> dict[str, float]:
        found = {name: total.item() / self._looked for name, total in self.sums.items()}
        for adapter in self._norms[0]:
            name = "optim/grad_norm" if adapter == "policy" else f"optim/grad_norm_{adapter}"
            found[name] = sum(norms[adapter] for norms in self._norms) / len(self._norms)
        return found | {
            "policy/steps": float(self.steps),
            "policy/ratio_first_dev": self._first_dev.item(),
            "policy/log_ratio_max": self._log_ratio_max.item(),
        }

    def _sum(self, name: str) -> float:
        return float(self.sums.get(name, 0.0))

    def _add(self, name: str, per_token: Tensor, tokens: int) -> None:
        self.sums[name] = self.sums.get(name, 0) + per_token.sum() / tokens


def describe(rollout: Rollout, targets: Targets, kl_coef: float) -> dict[str, float]:
    """What the rollout says of policy, reward and critic, before anything is learned from it."""
    mask, episodes = rollout.mask, rollout.episodes
    kl = maths.k1(rollout.logprobs, rollout.ref_logprobs)
    lengths = torch.tensor(episodes.lengths(), dtype=torch.float, device=mask.device)
    found = {
        "objective/scores": rollout.scores.mean().item(),
        "objective/scores_sd": rollout.scores.std(correction=0).item(),
        "objective/rlhf_reward": targets.rlhf_reward.mean().item(),
        "objective/kl": maths.masked_row_sum(kl, mask).mean().item(),
        "objective/kl_k3": maths.masked_row_sum(maths.k3(rollout.logprobs, rollout.ref_logprobs), mask).mean().item(),
        "objective/kl_per_token": maths.masked_mean(kl, mask).item(),
        "objective/kl_coef": kl_coef,
        "objective/entropy": maths.masked_mean(rollout.entropy, mask).item(),
        "policy/sampling_z": maths.sampling_z(rollout.logprobs, rollout.entropy, mask),
        "val/eos_rate": rollout.ended.float().mean().item(),
        "val/response_length": lengths.mean().item(),
        "val/length_score_corr": maths.correlation(lengths, rollout.scores),
        "val/repetition": maths.repetition(episodes.answer_ids),
    }
    found |= {f"objective/scores_{name}": part.mean().item() for name, part in rollout.by_source.items()}
    if targets.returns is not None and rollout.values is not None:
        found["val/explained_variance"] = maths.explained_variance(rollout.values, targets.returns, mask)
    return found


def distributions(rollout: Rollout, targets: Targets) -> dict[str, Tensor]:
    """What is drawn as a histogram of every update: one value an answer, or for advantages a token."""
    kl = maths.k1(rollout.logprobs, rollout.ref_logprobs)
    return {
        "rollout/scores": rollout.scores,
        "rollout/lengths": rollout.mask.sum(dim=1).float(),
        "rollout/kl": maths.masked_row_sum(kl, rollout.mask),
        "rollout/advantages": targets.advantages[rollout.mask],
    }


def by_token(rollout: Rollout, targets: Targets) -> dict[str, Tensor]:
    """What is shown of every token of an answer: [B, R] each."""
    found = {
        "kl": maths.k1(rollout.logprobs, rollout.ref_logprobs),
        "advantage": targets.advantages,
        "reward": targets.rewards,
    }
    return found if rollout.values is None else found | {"value": rollout.values}
