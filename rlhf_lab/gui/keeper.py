"""Backups beside the window: made when they are due, listed and asked for in a dialog."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QWidget

from rlhf_lab.gui.background import Background, Work
from rlhf_lab.gui.lab import Lab

if TYPE_CHECKING:
    from rlhf_lab.gui.widgets.backups_dialog import BackupsDialog
    from rlhf_lab.store import Store

FIRST_MS = 15_000
EVERY_MS = 600_000


class Keeper(QObject):
    """Looks every ten minutes whether a backup is due; one task at a time."""

    restore_chosen = Signal(object)
    """The `rlhf_lab.store.backups.Backup` that a person wants back."""
    problem = Signal(str)

    def __init__(self, lab: Lab, parent: QObject | None = None):
        super().__init__(parent)
        self._lab = lab
        self._task: Background | None = None
        self._dialog: BackupsDialog | None = None
        self._timer = QTimer(self, interval=FIRST_MS)
        self._timer.timeout.connect(self.look)
        lab.closing.connect(self._timer.stop)

    def start(self) -> None:
        """Look soon, then now and then."""
        self._timer.start()

    @Slot()
    def look(self) -> None:
        """Back up if that is due."""
        self._timer.setInterval(EVERY_MS)
        if self._task is None:
            self._begin(_back_up_if_due)

    def show_backups(self, parent: QWidget) -> None:
        """Open the dialog."""
        from rlhf_lab.gui.widgets.backups_dialog import BackupsDialog

        dialog = self._dialog = BackupsDialog(self._lab.project.folder, parent)
        dialog.copy_asked.connect(self._copy)
        dialog.restore_chosen.connect(self.restore_chosen)
        dialog.finished.connect(self._closed)
        dialog.open()
        self._list()

    @Slot()
    def _copy(self) -> None:
        if self._task is None and self._dialog is not None:
            self._dialog.copy.setEnabled(False)
            self._begin(_back_up)

    def _begin(self, work: Work) -> None:
        task = self._task = self._lab.in_background(work)
        task.failed.connect(self.problem)
        task.finished.connect(self._ended)

    @Slot()
    def _ended(self) -> None:
        self._task = None
        if self._dialog is not None:
            self._dialog.copy.setEnabled(True)
            self._list()

    def _list(self) -> None:
        self._lab.in_background(_offered).done.connect(self._listed)

    @Slot(object)
    def _listed(self, found: list) -> None:
        if self._dialog is not None:
            self._dialog.show_backups(found)

    @Slot()
    def _closed(self) -> None:
        if self._dialog is not None:
            self._dialog.deleteLater()
        self._dialog = None


def _back_up_if_due(store: "Store", task: Background) -> object:
    from rlhf_lab.runs.keeping import back_up_if_due

    return back_up_if_due(store.path, task.cancelled)


def _back_up(store: "Store", task: Background) -> object:
    from rlhf_lab.store.backups import ASKED, back_up

    return back_up(store.path, ASKED, cancelled=task.cancelled)


def _offered(store: "Store", task: Background) -> object:
    from rlhf_lab.gui.widgets.backups_dialog import offered

    return offered(store.path)
