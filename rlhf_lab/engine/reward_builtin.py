"""Rewards that need no model: the wanted length, a pattern, the right answer."""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import AnyRecord, Tag
from rlhf_lab.engine.reward_function import FunctionFailedError, FunctionProcess, as_texts
from rlhf_lab.engine.scoring import Episodes

ANSWER_TAG = "answer"
"""The tag of a prompt that says its right answer."""
PATTERN_SECONDS = 10.0
_MARKS = string.punctuation + string.whitespace + "„“”‘’«»…–—"
_LOOKED_AT = 10_000
_PATTERN = """
import re
PATTERN = re.compile({pattern!r})
def reward(prompts, answers, tags):
    return [PATTERN.search(answer) is not None for answer in answers]
"""


@dataclass(frozen=True)
class LengthReward:
    """Minus the share by which an answer misses ``target`` tokens, its end token counted: 0 is best."""

    target: int

    def __call__(self, episodes: Episodes, tick: Callable[[], None]) -> Tensor:
        """[B]"""
        return -(torch.tensor(episodes.lengths()) - self.target).abs() / self.target


@dataclass(frozen=True)
class ExactReward:
    """1 where the answer is what the prompt's tag says, case and outer marks aside; 0 elsewhere."""

    tokenizer: Any

    def __call__(self, episodes: Episodes, tick: Callable[[], None]) -> Tensor:
        """[B]"""
        _, answers, tags = as_texts(self.tokenizer, episodes)
        right = [
            ANSWER_TAG in known and plain(answer) == plain(known[ANSWER_TAG])
            for answer, known in zip(answers, tags, strict=True)
        ]
        return torch.tensor(right).float()


@dataclass(frozen=True)
class PatternReward:
    """1 where a regular expression is found. Some patterns take for ever on some texts: it has a process and a limit."""

    pattern: str
    process: FunctionProcess
    tokenizer: Any

    def __call__(self, episodes: Episodes, tick: Callable[[], None]) -> Tensor:
        """[B]"""
        try:
            return torch.tensor(self.process(*as_texts(self.tokenizer, episodes), tick))
        except FunctionFailedError as failed:
            raise LabError(
                f"The pattern {self.pattern!r} cannot serve as a reward: {failed.what}. Nested repetitions such as (a+)+ "
                "take for ever on some texts: write it more simply, and start a new run."
            ) from None


def pattern_reward(pattern: str, tokenizer: Any, seconds: float = PATTERN_SECONDS) -> PatternReward:
    """Start the process of a pattern."""
    return PatternReward(pattern, FunctionProcess(_PATTERN.format(pattern=pattern), "pattern", seconds), tokenizer)


def exact_reward(records: Sequence[AnyRecord], tokenizer: Any) -> ExactReward:
    """Raises `LabError` when no prompt says its answer: every score would be 0."""
    if not any(ANSWER_TAG in record.prompt.tags for record in islice(records, _LOOKED_AT)):
        raise LabError(
            f'exact_weight: no prompt of the data set has the tag "{ANSWER_TAG}", so no answer could be right. '
            "Choose a data set that has it, or set exact_weight to 0."
        )
    return ExactReward(tokenizer)


def plain(text: Tag) -> str:
    """What counts of an answer: the words, in one case, with single spaces, without marks around them."""
    return " ".join(str(text).casefold().split()).strip(_MARKS)
