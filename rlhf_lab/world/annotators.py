"""Three simulated people who rank answers: mostly by the gold preference, each with a taste and with slips."""

import random
from dataclasses import dataclass

from rlhf_lab.core.records import Prompt
from rlhf_lab.world.judge import judge


@dataclass(frozen=True)
class Annotator:
    """``polite`` and ``brief`` add to what gold already gives; ``slips`` is how often the wrong key is hit."""

    name: str
    polite: float
    brief: float
    slips: float

    def prefers_first(self, prompt: Prompt, first: str, second: str, rng: random.Random) -> bool:
        """Which of two answers this person picks."""
        liked = self._likes(prompt, first) >= self._likes(prompt, second)
        return liked != (rng.random() < self.slips)

    def _likes(self, prompt: Prompt, text: str) -> float:
        seen = judge(prompt, text)
        return seen["gold"] + self.polite * (seen["polite"] - seen["rude"]) - self.brief * seen["words"] / 10


ANNOTATORS = (
    Annotator("Ada", polite=0.5, brief=0.0, slips=0.07),
    Annotator("Ben", polite=-0.1, brief=0.3, slips=0.09),
    Annotator("Cleo", polite=0.0, brief=-0.05, slips=0.12),
)
