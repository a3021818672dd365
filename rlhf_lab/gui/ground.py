"""What the project stands on: that its folder is still where it was opened, and that its disk has room."""

import shutil
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Slot

from rlhf_lab.gui.widgets.message_bar import MessageBar

EVERY_MS = 2000
LOW_BYTES = 256 << 20
"""Below this much free space a person is told, once until there is twice as much."""


class Ground(QObject):
    """Looks every two seconds; lives in the GUI thread, and says what it finds in the message area."""

    def __init__(self, database: Path, messages: MessageBar, parent: QObject | None = None):
        super().__init__(parent)
        self._database, self._messages = database, messages
        self._opened = _identity(database)
        self._lost = self._low = ""
        self._timer = QTimer(self, interval=EVERY_MS)
        self._timer.timeout.connect(self.look)
        self._timer.start()

    def close(self) -> None:
        """Look no more."""
        self._timer.stop()

    @Slot()
    def look(self) -> None:
        """Say what has changed since the last look."""
        there = _identity(self._database)
        self._tell_lost(there)
        if there is not None:
            self._tell_low()

    def _tell_lost(self, there: tuple[int, int] | None) -> None:
        folder = self._database.parent
        words = ""
        if there is None:
            words = (
                f"The project folder {folder} is gone: moved, renamed or deleted, or its disk was taken out. What you do "
                "now may be lost. Put it back, or close the lab and open the project where it is now."
            )
        elif there != self._opened:
            words = (
                f"{self._database} is another file than the one that was opened. What you do now may be lost: close "
                "the lab and open it again."
            )
        if words == self._lost:
            return
        if self._lost:
            self._messages.take_back(self._lost)
        if words:
            self._messages.show_message(words, "problem")
        else:
            self._messages.show_message(f"The project folder {folder} is back.")
        self._lost = words

    def _tell_low(self) -> None:
        free = shutil.disk_usage(self._database.parent).free
        if free < LOW_BYTES and not self._low:
            self._low = (
                f"Only {free >> 20:,} MB are free on the disk of {self._database.parent}. Runs wait and nothing more is "
                "stored once it is full: delete something there."
            )
            self._messages.show_message(self._low, "problem")
        elif free > 2 * LOW_BYTES and self._low:
            self._messages.take_back(self._low)
            self._low = ""


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
