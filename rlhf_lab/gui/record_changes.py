"""Edits, removals, undo and redo of records: one after the other beside the window, none dropped, none out of order."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QObject, Signal, Slot

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import AnyRecord
from rlhf_lab.gui.background import Background
from rlhf_lab.gui.lab import Lab

if TYPE_CHECKING:
    from rlhf_lab.store import Store

_What = Literal["change", "undo", "redo"]
Range = tuple[int, int, int]
"""Records that follow each other: the ids of the first and the last, and how many they are."""


class _Change:
    """One that was asked for of a data set, as `Work` beside the window or in its own thread."""

    def __init__(self, name: str, what: _What, act: Callable[["Store"], object]):
        self._name, self._what, self._act = name, what, act
        self.stored = False

    def means(self, refused: "_Change") -> bool:
        """Whether it was asked for to take that one back; now that it was refused, another step would be taken."""
        return self._name == refused._name and self._what == ("redo" if refused._what == "undo" else "undo")

    def __call__(self, store: "Store", task: Background | None = None) -> None:
        self._act(store)
        self.stored = True


class RecordChanges(QObject):
    """A lock may have to be waited for, so nothing is written in the window's own thread, until the window closes."""

    written = Signal()
    """The last change that was asked for is stored."""
    failed = Signal(str)
    """One was not, and why; those after it go on, but for one that was to take it back."""

    def __init__(self, lab: Lab, parent: QObject | None = None):
        super().__init__(parent)
        self._lab = lab
        self._waiting: deque[_Change] = deque()
        """The first one is in hand."""
        self._task: Background | None = None

    @property
    def busy(self) -> bool:
        """Whether something is still to be stored."""
        return bool(self._waiting)

    def edit(self, name: str, key: int, record: AnyRecord) -> None:
        """Put another record in a record's place."""
        self._add(name, "change", lambda store: store.edit(name, key, record))

    def remove(self, name: str, ranges: Sequence[Range]) -> None:
        """Remove these records in one step."""
        self._add(name, "change", lambda store: store.remove(name, _ids(store, name, ranges)))

    def remove_found(self, name: str, keys: Sequence[int]) -> None:
        """Remove records that do not follow each other."""
        self._add(name, "change", lambda store: store.remove(name, keys))

    def undo(self, name: str) -> None:
        """Take the last step back."""
        self._add(name, "undo", lambda store: store.undo_edit(name))

    def redo(self, name: str) -> None:
        """Do it again."""
        self._add(name, "redo", lambda store: store.redo_edit(name))

    def finish(self, busy_ms: int, *, last: bool = False) -> str:
        """Store here and now what waits, since the window closes; why something could not be, "" where all is stored.

        ``busy_ms``: how long a lock is waited for. What could not be stored is tried again beside the window, if it
        stays, and what was asked for after it comes after it; ``last``: the window goes, so that is tried all the same.
        """
        from rlhf_lab.store import Store

        reason = ""
        if self._task is not None:
            self._task.cancel()  # it does not begin any more; if it has begun, it goes on to its end
            self._task.wait()
            self._task = None
            if self._waiting[0].stored:
                self._waiting.popleft()
        failed: deque[_Change] = deque()
        for change in self._waiting:
            if failed and (not last or change.means(failed[-1])):
                failed.append(change)
                continue
            try:
                with Store.open(self._lab.project.store.path, busy_ms=busy_ms) as store:
                    change(store)
            except LabError as error:
                reason = reason or str(error)
                failed.append(change)
        self._waiting = failed
        if failed:
            self._next()
        return reason

    def _add(self, name: str, what: _What, act: Callable[["Store"], object]) -> None:
        self._waiting.append(_Change(name, what, act))
        if self._task is None:
            self._next()

    def _next(self) -> None:
        self._task = self._lab.in_background(self._waiting[0])
        self._task.done.connect(self._done)
        self._task.failed.connect(self._not_done)

    @Slot(object)
    def _done(self, _: object) -> None:
        if self.sender() is self._task:  # not one whose end `finish` has seen
            self._go_on()

    @Slot(str)
    def _not_done(self, reason: str) -> None:
        if self.sender() is self._task:
            self.failed.emit(reason)
            if len(self._waiting) > 1 and self._waiting[1].means(self._waiting[0]):
                del self._waiting[1]
            self._go_on()

    def _go_on(self) -> None:
        self._task = None
        self._waiting.popleft()
        if self._waiting:
            self._next()
        else:
            self.written.emit()


def _ids(store: "Store", name: str, ranges: Sequence[Range]) -> list[int]:
    """The ids in these ranges; raises `LabError` where somebody else has changed what stands there."""
    ids: list[int] = []
    for first, last, count in ranges:
        found = [row.id for row in store.page(name, first - 1, count)]
        if len(found) != count or found[0] != first or found[-1] != last:
            raise LabError("These records have changed meanwhile. Look at them again before you delete them.")
        ids += found
    return ids
