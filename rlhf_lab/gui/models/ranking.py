"""Ranking without a window: which record is shown, in which order its answers stand, and what was said of it."""

import random
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.judgement import MOST_RANKED, Judgement, Verdict, answers_of, verdict_of
from rlhf_lab.core.records import AnyRecord, Completion

if TYPE_CHECKING:
    from rlhf_lab.store import Store

LOW_WATER = 12
"""Records that wait; with fewer, more are asked for."""

LONGEST_LOOK = 600.0
"""Seconds: whoever took longer was away."""


@dataclass(frozen=True)
class Item:
    """One record as it is shown: ``shown[place]`` is the index of the answer that stands there."""

    dataset: str
    id: int
    record: AnyRecord
    shown: tuple[int, ...]
    queue: str = "unranked"
    repeat: bool = False
    before: Judgement | None = None
    """The verdict that was just undone, to be given again or another."""

    @property
    def answers(self) -> list[Completion]:
        """In the order in which they are shown."""
        stored = answers_of(self.record)
        return [stored[index] for index in self.shown]

    @property
    def lengths(self) -> list[int]:
        """Characters of the answers, in the order in which they are stored."""
        return [len(answer.text) for answer in answers_of(self.record)]

    def stored(self, ranks_shown: Sequence[int]) -> tuple[int, ...]:
        """Ranks by place turned into ranks by answer."""
        ranks = [0] * len(self.shown)
        for place, index in enumerate(self.shown):
            ranks[index] = ranks_shown[place]
        return tuple(ranks)

    def by_place(self, ranks: Sequence[int]) -> tuple[int, ...]:
        """Ranks by answer turned into ranks by place."""
        return tuple(ranks[index] for index in self.shown)


@dataclass(frozen=True)
class Said:
    """A verdict that was given, undone or given again, and the record it is about."""

    item: Item
    judgement: Judgement


class Desk:
    """One person at one data set and queue. What `judge`, `undo` and `redo` return is durable."""

    def __init__(
        self,
        store: "Store",
        *,
        clock: Callable[[], float] = time.time,
        chance: random.Random | None = None,
    ):
        self._store, self._clock = store, clock
        self._chance = chance or random.Random()
        self.who = ""
        self.dataset = ""
        self.queue = ""
        self.current: Item | None = None
        self.left_out = 0
        """Records that this queue offered and that cannot be ranked: more than nine answers, or gone meanwhile."""
        self._waiting: deque[int] = deque()
        self._known: set[int] = set()
        self._orders: dict[int, tuple[int, ...]] = {}
        self._undone: defaultdict[int, list[Item]] = defaultdict(list)
        """Records that wait for their verdict to be given again, as what it was asked: a repeat stays one, and only one."""
        self._since = 0.0

    @property
    def waiting(self) -> int:
        """Records that stand ready behind the current one."""
        return len(self._waiting)

    @property
    def wants_more(self) -> bool:
        """Whether the queue should be asked for more now, so that nobody waits later."""
        return len(self._waiting) < LOW_WATER

    def open(self, who: str, dataset: str, queue: str) -> None:
        """Begin anew with another person, data set or queue; nothing is shown until something is offered."""
        self.who, self.dataset, self.queue = who, dataset, queue
        self.current, self.left_out = None, 0
        self._waiting.clear()
        self._known.clear()
        self._orders.clear()
        self._undone.clear()

    def offer(self, ids: Iterable[int]) -> int:
        """More records of the queue; those that were offered before are passed over. How many were new."""
        new = [record for record in ids if record not in self._known]
        self._known.update(new)
        self._waiting.extend(new)
        if self.current is None:
            self._next()
        return len(new)

    def looking(self) -> None:
        """The current record has just come into view: time counts from here."""
        self._since = self._clock()

    def judge(self, verdict: Verdict, ranks_shown: Sequence[int] = (), *, strength: int = 1, note: str = "") -> Said:
        """Store the verdict on the current record and show the next; ``ranks_shown`` by place.

        Raises `LabError` where the record is no longer what was shown; what is current then has moved on.
        """
        item = self._item()
        self._check_shown(item)
        now = self._clock()
        said = Judgement(
            who=self.who,
            when=now,
            seconds=min(max(now - self._since, 0.0), LONGEST_LOOK),
            shown_order=item.shown,
            verdict=verdict_of(ranks_shown) if ranks_shown else verdict,
            ranks=item.stored(ranks_shown) if ranks_shown else (),
            strength=strength,
            note=note,
            queue=item.queue,
            repeat=item.repeat,
        )
        self._store.judge(item.dataset, item.id, said)
        self._next()
        return Said(item, said)

    def undo(self) -> Said | None:
        """Take back this person's newest verdict, whenever it was given, and show its record again."""
        found = self._store.undo(self.who)
        if found is None:
            return None
        said = self._said(*found)
        if said is None:
            raise LabError(
                f"The verdict that was taken back was on a record that is no longer in “{found[0]}”. "
                "Undo again for the one before it."
            )
        if self.current is not None and self.current.dataset == said.item.dataset:
            self._waiting.appendleft(self.current.id)
            if self.current.before is not None:
                self._undone[self.current.id].append(self.current)
        if said.item.dataset != self.dataset:
            self.open(self.who, said.item.dataset, "unranked")
        self._known.add(said.item.id)
        self._orders[said.item.id] = said.item.shown
        self.current = said.item
        return said

    def redo(self) -> Said | None:
        """Give the verdict again that was undone last."""
        found = self._store.redo(self.who)
        if found is None:
            return None
        said = self._said(*found)
        if self.current is not None and (self.current.dataset, self.current.id) == found[:2]:
            self._next()
        elif found[0] == self.dataset and found[1] in self._waiting:
            self._waiting.remove(found[1])
        return said

    def _check_shown(self, item: Item) -> None:
        """Verdicts name answers by their place: one on answers that nobody saw could be the wrong way round."""
        record = self._record(item.dataset, item.id)
        if record is None:
            self.left_out += 1
            self._next()
            raise LabError("that record was removed meanwhile. This is the next one.")
        if (record.prompt, answers_of(record)) != (item.record.prompt, answers_of(item.record)):
            self._orders.pop(item.id, None)
            found = self._load(item.id)
            if found is None:
                self.left_out += 1
                self._next()
            else:
                self.current = replace(found, queue=item.queue, repeat=item.repeat)
            raise LabError("the record was changed meanwhile. This is how it is now: read it again.")

    def _next(self) -> None:
        self.current = None
        while self._waiting and self.current is None:
            self.current = self._load(self._waiting.popleft())
            self.left_out += self.current is None

    def _load(self, key: int) -> Item | None:
        record = self._record(self.dataset, key)
        answers = answers_of(record) if record is not None else ()
        if record is None or not 2 <= len(answers) <= MOST_RANKED:
            return None
        if undone := self._undone[key]:
            return replace(undone.pop(), record=record)
        # A record that comes back after an undo stands as it stood before.
        shown = self._orders.setdefault(key, tuple(self._chance.sample(range(len(answers)), len(answers))))
        return Item(self.dataset, key, record, shown, self.queue, self.queue == "repeats")

    def _said(self, dataset: str, key: int, judgement: Judgement) -> Said | None:
        record = self._record(dataset, key)
        if record is None:
            return None
        shown = judgement.shown_order or tuple(range(len(answers_of(record))))
        return Said(Item(dataset, key, record, shown, judgement.queue, judgement.repeat, judgement), judgement)

    def _record(self, dataset: str, key: int) -> AnyRecord | None:
        rows = self._store.page(dataset, key - 1, 1)
        return rows[0].record if rows and rows[0].id == key else None

    def _item(self) -> Item:
        if self.current is None:
            raise ValueError("nothing is shown that could be judged")
        return self.current
