"""Restoring while no window has the project open: between two windows, or before the first."""

import logging
from pathlib import Path

from PySide6.QtCore import QObject, QThread
from PySide6.QtWidgets import QDialog, QProgressBar, QVBoxLayout

from rlhf_lab.core.errors import LabError
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.backups_dialog import BackupsDialog, offered, when
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.runs.importing import children_are_gone
from rlhf_lab.runs.keeping import DATABASE, restore_project
from rlhf_lab.runs.project_log import logging_to
from rlhf_lab.store.backups import Backup

_log = logging.getLogger(__name__)

_PATIENCE_S = 120.0
"""For what an import that was ended with the window still has to remove; a long one takes a while."""


class Restoring(QThread):
    """`restore_project` in a thread of its own; a large database takes many seconds. Read the result when it is over."""

    def __init__(self, folder: Path, backup: Backup, parent: QObject | None = None):
        super().__init__(parent)
        self._folder, self._backup = folder, backup
        self.words, self.worked = "", False
        """What came of it, for the person."""

    def run(self) -> None:
        """See `QThread.run`."""
        try:
            if not children_are_gone(_PATIENCE_S):
                raise LabError("What an import had stored when it was ended is still being removed. Try again later.")
            with logging_to(self._folder):
                restored = restore_project(self._folder, self._backup)
        except LabError as error:
            self.words = f"The backup was not restored. {error}"
        except Exception as error:  # the person must get a window again, whatever it was
            _log.exception("restoring %s", self._backup.name)
            self.words = f"The backup was not restored ({type(error).__name__}: {error})."
        else:
            kept = f" The one of before is kept: {restored.aside.name}." if restored.aside else ""
            self.words, self.worked = f"The database is that of {when(self._backup)} again.{kept}", True


class RestoringDialog(QDialog):
    """Shown meanwhile; cannot be left, since the work cannot be left half done."""

    def __init__(self, backup: Backup):
        super().__init__()
        self.setWindowTitle("RLHF Lab")
        self.setMinimumWidth(420)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 24)
        column.setSpacing(16)
        column.addWidget(PlainLabel(f"Going back to {when(backup)} …", role="heading"))
        bar = QProgressBar()
        bar.setRange(0, 0)
        bar.setTextVisible(False)
        bar.setAccessibleName("Restoring")
        column.addWidget(bar)
        theme().dress(self)

    def reject(self) -> None:
        """Escape does nothing."""


def rescue(folder: Path, problem: str) -> str | None:
    """Offer the backups of a project whose database is damaged; what came of it, None where nothing was restored."""
    dialog = BackupsDialog(folder, problem=problem)
    theme().dress(dialog)
    dialog.show_backups(offered(folder / DATABASE))
    chosen: list[Backup] = []
    dialog.restore_chosen.connect(chosen.append)
    dialog.exec()
    if not chosen:
        return None
    waiting, work = RestoringDialog(chosen[0]), Restoring(folder, chosen[0])
    work.finished.connect(waiting.accept)
    work.start()
    waiting.exec()
    work.wait()
    return work.words if work.worked else rescue(folder, work.words)
