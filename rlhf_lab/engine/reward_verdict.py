"""Is this reward model good enough to optimise against? Rules over its diagnosis, in words for people.

They are heuristics: "good" says that nothing here speaks against it, never that its score is what people want.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from rlhf_lab.core.diagnosis import Accuracy, CalibrationBin, RewardDiagnosis

Level = Literal["good", "check", "bad"]

WEAK = 0.6
"""Published reward models are right on 0.65 to 0.75 of people's pairs; annotators agree on about as many."""
TOO_GOOD = 0.95
FEW_PAIRS = 50
OVERFIT = 0.1
LENGTH_CORRELATION = 0.5
MISCALIBRATED = 0.1
BEYOND_LUCK = 0.05
FEW_IN_RANGE = 20
_GOOD = "Nothing here speaks against optimising against it; watch held-out answers all the same."


def verdict(found: RewardDiagnosis) -> tuple[Level, tuple[str, ...]]:
    """The level, and sentences: how often it is right, then what speaks against it, worst first."""
    groups = {group.name: group for group in found.accuracy[:2]}
    heldout = groups["heldout"]
    problems = sorted(_problems(found, groups["train"], heldout), key=lambda problem: problem[0] != "bad")
    level = problems[0][0] if problems else "good"
    right = f"It is right on {_share(heldout)} of {heldout.pairs} held-out pairs"
    if found.longer_wins is not None:
        wins, sign = _by_length(found.longer_wins)
        right += f"; always taking the {sign} answer is right on {wins:.0%}"
    return level, (f"{right}.", *([sentence for _, sentence in problems] or [_GOOD]))


def _problems(found: RewardDiagnosis, train: Accuracy, heldout: Accuracy) -> Iterator[tuple[Level, str]]:
    if heldout.low <= 0.5:
        yield (
            "bad",
            "That could be chance: check the labels' agreement, train longer, or collect more pairs.",
        )
    elif heldout.accuracy < WEAK:
        yield "check", "That is little: a policy soon finds answers that only this model likes."
    elif heldout.accuracy > TOO_GOOD and heldout.pairs >= FEW_PAIRS:
        yield "check", "That is more than people agree among themselves: look for something that gives the label away."
    yield from _of_length(found, heldout)
    if train.accuracy - heldout.accuracy > OVERFIT and heldout.high < train.accuracy:
        yield (
            "check",
            f"On pairs that it trained on it is right on {train.accuracy:.0%}: it learns them by heart. "
            "One pass over the pairs is usually enough; more data helps.",
        )
    if found.ece is not None and found.ece > MISCALIBRATED and found.ece - _luck(found.calibration) > BEYOND_LUCK:
        yield (
            "check",
            f"It is {found.ece:.0%} off in how sure it is, on average over its pairs: its margins say little of how "
            "likely it is to be right. Fewer steps or a lower learning rate help against too much confidence.",
        )
    if heldout.pairs < FEW_PAIRS:
        yield "check", f"{heldout.pairs} held-out pairs are few to judge by: hold more out."


def _of_length(found: RewardDiagnosis, heldout: Accuracy) -> Iterator[tuple[Level, str]]:
    correlation = found.length_correlation or 0.0
    if abs(correlation) > LENGTH_CORRELATION:
        sign = "longer" if correlation > 0 else "shorter"
        yield (
            "check",
            f"Its score goes with length (correlation {correlation:+.2f}): a policy could win by {sign} answers. "
            "Balance the lengths of the pairs, or add a length reward.",
        )
    if found.longer_wins is not None:
        wins, sign = _by_length(found.longer_wins)
        if wins >= heldout.accuracy:
            level: Level = "bad" if abs(correlation) > LENGTH_CORRELATION else "check"
            yield (
                level,
                f"Length alone tells the better answer as well ({sign}: {wins:.0%}): it may have learnt nothing else.",
            )
        elif wins >= heldout.low:
            yield "check", f"That is not clearly more than length alone tells ({sign}: {wins:.0%})."
    for group in found.by_length:
        if group.pairs >= FEW_IN_RANGE and group.accuracy < 0.5 and group.high < WEAK:
            yield (
                "check",
                f"Where the better answer is {group.name} tokens it is wrong more often than not: right on "
                f"{_share(group)} of {group.pairs} pairs.",
            )


def _by_length(longer: Accuracy) -> tuple[float, str]:
    """How far length alone gets, and which length wins."""
    return max((longer.accuracy, "longer"), (1 - longer.accuracy, "shorter"))


def _luck(bins: Sequence[CalibrationBin]) -> float:
    """The calibration error that a perfectly calibrated model would show on so few pairs, about."""
    pairs = sum(part.pairs for part in bins)
    by_chance = (math.sqrt(2 / math.pi * part.predicted * (1 - part.predicted) * part.pairs) for part in bins)
    return sum(by_chance) / pairs if pairs else 0.0


def _share(group: Accuracy) -> str:
    return f"{group.accuracy:.0%} ({group.low:.0%} to {group.high:.0%})"
