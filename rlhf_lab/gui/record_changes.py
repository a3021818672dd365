"""Edits, removals, undo and redo of records: one after the other beside the window, none dropped, none out of order."""

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import AnyRecord
from rlhf_lab.gui.background import Background, Work
from rlhf_lab.gui.lab import Lab

if TYPE_CHECKING:
    from rlhf_lab.store import Store

Range = tuple[int, int, int]
"""Records that follow each other: the ids of the first and the last, and how many they are."""


class RecordChanges(QObject):
    """A lock may have to be waited for, so nothing is written in the window's own thread."""

    written = Signal()
    """The last change that was asked for is stored."""
    failed = Signal(str)
    """One was not, and why; those after it go on."""

    def __init__(self, lab: Lab, parent: QObject | None = None):
        super().__init__(parent)
        self._lab = lab
        self._waiting: deque[Work] = deque()
        self._task: Background | None = None

    @property
    def busy(self) -> bool:
        """Whether something is still to be stored."""
        return self._task is not None

    def edit(self, name: str, key: int, record: AnyRecord) -> None:
        """Put another record in a record's place."""
        self._add(lambda store, task: store.edit(name, key, record))

    def remove(self, name: str, ranges: Sequence[Range]) -> None:
        """Remove these records in one step."""
        self._add(lambda store, task: store.remove(name, _ids(store, name, ranges)))

    def remove_found(self, name: str, keys: Sequence[int]) -> None:
        """Remove records that do not follow each other."""
        self._add(lambda store, task: store.remove(name, keys))

    def undo(self, name: str) -> None:
        """Take the last step back."""
        self._add(lambda store, task: store.undo_edit(name))

    def redo(self, name: str) -> None:
        """Do it again."""
        self._add(lambda store, task: store.redo_edit(name))

    def _add(self, work: Work) -> None:
        self._waiting.append(work)
        if self._task is None:
            self._next()

    def _next(self) -> None:
        self._task = self._lab.in_background(self._waiting.popleft())
        self._task.done.connect(self._done)
        self._task.failed.connect(self._not_done)

    @Slot(object)
    def _done(self, _: object) -> None:
        self._task = None
        if self._waiting:
            self._next()
        else:
            self.written.emit()

    @Slot(str)
    def _not_done(self, reason: str) -> None:
        self.failed.emit(reason)
        self._done(None)


def _ids(store: "Store", name: str, ranges: Sequence[Range]) -> list[int]:
    """The ids in these ranges; raises `LabError` where somebody else has changed what stands there."""
    ids: list[int] = []
    for first, last, count in ranges:
        found = [row.id for row in store.page(name, first - 1, count)]
        if len(found) != count or found[0] != first or found[-1] != last:
            raise LabError("These records have changed meanwhile. Look at them again before you delete them.")
        ids += found
    return ids
