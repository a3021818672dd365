"""How many pairs a reward run would get from rankings and ratings, said before it starts."""

from itertools import takewhile

from PySide6.QtCore import QObject, Signal, Slot

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.settings import PairSettings
from rlhf_lab.data.pairing import How, PairCount, Ties, count_pairs
from rlhf_lab.gui.background import Background, Work
from rlhf_lab.gui.lab import Lab
from rlhf_lab.store import Store

_DRAWN = frozenset({"ranking", "rated", "mixed"})
"""Kinds of data sets whose pairs have to be drawn; of the others, the number is known."""

_Asked = tuple[str, How, Ties, int]


class PairCounter(QObject):
    """Counts in the background; `counted` has a sentence, or nothing where there is nothing to say."""

    counted = Signal(str)

    def __init__(self, lab: Lab, parent: QObject):
        super().__init__(parent)
        self._lab = lab
        self._asked: _Asked | None = None
        self._task: Background | None = None

    def look_at(self, config: RunConfig | None) -> None:
        """Count what this run would train on, unless that is known or being done."""
        asked = self._question(config)
        if asked == self._asked:
            return
        self._asked = asked
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.counted.emit("" if asked is None else "Counting the pairs…")
        if asked is not None:
            self._task = self._lab.in_background(_count(asked))
            self._task.done.connect(self._tell)

    def _question(self, config: RunConfig | None) -> _Asked | None:
        if not isinstance(config, PairSettings):
            return None
        rows = [row for row in self._lab.project.store.datasets() if row.name == config.dataset]
        if not rows or rows[0].kind not in _DRAWN:
            return None
        return config.dataset, config.rankings, config.ties, rows[0].records

    @Slot(object)
    def _tell(self, found: tuple[_Asked, PairCount] | None) -> None:
        if found is not None and found[0] == self._asked:
            self._task = None
            self.counted.emit(found[1].text)


def _count(asked: _Asked) -> Work:
    def work(store: Store, task: Background) -> tuple[_Asked, PairCount] | None:
        dataset, how, ties, _ = asked
        records = takewhile(lambda _: not task.cancelled(), store.records(dataset))
        found = count_pairs(records, how, ties)
        return None if task.cancelled() else (asked, found)

    return work
