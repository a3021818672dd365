"""What is known of a reward model beyond its accuracy: is its score good enough to optimise against?"""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings", defer_build=True)


class Accuracy(_Part):
    """Share of pairs in which the better answer scores higher, ties half, with a 95% bootstrap interval."""

    name: str
    """"train", "heldout", an annotator, or a range of lengths"""
    pairs: int
    accuracy: float
    low: float
    high: float
    margin: float
    """Mean score of chosen minus rejected."""


class CalibrationBin(_Part):
    """Pairs whose predicted probability that chosen wins, σ(margin), lies in one range."""

    low: float
    high: float
    pairs: int
    predicted: float
    """Mean predicted probability."""
    observed: float
    """Share of them that chosen wins by the label; pairs enter once in a random order of their sides."""


class Scored(_Part):
    """One held-out answer: its length and its score."""

    tokens: int
    score: float
    chosen: bool


class WorstPair(_Part):
    """A held-out pair whose label the reward model contradicts most."""

    record: int | None = None
    """The id of its record in the data set, where known; several pairs can come from one record."""
    prompt: str
    chosen: str
    rejected: str
    margin: float
    flipped: bool | None = None
    """Whether the label is known to be noise (bundled world)."""


class RewardDiagnosis(_Part):
    """Everything that the Reward pane shows of one look; scores are on the scale before normalisation."""

    accuracy: tuple[Accuracy, ...] = ()
    """First "train" and "heldout", then one for each annotator with enough pairs."""
    by_length: tuple[Accuracy, ...] = ()
    """By the difference of the lengths, chosen minus rejected, in tokens."""
    calibration: tuple[CalibrationBin, ...] = ()
    ece: float | None = None
    """Expected calibration error: mean |predicted − observed| over the bins, weighted by pairs."""
    points: tuple[Scored, ...] = ()
    """At most a few hundred of them, for a picture."""
    length_correlation: float | None = None
    """Pearson's, of length and score, over held-out answers."""
    longer_wins: Accuracy | None = None
    """How well length alone predicts the label, on the same pairs."""
    worst: tuple[WorstPair, ...] = ()
    level: Literal["good", "check", "bad"] = "check"
    """Whether it is good enough to optimise against."""
    verdict: tuple[str, ...] = ()
    """Sentences for people, the most important first."""
