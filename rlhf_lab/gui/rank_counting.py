"""The counters of the Rank pane: read beside the window when a data set opens, kept up verdict by verdict."""

import time

from PySide6.QtCore import QObject, Slot

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.rank_tally import Tally
from rlhf_lab.gui.models.ranking import Said
from rlhf_lab.gui.rank_work import Asked, Counted, count_up
from rlhf_lab.gui.widgets.rank_counters import Counters


class Counting(QObject):
    """What is said while the earlier verdicts are still being read is added when they are."""

    def __init__(self, lab: Lab, counters: Counters, parent: QObject):
        super().__init__(parent)
        self._lab, self._counters = lab, counters
        self._asked: Asked | None = None
        self._counted: Counted | None = None
        self._heard: list[tuple[Said, int]] = []
        self.tally = Tally()

    def begin(self, asked: Asked) -> None:
        """Count for this person and data set from now on."""
        self.tally, self._counted, self._asked = Tally(), None, asked
        self._counters.show_tally(self.tally)
        if asked.dataset and asked.who:
            self._read()

    def count(self, said: Said, sign: int) -> None:
        """A verdict counts from now on (1), or was taken back (−1)."""
        if self._asked is None or said.item.dataset != self._asked.dataset:
            return
        if self._counted is None:
            self._heard.append((said, sign))
        others = self._counted.others.get(said.item.id, []) if self._counted is not None else []
        (self.tally.add if sign > 0 else self.tally.take_back)(said.judgement, said.item.lengths, others)
        self._counters.show_tally(self.tally)

    def _read(self) -> None:
        assert self._asked is not None
        self._heard = []
        self._lab.in_background(count_up(self._asked, time.time())).done.connect(self._read_all)

    @Slot(object)
    def _read_all(self, counted: Counted) -> None:
        if counted.asked != self._asked:
            return
        heard = self._heard
        if any(sign < 0 for _, sign in heard):  # what was undone may be among what was read, or not
            self._read()
            return
        self._counted, self.tally = counted, counted.tally
        for said, sign in heard:
            self.count(said, sign)
        self._counters.show_tally(self.tally)
