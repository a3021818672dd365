"""The application: one project, one window, and what stands ready behind it."""

import logging
import os
import sys
import traceback
from functools import partial
from importlib import import_module
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QApplication, QDialog, QDialogButtonBox, QVBoxLayout

from rlhf_lab.core.errors import LabError
from rlhf_lab.gui.guided import put_bundled
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.single import SingleWindow
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.trainers import Trainers
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.runs.project import Project, default_folder

_log = logging.getLogger(__name__)

BUSY_MS = 50
"""How long the window waits for another process's database lock; longer would be felt."""

_IDLE_MS = 1500
_BETWEEN_MS = 300
_PRELOADED = ("rlhf_lab.gui.panes.rank", "numpy", "pyqtgraph", "rlhf_lab.gui.panes.policy")
"""The plots take 0.6 s to import, ranking 0.2 s: better while nobody acts than at the first click on a pane."""


def main(project: Path | str | None = None, guided: bool = False) -> int:
    """Open the window on a project and stay until it is closed; ``guided`` begins the guided experiment."""
    os.umask(0o077)
    app = QApplication.instance() or QApplication(sys.argv[:1])
    app.setApplicationName("RLHF Lab")
    app.setApplicationDisplayName("RLHF Lab")
    app.setQuitOnLastWindowClosed(False)
    settings = Settings(default_folder().parent / "settings.ini")
    theme().choose(settings.theme)
    try:
        opened = Project.open(project, busy_ms=BUSY_MS)
    except LabError as error:
        _say(str(error))
        return 1
    single = SingleWindow(opened.folder)
    if not single.claim():
        reached = single.raise_first()
        opened.close()
        if not reached:
            _say(f"The project {opened.folder} is open in another window, which does not answer. Close that one first.")
        return 0 if reached else 1
    session = Session(opened, settings, single, guided)
    session.window.show()
    code = app.exec()
    session.close()
    return code


class Session(QObject):
    """One opened project: window and lab, and what comes after the first paint."""

    def __init__(self, project: Project, settings: Settings, single: SingleWindow, guided: bool = False):
        super().__init__()
        self.project, self._settings, self._single, self._guided = project, settings, single, guided
        self.trainers = Trainers(settings)
        self.lab = Lab(project, self.trainers.begin)
        self.lab.default_threads = settings.threads
        self.window = MainWindow(self.lab, settings)
        self._failures = Failures(self)
        self._failures.happened.connect(self.window.show_problem)
        self.window.closed.connect(self._quit)
        settings.changed.connect(self._settings_changed)
        single.raise_asked.connect(self.window.come_to_front)
        self._idle = QTimer(self, singleShot=True, interval=_IDLE_MS)
        self._idle.timeout.connect(self._when_idle)
        QTimer.singleShot(0, self, self._after_first_paint)

    def close(self) -> None:
        """After the window: let go of everything that is not a run."""
        self._failures.close()
        self.trainers.close()
        self._single.close()
        self.project.close()

    @Slot()
    def _after_first_paint(self) -> None:
        self._single.listen()
        self.lab.find_runs()
        if self._guided:
            self.window.start_guide()
        elif not self.project.store.datasets():  # what a person deleted stays deleted
            task = self.lab.in_background(put_bundled(self.project.folder))
            task.done.connect(self.lab.datasets_changed)
            task.failed.connect(self.window.show_problem)
        self._idle.start()

    @Slot()
    def _when_idle(self) -> None:
        """Ready a trainer, then import what the first training pane needs, piece by piece."""
        if self.lab.live():
            return
        self.trainers.stand_by()
        for number, module in enumerate(_PRELOADED, 1):
            QTimer.singleShot(number * _BETWEEN_MS, self, partial(import_module, module))

    @Slot()
    def _settings_changed(self) -> None:
        self.lab.default_threads = self._settings.threads
        self.trainers.settings_changed()

    @Slot()
    def _quit(self) -> None:
        QApplication.quit()


class Failures(QObject):
    """Errors that nobody caught: logged in full, told in a sentence, and the window lives on."""

    happened = Signal(str)

    def __init__(self, parent: QObject | None = None):
        super().__init__(parent)
        self._before = sys.excepthook
        sys.excepthook = self._take

    def close(self) -> None:
        """Errors go where they went before."""
        sys.excepthook = self._before

    def _take(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            QApplication.quit()
            return
        if not issubclass(kind, LabError):
            sys.stderr.write("".join(traceback.format_exception(kind, error, trace)))
        # A signal, since the error may have happened in any thread.
        self.happened.emit(
            str(error)
            if isinstance(error, LabError)
            else f"Something went wrong inside the lab ({kind.__name__}: {error}). The terminal has the details; your "
            "data and runs are safe."
        )


def _say(text: str) -> None:
    """There is no window yet."""
    sys.stderr.write(text + "\n")
    dialog = QDialog()
    dialog.setWindowTitle("RLHF Lab")
    dialog.setMinimumWidth(480)
    column = QVBoxLayout(dialog)
    column.setContentsMargins(24, 24, 24, 16)
    column.setSpacing(16)
    column.addWidget(PlainLabel(text, wrap=True))
    buttons = QDialogButtonBox()
    buttons.addButton("Close", QDialogButtonBox.ButtonRole.RejectRole)
    buttons.rejected.connect(dialog.reject)
    column.addWidget(buttons)
    dialog.exec()
