"""Where the scores of a policy's answers come from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from rlhf_lab.core.config import BestOfNConfig, PpoConfig, RlooConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Warned
from rlhf_lab.core.naming import STAGE_NAMES
from rlhf_lab.engine import adapters
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.chat import same_tokenizer
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.reward_builtin import LengthReward, exact_reward, pattern_reward
from rlhf_lab.engine.reward_function import start_reward_function
from rlhf_lab.engine.scoring import Episodes, score_by_head

SourceName = Literal["model", "function", "length", "regex", "exact"]
Scoring = PpoConfig | RlooConfig | BestOfNConfig
"""The configs of stages that score answers."""
_WEIGHED = {"reward_model": "reward_model_weight", "reward_function": "reward_function_weight"}


class RewardSource(Protocol):
    """Scores whole answers. It gets the sampled ids and the prompts as asked, and calls ``tick`` in long work."""

    def __call__(self, episodes: Episodes, tick: Callable[[], None]) -> Tensor:
        """One score an answer: [B], fp32."""
        ...


@dataclass(frozen=True)
class RewardModel:
    """A trained reward adapter; scores are (raw − mean) / std, the scale that its run stored with it.

    ``caution`` times the standard deviation of an ensemble's heads, on that scale, is taken off: where the heads
    disagree the model guesses, and a policy would learn to be where it guesses high (Coste et al. 2023).
    """

    backbone: Backbone
    mean: float
    std: float
    micro_batch_size: int
    caution: float = 0.0

    def __call__(self, episodes: Episodes, tick: Callable[[], None]) -> Tensor:
        """[B]"""
        raw = score_by_head(self.backbone, episodes, "reward", micro_batch_size=self.micro_batch_size, tick=tick)
        scores = (raw - self.mean) / self.std
        return scores.mean(-1) - self.caution * scores.std(-1, correction=0)


@dataclass(frozen=True)
class Weighted:
    """A source times its weight, on the policy's device; ``name`` says which of the config's sources it is."""

    name: SourceName
    source: RewardSource
    weight: float
    device: torch.device

    def __call__(self, episodes: Episodes, tick: Callable[[], None]) -> Tensor:
        """[B]"""
        return self.weight * self.source(episodes, tick).to(self.device)


def load_rewards(policy: Backbone, config: Scoring, parts: Parts) -> list[Weighted]:
    """Every source that the config names, to be summed; processes of theirs end when the list goes."""
    tokenizer = policy.tokenizer
    sources: list[tuple[SourceName, RewardSource, float]] = []
    if parts.reward_adapter is not None:
        sources.append(("model", load_reward_model(policy, config, parts), config.reward_model_weight))
    if config.reward_function:
        if parts.reward_function is None:
            raise LabError("The run has no copy of its reward function. Start a new run.")
        limit = config.reward_function_seconds
        function = start_reward_function(parts.reward_function, config.reward_function, limit, tokenizer)
        function.load(parts.control.tick)
        sources.append(("function", function, config.reward_function_weight))
    if config.length_weight:
        sources.append(("length", LengthReward(config.length_target), config.length_weight))
    if config.regex_weight:
        sources.append(("regex", pattern_reward(config.regex, tokenizer), config.regex_weight))
    if config.exact_weight:
        sources.append(("exact", exact_reward(parts.records, tokenizer), config.exact_weight))
    if not sources:
        raise LabError(
            f"{STAGE_NAMES[config.stage]} needs something that scores answers: a reward model, a reward function, or a "
            "built-in reward."
        )
    return [Weighted(name, source, weight, policy.device) for name, source, weight in sources]


def idle_weights(config: Scoring) -> Iterator[Warned]:
    """What to say of weights that a person has set and that weigh nothing."""
    for source, weight in _WEIGHED.items():
        value = getattr(config, weight)
        if value != type(config).model_fields[weight].default and not getattr(config, source):
            yield Warned(
                code="idle_weight",
                text=f"{weight} = {value:g} weighs nothing, since no {source} is set: the score has no such part.",
            )
    if config.regex and not config.regex_weight:
        yield Warned(code="idle_weight", text="regex counts nothing, since regex_weight is 0.")


def load_reward_model(policy: Backbone, config: Scoring, parts: Parts) -> RewardModel:
    """The run's reward model: an adapter on the policy's backbone where it was trained on those weights.

    Else its own base is loaded beside it, which must read token ids as the policy does.
    """
    folder = parts.reward_adapter
    if folder is None:
        stage = STAGE_NAMES[config.stage]
        raise LabError(f"{stage} needs a reward model. Train one on the Reward pane, then choose it here.")
    lab = adapters.read_lab(folder)
    backbone = policy if lab.get("base_hash") == policy.base_hash else _own_backbone(policy, config, parts)
    backbone.load_adapter("reward", folder, head=True)
    return RewardModel(backbone, *score_scale(lab), config.micro_batch_size, config.uncertainty_coef)


def score_scale(lab: dict[str, object]) -> tuple[float, float]:
    """Mean and deviation of raw scores as ``lab.json`` stores them; 0 and 1 for a reward model without."""
    mean, std = lab.get("score_mean", 0.0), lab.get("score_std", 1.0)
    if not isinstance(mean, int | float) or not isinstance(std, int | float) or not std > 0:
        raise LabError(f"The reward model's score scale is damaged (mean {mean!r}, deviation {std!r}). Train it again.")
    return float(mean), float(std)


def _own_backbone(policy: Backbone, config: Scoring, parts: Parts) -> Backbone:
    if parts.reward_model is None:
        raise LabError(
            f"The reward model in {parts.reward_adapter} was trained on other weights than the policy starts from, "
            "and its base model is not there. Start both from the same run, or train the reward model again."
        )
    own = Backbone.load(
        parts.reward_model, start_adapters=parts.reward_start_adapters, dtype=config.dtype, device=config.device
    )
    if not same_tokenizer(policy.tokenizer, own.tokenizer):
        raise LabError(
            f"The reward model's base ({parts.reward_model}) has another tokenizer than the policy's ({parts.model}): "
            "it could not read the sampled tokens. Train a reward model on the policy's base."
        )
    return own
