"""One 10 Hz timer for all plots: it redraws only what is dirty and visible, and stands still when nothing is."""

from typing import Protocol
from weakref import WeakSet

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QApplication
from shiboken6 import isValid

EVERY_MS = 100
SOON_MS = 15
"""After a zoom or a click the person waits for the picture: one frame, not a tenth of a second."""


class Drawn(Protocol):
    """A widget that can bring its picture up to date."""

    def isVisible(self) -> bool: ...

    def redraw(self) -> None: ...

    def __hash__(self) -> int: ...


class RedrawClock(QObject):
    """Lives as long as the application."""

    def __init__(self, app: QApplication):
        super().__init__(app)
        self._dirty: WeakSet[Drawn] = WeakSet()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._tick)

    def ask(self, plot: Drawn, *, soon: bool = False) -> None:
        """Redraw ``plot`` at the next tick; a hidden one waits until it asks again when it is shown."""
        if not plot.isVisible():
            return
        self._dirty.add(plot)
        if not self._timer.isActive():
            self._timer.start(SOON_MS if soon else EVERY_MS)
        elif soon and self._timer.remainingTime() > SOON_MS:
            self._timer.start(SOON_MS)

    def _tick(self) -> None:
        plots, self._dirty = self._dirty, WeakSet()
        for plot in plots:
            # Qt may have deleted a widget that Python still holds.
            if isValid(plot) and plot.isVisible():
                plot.redraw()


def redraw_clock() -> RedrawClock:
    """The clock of the running application; made on first use."""
    app = QApplication.instance()
    assert isinstance(app, QApplication), "make the QApplication first"
    return app.findChild(RedrawClock) or RedrawClock(app)
