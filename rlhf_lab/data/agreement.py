"""How far people agree with each other and with themselves, what else sways them, and whether that is good enough.

What is compared are two answers at a time: first better, equal (a tie, both bad) or second better. A ranking
of k answers is k(k - 1)/2 such comparisons. Krippendorff's alpha is ordinal (a tie is nearer to either
verdict than these are to each other) and its interval comes from resampling records, since the comparisons
of one record hang together. Cohen's kappa is that of two people on the records that both judged.

Which of two answers counts as the first is drawn by lot for each record. As it is stored, the better one
often comes first; agreement by chance would seem high, and both coefficients come out too low.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import median
from typing import TYPE_CHECKING

from rlhf_lab.core.judgement import LONGEST_NAME, Judgement, answers_of, verdict_of
from rlhf_lab.core.records import AnyRecord, Pair, Ranking
from rlhf_lab.data.advice import Grade, advice, grade
from rlhf_lab.data.share import Share

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RESAMPLED = 300

Judged = Iterable[tuple[int, Judgement]]
"""(record id, judgement), as `rlhf_lab.store.Store.verdicts` gives them."""

_Signs = dict[tuple[int, int], int]
"""For each two answers: -1 where the one is better, 1 where the other is, 0 where neither is."""


@dataclass(frozen=True)
class Interval:
    """A coefficient of agreement (1 perfect, 0 as by chance) and its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def text(self) -> str:
        """As "0.46 (0.31–0.60)"."""
        return f"{self.value:.2f} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True)
class Person:
    """One annotator. ``seconds``: median a verdict; None where it is not known, as for imported labels.

    ``with_others``: comparisons that came out as another person's. ``with_self``: repeats that came out as the
    first time. ``first_shown`` and ``longer``: of the best and the worst answer, how often the one that stood
    first, or is longer, is the best: a half where that sways nobody. ``characters_a_second``: median of what
    was on the screen by the time taken.
    """

    who: str
    verdicts: int
    ties: int
    both_bad: int
    skipped: int
    seconds: float | None
    characters_a_second: float | None
    with_others: Share
    with_self: Share
    first_shown: Share
    longer: Share


@dataclass(frozen=True)
class Two:
    """Two people on the records that both judged; ``kappa`` is None where it is not defined (one verdict only)."""

    who: str
    other: str
    records: int
    agreed: Share
    kappa: Interval | None


@dataclass(frozen=True)
class Quality:
    """What verdicts are worth. ``shared``: records that two people or more judged. ``alpha``: None where it is
    not defined. ``advice``: sentences that say what this means and what to do, the most important first."""

    verdicts: int
    records: int
    shared: int
    people: tuple[Person, ...]
    twos: tuple[Two, ...]
    alpha: Interval | None
    agreed: Share
    with_self: Share
    first_shown: Share
    longer: Share
    grade: Grade = "unknown"
    advice: tuple[str, ...] = ()


def quality(judged: Judged, records: Mapping[int, AnyRecord]) -> Quality:
    """Weigh all verdicts that count; ``records`` are what they judge (a missing one is left out of lengths)."""
    first: dict[int, dict[str, Judgement]] = defaultdict(dict)
    repeats: list[tuple[int, Judgement]] = []
    for record, judgement in judged:
        if judgement.repeat:
            repeats.append((record, judgement))
        else:
            first[record][judgement.who] = judgement
    lengths = {
        record: [len(answer.text) for answer in answers_of(records[record])] for record in first if record in records
    }
    signs = {
        record: {
            who: signed for who, said in by.items() if (signed := _signs(record, said, lengths.get(record))) is not None
        }
        for record, by in first.items()
    }
    shared = {record: by for record, by in signs.items() if len(by) > 1}
    names = sorted({who for by in first.values() for who in by} | {said.who for _, said in repeats})
    people = tuple(_person(who, first, shared, repeats, lengths, records) for who in names)
    found = Quality(
        verdicts=sum(len(by) for by in first.values()) + len(repeats),
        records=len(first),
        shared=len(shared),
        people=people,
        twos=tuple(two for one, other in combinations(names, 2) if (two := _two(one, other, shared)) is not None),
        alpha=_alpha(list(shared.values())),
        agreed=_sum(_agreed(by[one], by[other]) for by in shared.values() for one, other in combinations(by, 2)),
        with_self=_sum(person.with_self for person in people),
        first_shown=_sum(person.first_shown for person in people),
        longer=_sum(person.longer for person in people),
    )
    given = grade(found)
    return replace(found, grade=given, advice=tuple(advice(found, given)))


def judged_in(records: Iterable[AnyRecord]) -> tuple[list[tuple[int, Judgement]], dict[int, AnyRecord]]:
    """What annotators say in a data set itself (tag "annotator"): judgements and the records they are of.

    Pairs and rankings of the same answers to the same prompt are one record, in whichever order they are stored.
    """
    keys: dict[tuple[str, frozenset[str]], int] = {}
    found: dict[int, AnyRecord] = {}
    judged = []
    for record in records:
        who = record.tags.get("annotator")
        if who is None or not str(who) or not isinstance(record, Pair | Ranking):
            continue
        texts = [answer.text for answer in answers_of(record)]
        if len(set(texts)) < len(texts):
            continue
        key = keys.setdefault((record.prompt.text, frozenset(texts)), len(keys))
        places = {answer.text: place for place, answer in enumerate(answers_of(found.setdefault(key, record)))}
        own = record.ranks if isinstance(record, Ranking) else (1, 1) if record.tie else (1, 2)
        ranks = tuple(rank for _, rank in sorted((places[text], rank) for text, rank in zip(texts, own, strict=True)))
        judged.append(
            (
                key,
                Judgement(
                    who=str(who)[:LONGEST_NAME], when=0.0, verdict=verdict_of(ranks), ranks=ranks, queue="imported"
                ),
            )
        )
    return judged, found


def _signs(record: int, said: Judgement, lengths: list[int] | None) -> _Signs | None:
    """None for skipped; both bad counts as equal, where it is known how many answers there were."""
    if said.verdict == "skip":
        return None
    ranks: tuple[int, ...] = said.ranks or (1,) * (len(said.shown_order) or len(lengths or ()))
    twos = combinations(range(len(ranks)), 2)
    return {two: _lot(record, two) * _sign(ranks[two[0]], ranks[two[1]]) for two in twos} or None


def _sign(one: int, other: int) -> int:
    return (one > other) - (one < other)


def _lot(record: int, two: tuple[int, int]) -> int:
    """Heads or tails, the same at every look."""
    return 1 if hash((record, two)) & 64 else -1


def _agreed(one: _Signs, other: _Signs) -> Share:
    both = one.keys() & other.keys()
    return Share(sum(one[two] == other[two] for two in both), len(both))


def _sum(shares: Iterable[Share]) -> Share:
    return sum(shares, Share(0, 0))


def _person(
    who: str,
    first: Mapping[int, Mapping[str, Judgement]],
    shared: Mapping[int, Mapping[str, _Signs]],
    repeats: Iterable[tuple[int, Judgement]],
    lengths: Mapping[int, list[int]],
    records: Mapping[int, AnyRecord],
) -> Person:
    own = [(record, by[who]) for record, by in first.items() if who in by]
    again = [(record, said) for record, said in repeats if said.who == who]
    given = [said for _, said in own + again]
    timed = [(record, said) for record, said in own + again if said.seconds > 0]
    read = [
        (sum(lengths[record]) + len(records[record].prompt.text)) / said.seconds
        for record, said in timed
        if record in lengths
    ]
    others = [(by[who], by[other]) for by in shared.values() if who in by for other in by if other != who]
    return Person(
        who=who,
        verdicts=len(given),
        ties=sum(said.verdict == "tie" for said in given),
        both_bad=sum(said.verdict == "both_bad" for said in given),
        skipped=sum(said.verdict == "skip" for said in given),
        seconds=median(said.seconds for _, said in timed) if timed else None,
        characters_a_second=median(read) if read else None,
        with_others=_sum(_agreed(mine, theirs) for mine, theirs in others),
        with_self=_sum(_again(first, record, said, lengths) for record, said in again),
        first_shown=_sum(_by_place(said) for _, said in own + again),
        longer=_sum(_by_length(said, lengths.get(record)) for record, said in own + again),
    )


def _again(
    first: Mapping[int, Mapping[str, Judgement]], record: int, said: Judgement, lengths: Mapping[int, list[int]]
) -> Share:
    before = first.get(record, {}).get(said.who)
    then = _signs(record, before, lengths.get(record)) if before is not None else None
    now = _signs(record, said, lengths.get(record))
    return Share(0, 0) if then is None or now is None else _agreed(then, now)


def _best_and_worst(said: Judgement) -> tuple[int, int] | None:
    if said.verdict != "ranked":
        return None
    return said.ranks.index(1), said.ranks.index(max(said.ranks))


def _by_place(said: Judgement) -> Share:
    ends = _best_and_worst(said)
    if ends is None or not said.shown_order:
        return Share(0, 0)
    best, worst = ends
    return Share(int(said.shown_order.index(best) < said.shown_order.index(worst)), 1)


def _by_length(said: Judgement, lengths: list[int] | None) -> Share:
    ends = _best_and_worst(said)
    if ends is None or lengths is None or lengths[ends[0]] == lengths[ends[1]]:
        return Share(0, 0)
    return Share(int(lengths[ends[0]] > lengths[ends[1]]), 1)


def _two(one: str, other: str, shared: Mapping[int, Mapping[str, _Signs]]) -> Two | None:
    both = [(by[one], by[other]) for by in shared.values() if one in by and other in by]
    if not both:
        return None
    said = [(mine[two], theirs[two]) for mine, theirs in both for two in mine.keys() & theirs.keys()]
    return Two(one, other, len(both), _sum(_agreed(mine, theirs) for mine, theirs in both), _kappa(said))


def _kappa(said: list[tuple[int, int]]) -> Interval | None:
    if len({value for both in said for value in both}) < 2:
        return None  # everybody always said the same: there is nothing that chance could not have given
    from pycm import ConfusionMatrix  # here: only the agreement page needs it

    matrix = ConfusionMatrix([mine for mine, _ in said], [theirs for _, theirs in said])
    kappa, error = matrix.overall_stat["Kappa"], matrix.overall_stat["Kappa Standard Error"]
    if not isinstance(kappa, float) or not isinstance(error, float):
        return None
    return Interval(kappa, max(-1.0, kappa - 1.96 * error), min(1.0, kappa + 1.96 * error))


def _alpha(shared: list[Mapping[str, _Signs]]) -> Interval | None:
    """The records as counts of each verdict (rows: comparisons), then alpha, and alpha of resampled records."""
    if not shared:
        return None
    import numpy as np

    tables = []
    for by in shared:
        twos = sorted({two for signs in by.values() for two in signs})
        table = [[sum(signs.get(two) == value for signs in by.values()) for value in (-1, 0, 1)] for two in twos]
        tables.append([row for row in table if sum(row) > 1])
    counts = np.array([row for table in tables for row in table], dtype=np.int64).reshape(-1, 3)
    value = _alpha_of(counts)
    if value is None:
        return None
    record_of = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    chance = np.random.default_rng(0)
    found = []
    for _ in range(RESAMPLED):
        times = np.bincount(chance.integers(0, len(tables), len(tables)), minlength=len(tables))
        again = _alpha_of(counts.repeat(times[record_of], axis=0))
        found.append(1.0 if again is None else again)
    return Interval(value, *(float(end) for end in np.quantile(found, (0.025, 0.975))))


def _alpha_of(counts: "npt.NDArray[np.int64]") -> float | None:
    """None where all say the same: agreement then says nothing."""
    used = counts.any(axis=0)
    if used.sum() < 2:
        return None
    from krippendorff import alpha

    value = float(alpha(value_counts=counts[:, used], level_of_measurement="ordinal"))
    return value if math.isfinite(value) else None
