"""What a watch remembers of a run: the beginnings and the recent ends of its curves, and its looks at held-out prompts."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.events import Event, Metrics, Samples

_FIRST = 5
_RECENT = 64
_LOOKS = 8
_TERMS = ("train/", "reward/", "dpo/", "loss/", "objective/", "policy/", "optim/", "eval/", "first/")
"""Metrics that must be numbers. A correlation may have no value, a loss must have one."""


@dataclass
class _Curve:
    first: list[float] = field(default_factory=list)
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))


@dataclass(frozen=True)
class Difference:
    """Between two looks at the same prompts: the mean and its standard error, prompt by prompt."""

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{abs(self.mean):.2g} ± {self.error:.1g}"


@dataclass(frozen=True)
class Look:
    """One look at the held-out prompts: each number by prompt, in the same order every time; () where there is none."""

    step: int
    gold: tuple[float, ...]
    score: tuple[float, ...]
    train_score: float | None
    """The mean score of recent rollouts."""


def difference(before: tuple[float, ...], after: tuple[float, ...]) -> Difference | None:
    """``after`` minus ``before``; None where they are not of the same prompts, or of fewer than two."""
    count = len(before)
    if count < 2 or len(after) != count:
        return None
    each = [b - a for a, b in zip(before, after, strict=True)]
    mean = math.fsum(each) / count
    variance = math.fsum((d - mean) ** 2 for d in each) / (count - 1)
    return Difference(mean, math.sqrt(variance / count))


class History:
    """Bounded, however long the run. ``step`` and ``new`` are of the newest event."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.step = 0
        self.not_finite: str | None = None
        """A metric of the newest event that is NaN or infinite."""
        self.first_look: Look | None = None
        self.best_gold: Look | None = None
        """The look with the highest mean gold score before the newest one."""
        self.best_score: Look | None = None
        self.looks_since_best = 0
        self._looks: deque[Look] = deque(maxlen=_LOOKS)
        self._curves: dict[str, _Curve] = {}

    def take(self, event: Event) -> None:
        """Remember what counts."""
        self.step = event.step
        self.not_finite = None
        if isinstance(event, Metrics):
            for name, value in event.values.items():
                if math.isfinite(value):
                    self._add(name, value)
                elif name.startswith(_TERMS):
                    self.not_finite = name
        elif isinstance(event, Samples) and event.name == "heldout":
            self._take_look(event)

    @property
    def look(self) -> Look | None:
        """The newest look."""
        return self._looks[-1] if self._looks else None

    def look_before(self, count: int) -> Look | None:
        """The one that was ``count`` looks before the newest; at most seven back."""
        return self._looks[-1 - count] if len(self._looks) > count else None

    def first(self, name: str, count: int = 1) -> float | None:
        """The mean of the first ``count`` (at most five) values; None while there are fewer."""
        curve = self._curves.get(name)
        if curve is None or len(curve.first) < count:
            return None
        return math.fsum(curve.first[:count]) / count

    def recent(self, name: str, count: int = 1, ago: int = 0) -> float | None:
        """The mean of the ``count`` values that end ``ago`` values before the newest; None while there are fewer."""
        values = list(islice(self._backwards(name), ago, ago + count))
        return math.fsum(values) / count if len(values) == count else None

    def window(self, name: str, count: int) -> list[float]:
        """The newest values, newest first; at most ``count``."""
        return list(islice(self._backwards(name), count))

    def _backwards(self, name: str) -> Iterator[float]:
        curve = self._curves.get(name)
        return reversed(curve.recent) if curve is not None else iter(())

    def _add(self, name: str, value: float) -> None:
        curve = self._curves.setdefault(name, _Curve())
        if len(curve.first) < _FIRST:
            curve.first.append(value)
        curve.recent.append(value)

    def _take_look(self, event: Samples) -> None:
        def column(name: str) -> tuple[float, ...]:
            found = tuple(row.values[name] for row in event.rows if name in row.values)
            return found if len(found) == len(event.rows) else ()

        before = self.look
        now = Look(event.step, column("gold"), column("score"), self.recent("objective/scores", 3))
        self.first_look = self.first_look or now
        if before is not None:
            if self.best_gold is None or _mean(before.gold) > _mean(self.best_gold.gold):
                self.best_gold, self.looks_since_best = before, 0
            if self.best_score is None or _mean(before.score) > _mean(self.best_score.score):
                self.best_score = before
        self.looks_since_best += 1
        self._looks.append(now)


def _mean(values: tuple[float, ...]) -> float:
    return math.fsum(values) / len(values) if values else -math.inf
