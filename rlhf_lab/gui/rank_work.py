"""What the Rank pane has done beside the window, as work for `Lab.in_background`."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlhf_lab.core.judgement import Judgement, QueueName, answers_of
from rlhf_lab.gui.asker import MakeInference
from rlhf_lab.gui.background import Background, Work
from rlhf_lab.gui.models.rank_tally import Tally
from rlhf_lab.gui.models.rank_words import PICKED
from rlhf_lab.runs.ask import ModelSpec

if TYPE_CHECKING:
    from rlhf_lab.data.agreement import Quality
    from rlhf_lab.runs.scoring import Scored
    from rlhf_lab.store import RankedDataset, Store

AT_ONCE = 50
"""Records that a queue is asked for at a time."""


@dataclass(frozen=True)
class Asked:
    """Which opening of which queue an answer belongs to: one that comes late is for nobody."""

    opening: int
    dataset: str
    queue: QueueName
    who: str
    model: str | None = None
    picked: tuple[int, ...] = ()
    """What the queue of picked records holds."""


@dataclass(frozen=True)
class Counted:
    """A person's counts on a data set, and what everybody else said of each of its records."""

    asked: Asked
    tally: Tally
    others: dict[int, list[Judgement]]


@dataclass(frozen=True)
class Offered:
    """The next records of a queue. ``scored`` of ``total``: how far the reward model has looked at the data set."""

    asked: Asked
    ids: list[int]
    scored: int
    total: int


def next_records(asked: Asked, limit: int = AT_ONCE) -> Work:
    """What the queue has to offer, as `Offered`."""

    def work(store: "Store", task: Background) -> Offered:
        # One order for everybody, so that people's verdicts overlap; what is repeated differs from time to time.
        seed = asked.opening if asked.queue == "repeats" else 0
        if asked.queue == PICKED.name:
            ids = list(asked.picked)
        else:
            ids = store.queue(asked.dataset, asked.queue, asked.who, model_key=asked.model, limit=limit, seed=seed)
        scored = store.score_count(asked.dataset, asked.model) if asked.model is not None else 0
        return Offered(asked, ids, scored, store.count(asked.dataset))

    return work


def score_all(dataset: str, run: str, reward: ModelSpec, models: Path, make: MakeInference) -> Work:
    """Score what is not scored yet, with an inference child of its own that ends with the work."""

    def work(store: "Store", task: Background) -> "Scored":
        from rlhf_lab.runs.scoring import score_dataset

        with make(models, None) as inference:
            return score_dataset(
                store,
                inference,
                dataset,
                run,
                reward,
                progress=task.progressed.emit,
                cancelled=task.cancelled,
            )

    return work


def weigh(asked: Asked) -> Work:
    """The `Quality` of all verdicts on a data set; of the labels that came with it where there are none."""

    def work(store: "Store", task: Background) -> "Weighed":
        from rlhf_lab.data.agreement import judged_in, quality

        judged = list(store.verdicts(asked.dataset))
        records = {}
        for record, _ in judged:
            if record not in records and (rows := store.page(asked.dataset, record - 1, 1)):
                records[record] = rows[0].record
        own = bool(judged)
        if not own:
            judged, records = judged_in(store.records(asked.dataset))
        return Weighed(asked, quality(judged, records), own)

    return work


@dataclass(frozen=True)
class Weighed:
    """``own``: of verdicts given here, not of labels that came with the data set."""

    asked: Asked
    quality: "Quality"
    own: bool


def make_dataset(dataset: str, name: str, *, each: bool) -> Work:
    """The verdicts as a data set of their own, as `rlhf_lab.store.RankedDataset`."""

    def work(store: "Store", task: Background) -> "RankedDataset":
        return store.ranked_dataset(dataset, name, how_many="each" if each else "majority")

    return work


def count_up(asked: Asked, until: float) -> Work:
    """The person's `Counted` of what was said before ``until``."""

    def work(store: "Store", task: Background) -> Counted:
        others: dict[int, list[Judgement]] = defaultdict(list)
        own: list[tuple[int, Judgement]] = []
        for record, said in store.verdicts(asked.dataset):
            if task.cancelled():
                break
            if said.who == asked.who:
                if said.when < until:
                    own.append((record, said))
            elif said.ranks:
                others[record].append(said)
        tally = Tally()
        for record, said in own:
            if task.cancelled():
                break
            rows = store.page(asked.dataset, record - 1, 1) if said.ranks else []
            lengths = [len(answer.text) for answer in answers_of(rows[0].record)] if rows else [0] * len(said.ranks)
            tally.add(said, lengths, others.get(record, ()))
        return Counted(asked, tally, dict(others))

    return work
