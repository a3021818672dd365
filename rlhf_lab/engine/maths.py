"""The tensor arithmetic of on-policy learning: pure functions, no model, no state.

B answers, T token places (padding anywhere), V vocabulary. ``mask`` is true at the tokens of an answer,
its end token included; what stands at other places never reaches a result. Functions without a mask work
place by place, so that the caller decides over how many tokens a mean runs.

Sources: Schulman et al. 2017 (PPO), Schulman et al. 2015 (GAE), Ziegler et al. 2019 (rewards, adaptive β),
Huang et al. 2024 (implementation details), Schulman 2020 (k1, k3), Ahmadian et al. 2024 (RLOO), Shao et al. 2024 (GRPO).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``x`` [B, T] over the true places of ``mask`` [B, T]: a scalar."""
    return torch.where(mask, x, 0).sum() / mask.sum()


def masked_row_sum(x: Tensor, mask: Tensor) -> Tensor:
    """Sum of ``x`` [B, T] over each answer: [B]."""
    return torch.where(mask, x, 0).sum(dim=1)


def masked_whiten(x: Tensor, mask: Tensor, *, shift_mean: bool = True) -> Tensor:
    """``x`` [B, T] scaled to unit (biased) variance; without ``shift_mean`` the mean stays. 0 outside the mask."""
    mean = masked_mean(x, mask)
    variance = masked_mean((x - mean).square(), mask)
    white = (x - mean) * torch.rsqrt(variance + 1e-8)
    return torch.where(mask, white if shift_mean else white + mean, 0)


def selective_log_softmax(logits: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """log p of ``ids`` [...] under ``logits`` [..., V]: [...]; and log p of every token: [..., V]."""
    table = logits.log_softmax(-1)
    return table.gather(-1, ids.unsqueeze(-1)).squeeze(-1), table


def selective_slope(table: Tensor, ids: Tensor) -> Tensor:
    """∂ log p of ``ids`` [...] / ∂ logits [..., V], written over ``table``, the log p of every token [..., V]."""
    return table.exp_().neg_().scatter_add_(-1, ids.unsqueeze(-1), table.new_ones(*ids.shape, 1))


def entropy(table: Tensor) -> Tensor:
    """Entropy in nats: [...], of log-probabilities [..., V]."""
    return -(table.exp() * table).sum(-1)


def in_double(x: Tensor) -> Tensor:
    """x in float64; on the CPU where its device has none (Apple's GPUs)."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def sampling_z(logprobs: Tensor, entropy: Tensor, mask: Tensor) -> float:
    """How far sampled tokens are from as surprising as the policy's entropy says, in standard errors; all [B, T].

    Under exact sampling −log π − H is a martingale difference, so the sum over all tokens has mean 0 and its squares say
    its variance; a sampler that cuts the tail or sharpens gives a negative number that grows with the tokens. A
    policy that is sure surprises too seldom to show its spread: hence at least 2 nats² for each nat of entropy.
    """
    off = in_double(torch.where(mask, -logprobs - entropy, 0))
    variance = max(off.square().sum().item(), 2 * masked_row_sum(entropy, mask).sum().item())
    return off.sum().item() / math.sqrt(variance) if variance > 0 else 0.0


def k1(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """log π − log π_ref of each sampled token: unbiased for KL(π‖π_ref), may be negative."""
    return logprobs - ref_logprobs


def k3(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """r − 1 − log r with r = π_ref/π: unbiased for the same KL, never negative."""
    log_r = ref_logprobs - logprobs
    # expm1 keeps the small values that exp(x) − 1 would round to 0, but rounding may still give −1e-9.
    return (torch.expm1(log_r) - log_r).clamp(min=0)


def missing_eos(scores: Tensor, ended: Tensor, how: Literal["none", "replace", "subtract"], penalty: float) -> Tensor:
    """``scores`` [B] after what is done to answers that hit the length limit (``ended`` [B] false)."""
    if how == "replace":
        return torch.where(ended, scores, -penalty)
    if how == "subtract":
        return torch.where(ended, scores, scores - penalty)
    return scores


def token_rewards(scores: Tensor, logprobs: Tensor, ref_logprobs: Tensor, mask: Tensor, kl_coef: float) -> Tensor:
    """−β·k1 at each token, plus the answer's score [B] at its last valid token: [B, T], a constant for autograd."""
    rewards = torch.where(mask, -kl_coef * k1(logprobs, ref_logprobs), 0).detach()
    places = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    last = torch.where(mask, places, -1).amax(dim=1)
    return rewards + torch.where(places == last.unsqueeze(1), scores.unsqueeze(1), 0).detach()


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantages and returns (advantage + value), both [B, T] and 0 outside the mask.

    ``values`` [B, T] are V(state before the token). After the last token the value is 0: an answer ends
    there, by itself or at the limit.
    """
    advantages = torch.zeros_like(rewards)
    next_value = rewards.new_zeros(rewards.shape[0])
    running = rewards.new_zeros(rewards.shape[0])
    for t in reversed(range(rewards.shape[1])):
        here = mask[:, t]
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        running = torch.where(here, delta + gamma * lam * running, running)
        next_value = torch.where(here, values[:, t], next_value)
        advantages[:, t] = torch.where(here, running, 0)
    return advantages, torch.where(mask, advantages + values, 0)


def group_advantages(
    rewards: Tensor, size: int, *, baseline: Literal["leave_one_out", "group_mean"], normalise: bool = False
) -> Tensor:
    """How much better each answer is than the others to its prompt: [B], ``size`` neighbours to each prompt.

    leave_one_out: r_i − mean of the others = k/(k−1)·(r_i − r̄), unbiased. ``normalise`` divides by the group's (sample)
    deviation, which makes prompts of small spread count as much as others. Answers of one score get 0.
    """
    groups = rewards.view(-1, size)
    advantages = groups - groups.mean(dim=1, keepdim=True)
    if baseline == "leave_one_out":
        advantages = advantages * size / (size - 1)
    if normalise:
        advantages = advantages / (groups.std(dim=1, keepdim=True) + 1e-4)
    return advantages.flatten()


@dataclass(frozen=True)
class Moments:
    """Mean and spread of all values seen so far, joined batch by batch (Chan et al. 1979) in double precision."""

    count: int
    mean: float
    squares: float
    """Summed squared distances from the mean."""

    def with_(self, values: Tensor) -> "Moments":
        """These and ``values``."""
        new = in_double(values)
        count = self.count + new.numel()
        apart = new.mean().item() - self.mean
        within = (new - new.mean()).square().sum().item()
        return Moments(
            count,
            self.mean + apart * new.numel() / count,
            self.squares + within + apart**2 * self.count * new.numel() / count,
        )

    def normalised(self, values: Tensor) -> Tensor:
        """``values`` with this mean at 0 and this (biased) deviation at 1; 0 where nothing varied."""
        return (values - self.mean) / math.sqrt(self.squares / self.count + 1e-8)


NOTHING_SEEN = Moments(0, 0.0, 0.0)


def correlation(x: Tensor, y: Tensor) -> float:
    """Pearson's, of two [B]; 0 where one does not vary."""
    x, y = x - x.mean(), y - y.mean()
    scale = (x.square().sum() * y.square().sum()).sqrt().item()
    return (x * y).sum().item() / scale if scale > 0 else 0.0


def clipped_policy_loss(
    logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, clip_range: float
) -> tuple[Tensor, Tensor]:
    """PPO's pessimistic surrogate for each token, and whether clipping changed it: both [...]."""
    ratio = torch.exp(logprobs - old_logprobs)
    free = -advantages * ratio
    held = -advantages * ratio.clamp(1 - clip_range, 1 + clip_range)
    return torch.maximum(free, held), held > free


def clipped_value_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip_range: float) -> tuple[Tensor, Tensor]:
    """Half the larger squared error, of the value and of the value held near the old one; and whether that was it."""
    free = (values - returns).square()
    held = (old_values + (values - old_values).clamp(-clip_range, clip_range) - returns).square()
    return 0.5 * torch.maximum(free, held), held > free


def approx_kl(logprobs: Tensor, old_logprobs: Tensor) -> Tensor:
    """½·(log-ratio)² of each token: the size of a step, [...]."""
    return 0.5 * (logprobs - old_logprobs).square()


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """1 − Var(returns − values)/Var(returns) over the mask; 0 where the returns do not vary."""
    actual, missed = returns[mask], (returns - values)[mask]
    variance = actual.var(correction=0).item()
    return 1 - missed.var(correction=0).item() / variance if variance > 0 else 0.0


def adapted_kl_coef(kl_coef: float, kl: float, target: float, horizon: int, episodes: int) -> float:
    """β after ``episodes`` answers with mean KL ``kl`` a response (Ziegler et al. 2019, §2.2)."""
    error = min(max(kl / target - 1, -0.2), 0.2)
    return kl_coef * (1 + error * episodes / horizon)


def repetition(answers: Sequence[Sequence[int]], n: int = 4) -> float:
    """Mean share of an answer's ``n``-grams that occurred before in it; shorter answers count 0."""
    shares = []
    for answer in answers:
        grams = [tuple(answer[i : i + n]) for i in range(len(answer) - n + 1)]
        shares.append(1 - len(set(grams)) / len(grams) if grams else 0.0)
    return sum(shares) / len(shares) if shares else 0.0
