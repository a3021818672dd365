"""How long the examples of a data set are, as far as that is known before a run: what its memory is reckoned from."""

from collections import Counter
from dataclasses import dataclass

from rlhf_lab.core.config import DpoConfig, RewardConfig, RunConfig, SftConfig
from rlhf_lab.core.settings import OnPolicyRun

_SHOWN = 16
"""Held-out prompts that an SFT run answers at once."""
_SCALED = 256
"""Answers that decide the scale of a reward model's scores."""


@dataclass(frozen=True)
class Lengths:
    """Tokens of some examples of the data, which stand for all; empty where nothing is known but the limits."""

    prompts: tuple[int, ...] = ()
    answers: tuple[tuple[int, ...], ...] = ()
    """Of each prompt: one to learn from, or the two of a pair. For stages that sample, what answers may be like."""

    def rows(self, config: RunConfig) -> list[int]:
        """Tokens of each example as the stage learns from it, under the run's limits."""
        most = config.max_new_tokens
        sides = 2 if isinstance(config, RewardConfig | DpoConfig) else 1
        if not self.prompts:
            return [config.max_prompt_tokens + sides * most]
        answers = self.answers or ((most,) * sides,)
        return [
            min(prompt, config.max_prompt_tokens)
            + sum(min(answer, most) for answer in answers[i % len(answers)][:sides])
            for i, prompt in enumerate(self.prompts)
        ]

    def longest_prompt(self, config: RunConfig) -> int:
        """Its tokens, under the run's limit."""
        return min(max(self.prompts, default=config.max_prompt_tokens), config.max_prompt_tokens)

    @staticmethod
    def asked_at_once(config: RunConfig) -> int:
        """Of how many prompts answers are sampled together."""
        if isinstance(config, SftConfig):
            return min(config.batch_size, _SHOWN)
        if isinstance(config, RewardConfig):  # for the scale of its scores
            return min(4 * (config.micro_batch_size or 2 * config.batch_size), _SCALED) if config.normalise else 0
        return config.batch_size

    def cached(self, config: RunConfig) -> int:
        """The most tokens in the cache of a sampled batch: answers that have ended are dropped from it."""
        prompt = self.longest_prompt(config)
        ends = [side for answer in self.answers for side in answer] if isinstance(config, OnPolicyRun) else []
        count = self.asked_at_once(config)
        ends = [min(answer, config.max_new_tokens) for answer in ends] or [config.max_new_tokens]
        often, more = divmod(count, len(ends))  # they are drawn in turn
        alike: Counter[int] = Counter()
        for place, answer in enumerate(ends):
            alike[answer] += often + (place < more)
        most = still = 0
        for answer in sorted(alike, reverse=True):
            still += alike[answer]
            most = max(most, still * (prompt + answer)) if alike[answer] else most
        return most


FULL = Lengths()
"""Every row as long as the limits allow."""
