"""Is this reward model good enough to optimise against? Rules over its diagnosis, in words for people.

They are heuristics: "good" says that nothing here speaks against it, never that its score is what people want.
"""

from collections.abc import Iterator
from typing import Literal

from rlhf_lab.core.diagnosis import Accuracy, RewardDiagnosis

Level = Literal["good", "check", "bad"]

WEAK = 0.6
"""Published reward models are right on 0.65 to 0.75 of people's pairs; annotators agree on about as many."""
TOO_GOOD = 0.95
FEW_PAIRS = 50
OVERFIT = 0.1
LENGTH_CORRELATION = 0.5
MISCALIBRATED = 0.1
_GOOD = "Nothing here speaks against optimising against it; watch held-out answers all the same."


def verdict(found: RewardDiagnosis) -> tuple[Level, tuple[str, ...]]:
    """The level, and sentences: how often it is right, then what speaks against it, worst first."""
    groups = {group.name: group for group in found.accuracy[:2]}
    heldout = groups["heldout"]
    problems = sorted(_problems(found, groups["train"], heldout), key=lambda problem: problem[0] != "bad")
    level = problems[0][0] if problems else "good"
    right = f"It is right on {_share(heldout)} of {heldout.pairs} held-out pairs"
    if found.longer_wins is not None:
        right += f"; always taking the longer answer is right on {found.longer_wins.accuracy:.0%}"
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
    if found.ece is not None and found.ece > MISCALIBRATED and heldout.pairs >= FEW_PAIRS:
        yield (
            "check",
            f"It is {found.ece:.0%} off in how sure it is, on average over its pairs: its margins say little of how "
            "likely it is to be right. Fewer steps or a lower learning rate help against too much confidence.",
        )
    if heldout.pairs < FEW_PAIRS:
        yield "check", f"{heldout.pairs} held-out pairs are few to judge by: hold more out."


def _of_length(found: RewardDiagnosis, heldout: Accuracy) -> Iterator[tuple[Level, str]]:
    wins, correlation = found.longer_wins, found.length_correlation or 0.0
    sign = "longer" if correlation > 0 else "shorter"
    if abs(correlation) > LENGTH_CORRELATION:
        yield (
            "check",
            f"Its score goes with length (correlation {correlation:+.2f}): a policy could win by {sign} answers. "
            f"Balance the lengths of the pairs, or add a length reward.",
        )
    if wins is None:
        return
    by_length = max(wins.accuracy, 1 - wins.accuracy)
    if by_length >= heldout.accuracy:
        level: Level = "bad" if abs(correlation) > LENGTH_CORRELATION else "check"
        yield level, f"Length alone tells as well which answer wins ({by_length:.0%}): it may have learnt nothing else."


def _share(group: Accuracy) -> str:
    return f"{group.accuracy:.0%} ({group.low:.0%} to {group.high:.0%})"
