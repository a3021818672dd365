"""A reward model's diagnosis as the Reward pane shows it: a headline, rows of accuracy, points of pictures. No Qt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlhf_lab.core.diagnosis import Accuracy, CalibrationBin, RewardDiagnosis, WorstPair
from rlhf_lab.core.records import Completion, Message, Pair, Prompt
from rlhf_lab.data.share import Share
from rlhf_lab.gui.models.curves import Floats
from rlhf_lab.gui.models.plot_spec import number
from rlhf_lab.runs import diagnosis_words


@dataclass(frozen=True)
class Headline:
    """The verdict in a few words, with a label's role and an icon: never by colour alone."""

    text: str
    role: str
    icon: str


_LOOKS = {"good": ("good", "check"), "check": ("warn", "warning"), "bad": ("bad", "close")}
HEADLINES = {
    level: Headline(words.removesuffix("."), *_LOOKS[level]) for level, words in diagnosis_words.HEADLINES.items()
}
"""For each level of a diagnosis."""

_NAMED = {
    "train": ("Training", "Pairs that it has learned from. Far above the held-out pairs: it learned them by heart."),
    "heldout": ("Held-out", "Pairs that it has never seen: the number that counts."),
}
_BY_COUNTING = (
    "What somebody reaches on the same held-out pairs who only counts words. A reward model that is no better may have "
    "learned nothing else."
)
_SHORT = ((" more than ", " > "), (" up to ", " ≤ "), ("of the same", "same"))
"""Names of ranges of lengths have to fit beside the figures."""
_FEWEST = 20
"""Pairs from which a group may stretch the axis of all intervals."""


@dataclass(frozen=True)
class AccuracyRow:
    """One line of an accuracy table. ``strays``: the held-out accuracy lies outside its interval."""

    name: str
    tip: str
    found: Accuracy
    strays: bool = False
    scored: bool = True
    """Whether it is an accuracy of scores, which have margins."""

    @property
    def margin(self) -> str:
        """Mean score of the better answer minus that of the other."""
        return number(self.found.margin) if self.scored else "–"

    @property
    def interval(self) -> str:
        """ "71–82%"."""
        return f"{100 * self.found.low:.0f}–{self.found.high:.0%}"

    @property
    def words(self) -> str:
        """All of it in a sentence or two, for a tooltip and a screen reader."""
        found = self.found
        said = f"{self.name}: {found.accuracy:.1%} of {found.pairs:,} pairs, 95% interval {self.interval}"
        margin = f", mean margin {self.margin}" if self.scored else ""
        more = " The held-out accuracy lies outside this interval: worth a look." if self.strays else ""
        return f"{said}{margin}. {self.tip}{more}"


def overall_rows(found: RewardDiagnosis) -> list[AccuracyRow]:
    """Training, held-out, the baseline of length beside them, then each annotator."""
    named = [AccuracyRow(*_NAMED[part.name], part) for part in found.accuracy if part.name in _NAMED]
    baseline = [_by_counting(found.longer_wins)] if found.longer_wins is not None else []
    people = [
        AccuracyRow(part.name, "Held-out pairs that this annotator judged.", part, _strays(part, found))
        for part in found.accuracy
        if part.name not in _NAMED
    ]
    return named + baseline + people


def length_rows(found: RewardDiagnosis) -> list[AccuracyRow]:
    """By how much longer the chosen answer is."""
    tip = "Held-out pairs by how many tokens the chosen answer is longer or shorter than the rejected one."
    return [AccuracyRow(_shortened(part.name), tip, part, _strays(part, found)) for part in found.by_length]


def scale(rows: Sequence[AccuracyRow]) -> tuple[float, float]:
    """The ends of the axis on which these intervals are drawn: guessing is always in it."""
    low = min((row.found.low for row in rows if row.found.pairs >= _FEWEST), default=0.5)
    return max(0.0, np.floor(10 * min(low, 0.45)) / 10), 1.0


@dataclass(frozen=True)
class CalibrationPoint:
    """One bin of a calibration curve; ``low`` to ``high`` is the Wilson interval of the observed share, 95%."""

    predicted: float
    observed: float
    low: float
    high: float
    pairs: int

    @property
    def words(self) -> str:
        """ "predicted 72%, observed 65% of 60 pairs"."""
        return f"predicted {self.predicted:.0%}, observed {self.observed:.0%} of {self.pairs:,} pairs"


def calibration_points(bins: tuple[CalibrationBin, ...]) -> list[CalibrationPoint]:
    """Bins that hold pairs, with how sure their observed share is."""
    points = []
    for part in bins:
        if part.pairs:
            share = Share(round(part.observed * part.pairs), part.pairs)
            points.append(CalibrationPoint(part.predicted, part.observed, share.low, share.high, part.pairs))
    return points


def trend(tokens: Floats, scores: Floats) -> tuple[Floats, Floats] | None:
    """Both ends of the least-squares line of score on length; None where length does not vary."""
    if len(tokens) < 2 or tokens.min() == tokens.max():
        return None
    slope, start = np.polyfit(tokens, scores, 1)
    ends = np.array([tokens.min(), tokens.max()])
    return ends, slope * ends + start


def as_pair(worst: WorstPair) -> Pair:
    """To be read like any other pair."""
    asked = Prompt(messages=(Message(role="user", content=worst.prompt),))
    tags = {} if worst.flipped is None else {"label": "noise: the world prefers the other" if worst.flipped else "true"}
    return Pair(prompt=asked, chosen=Completion(text=worst.chosen), rejected=Completion(text=worst.rejected), tags=tags)


def _by_counting(longer: Accuracy) -> AccuracyRow:
    """The better of the two rules, so that it can be compared with an accuracy."""
    if longer.accuracy >= 0.5:
        return AccuracyRow("Longer wins", _BY_COUNTING, longer, scored=False)
    turned = {"accuracy": 1 - longer.accuracy, "low": 1 - longer.high, "high": 1 - longer.low}
    return AccuracyRow("Shorter wins", _BY_COUNTING, longer.model_copy(update=turned), scored=False)


def _shortened(name: str) -> str:
    for long, short in _SHORT:
        name = name.replace(long, short)
    return name


def _strays(part: Accuracy, found: RewardDiagnosis) -> bool:
    heldout = next((known.accuracy for known in found.accuracy if known.name == "heldout"), None)
    return heldout is not None and not part.low <= heldout <= part.high
