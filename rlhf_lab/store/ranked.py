"""Verdicts as a data set of their own, to train on or to export."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.judgement import Judgement, answers_of
from rlhf_lab.core.records import AnyRecord, Pair, Ranking, Tag, competition_ranks, load_record
from rlhf_lab.store.connection import Connection
from rlhf_lab.store.datasets import Datasets, dataset_id

HowMany = Literal["majority", "each"]

_PAGE = 500
_LEFT_OUT = {"both_bad": "both bad", "skip": "skipped"}


@dataclass(frozen=True)
class RankedDataset:
    """The data set that was made; ``left_out`` counts by reason what is no record of it."""

    name: str
    records: int
    left_out: dict[str, int]


def make_ranked(
    connection: Connection, datasets: Datasets, source: str, name: str, who: str | None, how_many: HowMany
) -> RankedDataset:
    """See `rlhf_lab.store.store.Store.ranked_dataset`."""
    left_out: Counter[str] = Counter()
    make = _each if how_many == "each" else _majority
    with datasets.new(name, "ranked", "pair", source, "", "") as writer:
        for batch in _judged(connection, dataset_id(connection, source), who):
            writer.add([made for record, verdicts in batch for made in make(record, verdicts, left_out)])
        if not writer.records:
            raise LabError(
                f"No verdict on {source!r} puts answers in order yet{f' by {who}' if who else ''}. Rank some first."
            )
        writer.note = _note(source, who, how_many, left_out)
    return RankedDataset(writer.name, writer.records, dict(left_out))


def _judged(connection: Connection, dataset: int, who: str | None) -> Iterator[list[tuple[AnyRecord, list[Judgement]]]]:
    """Records with what was said of each, in batches. Repeats say how sure a person is, not more."""
    after = -1
    while rows := connection.rows(
        "SELECT id, body FROM records WHERE id > :after AND id IN "
        "(SELECT DISTINCT record FROM verdicts WHERE dataset = :dataset AND state = 'live' AND NOT repeat "
        "AND record > :after ORDER BY record) ORDER BY id LIMIT :limit",
        {"dataset": dataset, "after": after, "limit": _PAGE},
    ):
        said: dict[int, list[Judgement]] = {}
        for record, body in connection.rows(
            "SELECT record, body FROM verdicts WHERE dataset = ? AND state = 'live' AND NOT repeat "
            "AND record > ? AND record <= ? ORDER BY record, id",
            (dataset, after, rows[-1][0]),
        ):
            judgement = Judgement.model_validate_json(body)
            if who in (None, judgement.who):
                said.setdefault(record, []).append(judgement)
        yield [(load_record(body), said[record]) for record, body in rows if record in said]
        after = rows[-1][0]


def _each(record: AnyRecord, verdicts: Sequence[Judgement], left_out: Counter[str]) -> Iterator[AnyRecord]:
    for verdict in verdicts:
        if verdict.ranks:
            yield _ranked(record, verdict.ranks, {"annotator": verdict.who, "strength": verdict.strength})
        else:
            left_out[_LEFT_OUT[verdict.verdict]] += 1


def _majority(record: AnyRecord, verdicts: Sequence[Judgement], left_out: Counter[str]) -> Iterator[AnyRecord]:
    """By the mean rank of each answer: with two answers, the one that more people put first."""
    votes = [verdict.ranks for verdict in verdicts if verdict.ranks]
    bad = sum(verdict.verdict == "both_bad" for verdict in verdicts)
    if not votes or bad > len(votes):
        left_out["both bad" if bad else "skipped"] += 1
        return
    # Answers that share a rank share the places that they take: 1, 1, 3 counts as 1.5, 1.5, 3.
    places = [[rank + (vote.count(rank) - 1) / 2 for rank in vote] for vote in votes]
    totals = [sum(column) for column in zip(*places, strict=True)]
    yield _ranked(record, competition_ranks(totals), {"annotators": len(votes)})


def _ranked(record: AnyRecord, ranks: Sequence[int], tags: dict[str, Tag]) -> AnyRecord:
    answers = answers_of(record)
    tags = {key: value for key, value in record.tags.items() if key not in ("annotator", "strength")} | tags
    if len(answers) > 2:
        return Ranking(prompt=record.prompt, split=record.split, tags=tags, completions=answers, ranks=tuple(ranks))
    chosen, rejected = (1, 0) if ranks[1] < ranks[0] else (0, 1)
    return Pair(
        prompt=record.prompt,
        split=record.split,
        tags=tags,
        chosen=answers[chosen],
        rejected=answers[rejected],
        tie=ranks[0] == ranks[1],
    )


def _note(source: str, who: str | None, how_many: HowMany, left_out: Counter[str]) -> str:
    by = f"by {who}" if who else "each person's own" if how_many == "each" else "what most people said"
    without = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
    return f"Verdicts on {source!r}, {by}." + (f" Left out: {without}." if without else "")
