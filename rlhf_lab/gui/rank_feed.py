"""The records that a queue of the Rank pane has to offer, asked for beside the window, one request at a time."""

from PySide6.QtCore import QObject, Signal, Slot

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.rank_work import Asked, Offered, next_records


class Feed(QObject):
    """Each opening of a queue begins anew: what an earlier one still brings is for nobody."""

    came = Signal(object)
    """`Offered`, of the present opening."""
    failed = Signal(str)

    def __init__(self, lab: Lab, parent: QObject):
        super().__init__(parent)
        self._lab = lab
        self._asking = False
        self.opening = 0
        self.exhausted = False
        """Whether the queue has nothing more to offer; whoever takes the records knows."""

    def begin(self) -> None:
        """Another queue, data set or person."""
        self.opening += 1
        self._asking = self.exhausted = False

    def ask(self, asked: Asked, limit: int) -> None:
        """Ask for as many records, unless that is under way or in vain."""
        if self._asking or self.exhausted:
            return
        self._asking = True
        task = self._lab.in_background(next_records(asked, limit))
        task.done.connect(self._came)
        task.failed.connect(self._failed)

    @Slot(object)
    def _came(self, offered: Offered) -> None:
        if offered.asked.opening == self.opening:
            self._asking = False
            self.came.emit(offered)

    @Slot(str)
    def _failed(self, reason: str) -> None:
        self._asking = False
        self.failed.emit(reason)
