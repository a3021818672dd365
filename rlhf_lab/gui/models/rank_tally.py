"""What the counters above the answers say: done, pace, agreement with others, and two habits that spoil labels. No Qt."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

from rlhf_lab.core.judgement import Judgement

PACE_OVER = 30
"""Verdicts that the pace is told from, the newest."""


@dataclass
class Tally:
    """Counts over one annotator's verdicts on one data set; every verdict can be taken back.

    Place and length are those of the best and the worst answer, as on the agreement page.
    """

    done: int = 0
    agreed: int = 0
    shared: int = 0
    first: int = 0
    decided: int = 0
    longer: int = 0
    unequal: int = 0
    _paces: deque[float] = field(default_factory=lambda: deque(maxlen=PACE_OVER))

    def add(self, said: Judgement, lengths: Sequence[int], others: Sequence[Judgement] = ()) -> None:
        """Count a verdict; ``lengths`` of the answers as stored, ``others`` what other people said of the record."""
        self._count(said, lengths, others, 1)
        self._paces.append(said.seconds)

    def take_back(self, said: Judgement, lengths: Sequence[int], others: Sequence[Judgement] = ()) -> None:
        """Undo `add`."""
        self._count(said, lengths, others, -1)
        if self._paces and self._paces[-1] == said.seconds:
            self._paces.pop()

    @property
    def per_hour(self) -> float | None:
        """At the pace of the newest verdicts; None before there are three."""
        spent = sum(self._paces)
        return 3600 * len(self._paces) / spent if len(self._paces) >= 3 and spent > 0 else None

    def _count(self, said: Judgement, lengths: Sequence[int], others: Sequence[Judgement], sign: int) -> None:
        self.done += sign
        for agreed in agreements(said, others):
            self.shared += sign
            self.agreed += sign * agreed
        if said.verdict != "ranked":
            return
        best, worst = said.ranks.index(1), said.ranks.index(max(said.ranks))
        self.decided += sign
        self.first += sign * (said.shown_order.index(best) < said.shown_order.index(worst))
        if lengths[best] != lengths[worst]:
            self.unequal += sign
            self.longer += sign * (lengths[best] > lengths[worst])


def agreements(said: Judgement, others: Sequence[Judgement]) -> list[bool]:
    """For each two answers, and each other person who ranked them: whether both put them in the same order."""
    found = []
    for other in others:
        if len(other.ranks) == len(said.ranks):
            for a, b in combinations(range(len(said.ranks)), 2):
                found.append(_order(said, a, b) == _order(other, a, b))
    return found


def _order(said: Judgement, a: int, b: int) -> int:
    return (said.ranks[a] > said.ranks[b]) - (said.ranks[a] < said.ranks[b])
