"""Pairs drawn from rankings and ratings, and how many they will be; a prompt's pairs share the weight of one.

A ranking of k answers is one judgement of one prompt, not k(k - 1)/2 of them: unweighted, a few long rankings
would outweigh everything else (InstructGPT divides each prompt's loss by its number of pairs for this reason).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rlhf_lab.core.records import AnyRecord, Pair, Ranking, Rated, Several, competition_ranks

How = Literal["all", "adjacent"]
"""all: every two answers; adjacent: those of equal or neighbouring ranks alone, since the rest follows from them."""
Ties = Literal["half", "drop"]
"""half: two equal answers become a pair that is a tie (its target is ½); drop: they become none."""

Judged = Ranking | Rated | Pair


@dataclass(frozen=True)
class PairCount:
    """What a data set gives for training. ``ties`` are among ``pairs``; the last three were left out."""

    records: int = 0
    pairs: int = 0
    ties: int = 0
    dropped_ties: int = 0
    same_answers: int = 0
    not_judged: int = 0

    @property
    def text(self) -> str:
        """The same in a sentence."""
        said = f"{self.pairs:,} pairs from {self.records:,} {'record' if self.records == 1 else 'records'}"
        if self.ties:
            said += f", {self.ties:,} of them ties (each counts half for either answer)"
        left_out = [
            f"{count:,} {what}"
            for count, what in (
                (self.dropped_ties, "ties"),
                (self.same_answers, "pairs of equal texts"),
                (self.not_judged, "records that nobody judged"),
            )
            if count
        ]
        return f"{said}; left out: {', '.join(left_out)}." if left_out else f"{said}."


def pairs_of(record: Judged, how: How = "all", ties: Ties = "half") -> list[Pair]:
    """The pairs of one record, best answers first; their weights add up to that of the record (1, or a pair's own).

    Answers of the same text make no pair. Tags are those of the record, and ``drawn``: "ranking" or "rated"
    and the two ranks, as "ranking 1>3" or, for a tie, "ranking 2=2". The margin is the difference of ratings.
    """
    if isinstance(record, Pair):
        return [] if record.tie and ties == "drop" else [record]
    ranks = _ranks(record)
    drawn = [two for two in _twos(record, ranks, how) if ties == "half" or ranks[two[0]] != ranks[two[1]]]
    return [_pair(record, ranks, better, worse, 1 / len(drawn)) for better, worse in drawn]


def count_pairs(records: Iterable[AnyRecord], how: How = "all", ties: Ties = "half") -> PairCount:
    """What `pairs_of` would give for all these records, without making them."""
    seen = pairs = tied = dropped = same = not_judged = 0
    for record in records:
        seen += 1
        if isinstance(record, Pair):
            drawn, equal = 1, int(record.tie)
        elif isinstance(record, Ranking | Rated):
            ranks = _ranks(record)
            twos = list(_twos(record, ranks, how))
            drawn, equal = len(twos), sum(ranks[a] == ranks[b] for a, b in twos)
            same += sum(1 for _ in _neighbours(ranks, how)) - drawn
        else:
            not_judged += 1
            continue
        if ties == "drop":
            drawn, dropped, equal = drawn - equal, dropped + equal, 0
        pairs, tied = pairs + drawn, tied + equal
    return PairCount(seen, pairs, tied, dropped, same, not_judged)


def _ranks(record: Ranking | Rated) -> tuple[int, ...]:
    return record.ranks if isinstance(record, Ranking) else competition_ranks([-value for value in record.ratings])


def _neighbours(ranks: Sequence[int], how: How) -> Iterator[tuple[int, int]]:
    """Indices of the better and the worse answer of each pair."""
    groups = {rank: place for place, rank in enumerate(sorted(set(ranks)))}
    order = sorted(range(len(ranks)), key=lambda index: ranks[index])
    for place, better in enumerate(order):
        for worse in order[place + 1 :]:
            if how == "all" or groups[ranks[worse]] - groups[ranks[better]] <= 1:
                yield better, worse


def _twos(record: Several, ranks: Sequence[int], how: How) -> Iterator[tuple[int, int]]:
    texts = [answer.text for answer in record.completions]
    return ((a, b) for a, b in _neighbours(ranks, how) if texts[a] != texts[b])


def _pair(record: Ranking | Rated, ranks: Sequence[int], better: int, worse: int, weight: float) -> Pair:
    tie = ranks[better] == ranks[worse]
    return Pair(
        prompt=record.prompt,
        split=record.split,
        tags={**record.tags, "drawn": f"{record.kind} {ranks[better]}{'=' if tie else '>'}{ranks[worse]}"},
        chosen=record.completions[better],
        rejected=record.completions[worse],
        margin=record.ratings[better] - record.ratings[worse] if isinstance(record, Rated) else None,
        tie=tie,
        weight=weight,
    )
