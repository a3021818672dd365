"""Short work beside the window (an import, a search, a deletion): one thread, one database connection."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QThread, QTimer, Signal, Slot

from rlhf_lab.core.errors import LabError

if TYPE_CHECKING:
    from rlhf_lab.store import Store

_log = logging.getLogger(__name__)

Work = Callable[["Store", "Background"], Any]


class Background(QThread):
    """Connect its signals to bound methods of GUI objects alone: anything else would run in this thread."""

    progressed = Signal(object, object)
    """Done and total; objects, since bytes can be more than an int of C."""
    part = Signal(object)
    """Something that the work found so far."""
    done = Signal(object)
    """What the work returned."""
    failed = Signal(str)
    """Why it did not, in words."""

    def __init__(self, work: Work, database: Path, parent: QObject | None = None, title: str = ""):
        super().__init__(parent)
        self.title = title
        """What a person waits for, and what is kept of it where it ends early; "" for what nobody would miss."""
        self._work, self._database = work, database
        self._cancelled = self._left = False

    def start_soon(self) -> None:
        """Start in the next turn of the event loop, once the caller has connected."""
        QTimer.singleShot(0, self, self._start)

    def cancel(self) -> None:
        """Ask the work to end; it looks at `cancelled` now and then."""
        self._cancelled = True

    def let_go(self) -> None:
        """The same, and never begin: nobody will wait for this thread any more. Wait for it once if it has begun."""
        self._cancelled = self._left = True

    def cancelled(self) -> bool:
        """Whether it was asked to end."""
        return self._cancelled

    def tell(self, what: str, done: int, total: int) -> None:
        """For work that says what it does, and how far it is: as a `part`, and as progress."""
        self.part.emit(what)
        self.progressed.emit(done, total)

    @Slot()
    def _start(self) -> None:
        if not self._left:
            self.start()

    def forget(self) -> None:
        """Let go of the work, once it has ended and before this is deleted: it may hold the last reference to the parent,
        which would then delete this thread a second time, in the middle of the first."""
        del self._work

    def run(self) -> None:
        """See `QThread.run`."""
        from rlhf_lab.store import Store

        if self._cancelled:
            return
        try:
            with Store.open(self._database) as store:
                result = self._work(store, self)
        except LabError as error:
            self.failed.emit(str(error))
        except Exception as error:  # the window must hear of the end, whatever it was
            _log.exception("in the background")
            self.failed.emit(f"It did not work out ({type(error).__name__}: {error}).")
        else:
            self.done.emit(result)
