"""Making the search index of the data set in view, behind, in a process of its own."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from rlhf_lab.gui.background import Background, Work
from rlhf_lab.gui.data_process import DataProcess
from rlhf_lab.gui.lab import Lab

if TYPE_CHECKING:
    from rlhf_lab.store import DatasetRow, Store

INDEXED_FROM = 5_000
"""Records; fewer are looked through as they are in a moment."""


class SearchMaking(QObject):
    """One data set at a time; one that is left goes on where it was when it is shown again."""

    told = Signal(str)
    """How far it is, in a few words; "" when there is nothing to wait for."""

    def __init__(self, lab: Lab, parent: QObject | None = None):
        super().__init__(parent)
        self._lab = lab
        self._process = DataProcess(lab.project.store.path)
        self._task: Background | None = None
        lab.closing.connect(self._close)

    def make(self, row: "DatasetRow") -> None:
        """Make the index of a data set where it is missing, instead of what was being made."""
        self._leave()
        self.told.emit("")
        if row.records >= INDEXED_FROM:
            self._task = self._lab.in_background(_indexing(self._process, row.name))
            self._task.progressed.connect(self._grew)
            self._task.done.connect(self._done)
            self._task.failed.connect(self._failed)

    def _leave(self) -> None:
        if self._task is not None:
            self._task.failed.disconnect()  # that it was cancelled is no news
            self._task.cancel()
        self._task = None

    @Slot()
    def _close(self) -> None:
        self._leave()
        self._process.rest()

    @Slot(object, object)
    def _grew(self, done: int, total: int) -> None:
        if self.sender() is self._task and total:
            self.told.emit(f"Search index: {100 * done // total}%" if done < total else "")

    @Slot(object)
    def _done(self, _: object) -> None:
        if self.sender() is self._task:
            self._task = None
            self.told.emit("")

    @Slot(str)
    def _failed(self, reason: str) -> None:
        if self.sender() is self._task:
            self._task = None
            self.told.emit("")
            self._lab.message.emit(f"Searching stays slow, since the index could not be made. {reason}")


def _indexing(process: DataProcess, name: str) -> Work:
    """Work for `Lab.in_background`: make the search index where it is missing; progress in records."""

    def work(store: "Store", task: Background) -> None:
        if store.search_ready(name):
            return
        # In a thread of the window's process it would take the GIL from every repaint.
        with process.use() as data:
            data.build_search(name, progress=task.progressed.emit, cancelled=task.cancelled)
        process.rest()

    return work
