"""Garbage is collected in the GUI thread alone.

Python collects in whichever thread happens to allocate; a trainer thread that collects cyclic
widgets while the window makes new ones crashes Qt (4 of 4 stress runs).
"""

import gc

from PySide6.QtCore import QObject, QTimer, Slot

_EVERY_MS = 250


class Collector(QObject):
    """Switches automatic collection off until `close`, and collects on a timer instead."""

    def __init__(self, parent: QObject):
        super().__init__(parent)
        self._thresholds = gc.get_threshold()
        self._settled = False
        gc.disable()
        self._timer = QTimer(self)
        self._timer.setInterval(_EVERY_MS)
        self._timer.timeout.connect(self._collect)
        self._timer.start()

    def close(self) -> None:
        """Let Python collect as it likes again."""
        self._timer.stop()
        if self._settled:
            gc.unfreeze()  # what this window held may go
        gc.enable()

    def settle(self) -> None:
        """What is there now is there to stay (modules, panes): full collections need not walk it (59 ms)."""
        self._settled = True
        gc.freeze()

    @Slot()
    def _collect(self) -> None:
        youngest, middle, oldest = gc.get_count()
        first, second, third = self._thresholds
        if youngest <= first:
            return
        generation = 0
        if middle > second:
            generation = 2 if oldest > third else 1
        gc.collect(generation)
