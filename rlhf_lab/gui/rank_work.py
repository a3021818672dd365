"""What the Rank pane has done beside the window, as work for `Lab.in_background`."""

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlhf_lab.core.judgement import Judgement, answers_of
from rlhf_lab.gui.background import Background, Work
from rlhf_lab.gui.models.rank_tally import Tally

if TYPE_CHECKING:
    from rlhf_lab.store import Store

AT_ONCE = 50
"""Records that a queue is asked for at a time."""


@dataclass(frozen=True)
class Asked:
    """Which opening of which queue an answer belongs to: one that comes late is for nobody."""

    opening: int
    dataset: str
    queue: str
    who: str
    model: str | None = None


@dataclass(frozen=True)
class Counted:
    """A person's counts on a data set, and what everybody else said of each of its records."""

    asked: Asked
    tally: Tally
    others: dict[int, list[Judgement]]


def next_records(asked: Asked, limit: int = AT_ONCE) -> Work:
    """The next ids of a queue, as (asked, ids)."""

    def work(store: "Store", task: Background) -> tuple[Asked, list[int]]:
        # One order for everybody, so that people's verdicts overlap; what is repeated differs from time to time.
        seed = asked.opening if asked.queue == "repeats" else 0
        ids = store.queue(asked.dataset, asked.queue, asked.who, model_key=asked.model, limit=limit, seed=seed)  # type: ignore[arg-type]
        return asked, ids

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
