"""One batch of experience: answers sampled, then scored by every role, before anything is learned from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rlhf_lab.core.settings import BaseRun, OnPolicyRun
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.finite import require_finite
from rlhf_lab.engine.first_pass import FirstPass
from rlhf_lab.engine.prompts import Asked
from rlhf_lab.engine.rewards import RewardSource, Weighted
from rlhf_lab.engine.sampler import noise_for, sample
from rlhf_lab.engine.scoring import Episodes, score_tokens, score_values


@dataclass(frozen=True)
class Rollout:
    """B answers, R the longest; what stands where ``mask`` is false is 0 and means nothing."""

    episodes: Episodes
    mask: Tensor
    """[B, R]"""
    logprobs: Tensor
    """[B, R], of the sampling policy, by the training forward: the first ratio is 1"""
    ref_logprobs: Tensor
    """[B, R]"""
    entropy: Tensor
    """[B, R]"""
    values: Tensor | None
    """[B, R], of the state before each token; None without a critic"""
    scores: Tensor
    """[B], as the reward sources gave them"""
    ended: Tensor
    """[B], whether the answer ended by itself"""
    by_source: Mapping[str, Tensor] = field(default_factory=dict)
    """[B] each: what every named reward source adds to the scores, where there are several"""
    first_pass: FirstPass | None = field(default=None, repr=False, compare=False)
    """what the first step can go back through"""


def temperature_of(config: BaseRun) -> float:
    """Of the run's answers: 1, the model as it is, for stages that do not learn from their own."""
    return float(getattr(config, "temperature", 1.0))


def sample_episodes(
    backbone: Backbone,
    asked: Asked,
    config: BaseRun,
    *,
    generator: torch.Generator,
    tick: Callable[[], None],
    adapter: str | None = "policy",
) -> Episodes:
    """One answer of ``adapter`` to each prompt."""
    answers = sample(
        backbone,
        list(asked.ids),
        adapter=adapter,
        temperature=temperature_of(config),
        max_new_tokens=config.max_new_tokens,
        noise=noise_for(generator, config.max_new_tokens, len(asked)),
        tick=tick,
    )
    return Episodes(asked, answers)


def score_episodes(
    backbone: Backbone,
    episodes: Episodes,
    rewards: Sequence[RewardSource],
    config: OnPolicyRun,
    tick: Callable[[], None],
    *,
    critic: bool = True,
    first_pass: FirstPass | None = None,
) -> Rollout:
    """Policy, reference, critic and rewards over the same ids, in the same layout that learning uses.

    ``first_pass`` keeps the graphs of policy and critic where there is room: for one `learn`, of these weights.
    """
    size = config.micro_batch_size

    def tokens(adapter: str | None) -> tuple[Tensor, Tensor]:
        return score_tokens(
            backbone, episodes, adapter, temperature=config.temperature, micro_batch_size=size, tick=tick
        )

    def values() -> Tensor:
        if first_pass is not None:
            return first_pass.score_values("value", tick)
        return score_values(backbone, episodes, "value", micro_batch_size=size, tick=tick)

    if first_pass is None:
        logprobs, entropy = tokens("policy")
    else:
        logprobs, entropy = first_pass.score_tokens("policy", config.temperature, tick)
    ref_logprobs, _ = tokens(None)
    scores = [reward(episodes, tick).to(backbone.device) for reward in rewards]
    named = [(reward.name, part) for reward, part in zip(rewards, scores, strict=True) if isinstance(reward, Weighted)]
    rollout = Rollout(
        episodes=episodes,
        mask=episodes.answer_mask(backbone.device),
        logprobs=logprobs,
        ref_logprobs=ref_logprobs,
        entropy=entropy,
        values=values() if critic else None,
        scores=torch.stack(scores).sum(dim=0),
        ended=ended(backbone, episodes),
        by_source=dict(named) if len(named) > 1 else {},
        first_pass=first_pass,
    )
    terms = {
        "the policy's log-probabilities": rollout.logprobs,
        "the reference's log-probabilities": rollout.ref_logprobs,
        "the scores": rollout.scores,
    }
    require_finite(terms if rollout.values is None else terms | {"the critic's values": rollout.values})
    return rollout


def total_score(rewards: Sequence[RewardSource], episodes: Episodes, tick: Callable[[], None]) -> Tensor:
    """The sum over all reward sources: [B]."""
    return torch.stack([reward(episodes, tick) for reward in rewards]).sum(dim=0)


def ended(backbone: Backbone, episodes: Episodes) -> Tensor:
    """Whether each answer closes with the end token: [B]."""
    eos = backbone.tokenizer.eos_token_id
    return torch.tensor([answer[-1] == eos for answer in episodes.answer_ids], device=backbone.device)
