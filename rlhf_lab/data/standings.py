"""Which model do people prefer? Win rates, Bradley-Terry strengths, and how many more votes would tell two apart.

A vote is on two or more answers to one prompt, each by another model (the answer's ``source``). Of each two answers one
is better, or neither: a tie and "both bad" are half a win for either. Skipped ones do not count.

Strengths are those of Bradley and Terry (1952): the log-odds that one model's answer is preferred to another's is the
difference of their strengths; their mean is 0. Every two models that were compared get half a win each beforehand
(Jeffreys' prior), so that one that never lost has a strength at all. Intervals are 95%: Wilson's for win rates. Those
of strengths come from resampling votes, since one vote on many answers is many comparisons that hang together, and
all of them hold at once in 95% of cases (the bootstrap of the largest deviation), since they are read beside each other.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from rlhf_lab.core.judgement import Judgement, answers_of
from rlhf_lab.core.records import AnyRecord
from rlhf_lab.data.share import Z95, Share

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RESAMPLED = 300
MOST_NEEDED = 2000
"""More votes than these are not asked for: the models are about alike."""

Vote = tuple[tuple[str, str, float], ...]
"""What one vote says of each two models: (one, other, 1 where one is better, 0 where the other is, else 0.5)."""


@dataclass(frozen=True)
class Duel:
    """All direct comparisons of two models, seen from ``one``."""

    one: str
    other: str
    wins: int
    ties: int
    losses: int

    @property
    def votes(self) -> int:
        """How many."""
        return self.wins + self.ties + self.losses

    @property
    def rate(self) -> Share:
        """How often ``one`` is preferred, ties counting half."""
        return Share(self.wins + self.ties / 2, self.votes)

    @property
    def told_apart(self) -> bool:
        """Whether the interval of the rate leaves out a half."""
        return not self.rate.is_chance

    @property
    def needed(self) -> int | None:
        """How many more votes would tell the two apart if they go on as so far: 0 where they are told apart, None
        where nothing is known or it would be more than `MOST_NEEDED`."""
        if self.told_apart:
            return 0
        rate = self.rate.value
        if not self.votes or rate == 0.5:
            return None
        whole = Z95**2 / 4 / (rate - 0.5) ** 2  # from here on Wilson's interval leaves out a half
        more = max(1, math.ceil(whole) - self.votes)
        return more if more <= MOST_NEEDED else None

    @property
    def turned(self) -> "Duel":
        """The same, seen from the other."""
        return Duel(self.other, self.one, self.losses, self.ties, self.wins)


@dataclass(frozen=True)
class Strength:
    """A model's log-odds against the average of those it was compared with, and its interval (endless while votes are
    too few to give one)."""

    model: str
    votes: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Standings:
    """``strengths``: the strongest first. ``apart``: models that no chain of votes connects with these."""

    votes: int
    duels: tuple[Duel, ...] = ()
    strengths: tuple[Strength, ...] = ()
    apart: tuple[str, ...] = ()

    def duel(self, one: str, other: str) -> Duel:
        """Of any two, in either order."""
        for found in self.duels:
            if (found.one, found.other) == (one, other):
                return found
            if (found.one, found.other) == (other, one):
                return found.turned
        return Duel(one, other, 0, 0, 0)


def votes_of(judged: Iterable[tuple[int, Judgement]], records: Iterable[tuple[int, AnyRecord]]) -> Iterator[Vote]:
    """The votes among verdicts: those on answers of at least two different models."""
    sources = {key: tuple(answer.source for answer in answers_of(record)) for key, record in records}
    for key, said in judged:
        if key in sources and (vote := vote_of(sources[key], said)):
            yield vote


def vote_of(sources: Sequence[str], said: Judgement) -> Vote:
    """What a verdict says of the models that wrote the answers; () where it says nothing."""
    if said.verdict == "skip":
        return ()
    ranks = said.ranks or (1,) * len(sources)
    return tuple(
        (sources[i], sources[j], 0.5 if ranks[i] == ranks[j] else float(ranks[i] < ranks[j]))
        for i, j in combinations(range(min(len(sources), len(ranks))), 2)
        if sources[i] and sources[j] and sources[i] != sources[j]
    )


def standings(votes: Iterable[Vote], *, seed: int = 0) -> Standings:
    """Weigh all votes; ``seed`` is that of the resampling."""
    given = [vote for vote in votes if vote]
    tallies: dict[tuple[str, str], Counter[float]] = defaultdict(Counter)
    for vote in given:
        for one, other, result in vote:
            if one <= other:
                tallies[one, other][result] += 1
            else:
                tallies[other, one][1 - result] += 1
    duels = tuple(Duel(*two, wins=t[1.0], ties=t[0.5], losses=t[0.0]) for two, t in sorted(tallies.items()))
    groups = _connected(duels)
    if not groups:
        return Standings(0)
    together, *rest = groups
    return Standings(
        votes=len(given),
        duels=duels,
        strengths=tuple(sorted(_strengths(together, given, seed), key=lambda one: -one.value)),
        apart=tuple(sorted(model for group in rest for model in group)),
    )


def _connected(duels: Iterable[Duel]) -> list[list[str]]:
    """Models in groups that votes connect, the group with the most votes first."""
    groups: list[tuple[set[str], int]] = []
    for duel in duels:
        touched = [group for group in groups if duel.one in group[0] or duel.other in group[0]]
        names = {duel.one, duel.other}.union(*(group[0] for group in touched))
        groups = [group for group in groups if group not in touched]
        groups.append((names, duel.votes + sum(group[1] for group in touched)))
    return [sorted(names) for names, _ in sorted(groups, key=lambda group: (-group[1], sorted(group[0])))]


def _strengths(models: list[str], votes: Sequence[Vote], seed: int) -> Iterator[Strength]:
    """Of the models of one connected group."""
    import numpy as np

    place = {model: at for at, model in enumerate(models)}
    rows = [
        (number, place[one], place[other], result)
        for number, vote in enumerate(vote for vote in votes if vote[0][0] in place)
        for one, other, result in vote
    ]
    number, one, other = (np.array([row[column] for row in rows], dtype=np.int64) for column in (0, 1, 2))
    result = np.array([row[3] for row in rows])
    cast = int(number[-1]) + 1

    def wins(weight: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
        table = np.zeros((len(models), len(models)))
        np.add.at(table, (one, other), result * weight)
        np.add.at(table, (other, one), (1 - result) * weight)
        return table

    observed = wins(np.ones(len(rows)))
    compared = (observed + observed.T) > 0
    found = _fitted(observed, compared)
    chance = np.random.default_rng(seed)
    drawn = (np.bincount(chance.integers(0, cast, cast), minlength=cast) for _ in range(RESAMPLED))
    off = np.array([_fitted(wins(times[number].astype(float)), compared, found) for times in drawn]) - found
    spread = np.sqrt((off**2).mean(axis=0))
    # Too few votes to differ when they are drawn again: they say nothing yet of how far off a strength may be.
    most = float(np.quantile(np.abs(off / spread).max(axis=1), 0.95)) if spread.all() else math.inf
    for model, at in place.items():
        voted = len(set(number[(one == at) | (other == at)].tolist()))
        value, far = float(found[at]), most * float(spread[at]) if spread.all() else math.inf
        yield Strength(model, voted, value, value - far, value + far)


def _fitted(
    wins: "npt.NDArray[np.float64]",
    compared: "npt.NDArray[np.bool_]",
    near: "npt.NDArray[np.float64] | None" = None,
) -> "npt.NDArray[np.float64]":
    """Strengths of most likelihood, with half a win each way for every two that were compared; ``near``: a first guess."""
    from choix import ilsr_pairwise_dense

    # Its strengths have the mean 0.
    return ilsr_pairwise_dense(wins + 0.5 * compared, initial_params=near, max_iter=1000, tol=1e-6)
