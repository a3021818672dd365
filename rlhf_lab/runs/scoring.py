"""What a reward model thinks of every answer of a data set, kept in the store as it comes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rlhf_lab.core.judgement import answers_of
from rlhf_lab.runs.ask import ModelSpec
from rlhf_lab.runs.inference import Inference
from rlhf_lab.store import Row, Store

AT_ONCE = 16
"""Answers in one request, as many as the child scores in one pass: a cancel is heard between two of them."""

_PAGE = 256


@dataclass(frozen=True)
class Scored:
    """How many records got scores; ``complete``: none was left without."""

    records: int
    complete: bool


def score_dataset(
    store: Store,
    inference: Inference,
    dataset: str,
    run: str,
    reward: ModelSpec,
    *,
    progress: Callable[[int, int], object] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Scored:
    """Score what the reward run has not scored yet; a second call goes on where a cancelled one ended.

    ``progress`` hears of records done and in all, those of earlier calls too. Raises `LabError` where the
    model cannot be asked; what was scored until then is kept.
    """
    before = store.score_count(dataset, run)
    total, done, after = store.count(dataset), 0, None
    progress(before, total)
    while rows := store.unscored(dataset, run, _PAGE, after):
        after = rows[-1].id
        for group in _groups(rows):
            scores = [] if cancelled() else _ask(inference, reward, group, cancelled)
            if not scores:
                return Scored(done, complete=False)
            done += store.put_scores(dataset, run, scores)
            progress(before + done, total)
    return Scored(done, complete=True)


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """What fits into one request, short records with short ones: the child pads them to one length."""
    groups: list[list[Row]] = []
    room = 0
    for row in sorted(rows, key=_length):
        answers = len(answers_of(row.record))
        if answers > room:
            groups.append([])
            room = AT_ONCE
        groups[-1].append(row)
        room -= answers
    return groups


def _length(row: Row) -> int:
    return len(row.record.prompt.text) + max((len(answer.text) for answer in answers_of(row.record)), default=0)


def _ask(
    inference: Inference, reward: ModelSpec, rows: Sequence[Row], cancelled: Callable[[], bool]
) -> list[tuple[int, list[float]]]:
    """The scores of these records' answers; none of a cancelled request."""
    asked = [(row.record.prompt, answer.text) for row in rows for answer in answers_of(row.record)]
    request = inference.score(reward, [prompt for prompt, _ in asked], [text for _, text in asked])
    found = [answer.values["score"] for answer in inference.wait_for(request, cancelled=cancelled)]
    if len(found) < len(asked):
        return []
    scores = iter(found)
    return [(row.id, [next(scores) for _ in answers_of(row.record)]) for row in rows]
