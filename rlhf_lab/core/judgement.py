"""What one person said of one record: which answer is better, and how it was asked."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rlhf_lab.core.records import Completion, Pair, Record, Several, competition_ranks

Verdict = Literal["ranked", "tie", "both_bad", "skip"]
QueueName = Literal["unranked", "least_sure", "disagrees", "annotators", "repeats"]

LONGEST_NAME = 80
"""Characters in an annotator's name."""

MOST_RANKED = 9
"""Answers that a person ranks at a time: one for each digit key."""


class Judgement(BaseModel):
    """``ranks[i]`` is the rank of the record's i-th answer as stored (1 best, equal ranks are ties).

    A pair's answers are (chosen, rejected). ``shown_order`` lists the same indices as they stood on the
    screen, left to right; () where that is not known. ``when`` is seconds since 1970, ``seconds`` how
    long the person looked. ``strength`` 2 is "much better". ``repeat``: asked again to see whether the
    person agrees with themselves; it stands beside the earlier verdict instead of replacing it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    who: str = Field(min_length=1, max_length=LONGEST_NAME)
    when: float = Field(allow_inf_nan=False)
    seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    shown_order: tuple[int, ...] = ()
    verdict: Verdict
    ranks: tuple[int, ...] = ()
    strength: int = Field(default=1, ge=1, le=2)
    note: str = ""
    queue: str = "unranked"
    repeat: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.verdict in ("ranked", "tie"):
            if len(self.ranks) < 2 or self.ranks != competition_ranks(self.ranks):
                raise ValueError(f"the ranks {list(self.ranks)} order no answers")
            if verdict_of(self.ranks) != self.verdict:
                raise ValueError(f"the ranks {list(self.ranks)} are no {self.verdict!r}")
        elif self.ranks:
            raise ValueError(f"{self.verdict!r} has no ranks, but there are {list(self.ranks)}")
        if sorted(self.shown_order) != list(range(len(self.shown_order))):
            raise ValueError(f"{list(self.shown_order)} is no order of answers")
        if self.shown_order and self.ranks and len(self.shown_order) != len(self.ranks):
            raise ValueError(f"{len(self.shown_order)} answers were shown and {len(self.ranks)} ranked")
        return self

    @property
    def best(self) -> int | None:
        """The one answer that this verdict puts first; None for ties at the top, both bad and skipped."""
        return self.ranks.index(1) if self.ranks.count(1) == 1 else None


def verdict_of(ranks: Sequence[int]) -> Literal["ranked", "tie"]:
    """What ranks amount to: "tie" where all are equal."""
    return "tie" if len(set(ranks)) == 1 else "ranked"


def answers_of(record: Record) -> tuple[Completion, ...]:
    """What a person can compare in a record, in the order that ``ranks`` follow; () where there is nothing."""
    if isinstance(record, Pair):
        return record.chosen, record.rejected
    return record.completions if isinstance(record, Several) else ()
