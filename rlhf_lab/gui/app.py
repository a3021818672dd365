"""The application: one project, one window, and what stands ready behind it."""

import faulthandler
import logging
import os
import sys
from contextlib import closing
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING

import shiboken6
from PySide6.QtCore import QByteArray, QObject, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QApplication, QDialog, QDialogButtonBox, QVBoxLayout

from rlhf_lab import __version__
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.typed_path import typed_path
from rlhf_lab.gui.closing import CloseDialog
from rlhf_lab.gui.failures import Failures, Telling
from rlhf_lab.gui.ground import Ground
from rlhf_lab.gui.guided import put_bundled
from rlhf_lab.gui.keeper import Keeper
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.projects import BUSY_MS, DATABASE, Next
from rlhf_lab.gui.run_ends import KeptAwake
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.single import SingleWindow
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.trainers import Trainers
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.runs.project import Project, default_folder
from rlhf_lab.runs.project_log import CRASHES, close_log, open_log
from rlhf_lab.store.sqlite_words import DamagedError

if TYPE_CHECKING:
    from rlhf_lab.gui.restoring import Restoring
    from rlhf_lab.store.backups import Backup

_log = logging.getLogger(__name__)

_FRAME = QSize(16, 48)
"""What a system's frame and title bar take at most: a window that just fills a small screen would have its foot below it."""
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
    folder = typed_path(project).resolve() if project is not None else _last(settings)
    single, said = SingleWindow(folder), ""
    try:
        opened = Project.open(folder, busy_ms=BUSY_MS)
    except DamagedError as error:
        from rlhf_lab.gui.restoring import rescue

        said = (single.claim() and rescue(folder, str(error))) or ""
        if not said:
            return 1
        opened = Project.open(folder, busy_ms=BUSY_MS)
    except LabError as error:
        _say(str(error))
        return 1
    if not single.claim():
        reached = single.raise_first()
        opened.close()
        if not reached:
            _say(f"The project {folder} is open in another window, which does not answer. Close that one first.")
        return 0 if reached else 1
    with closing(note_crashes(folder)):
        sitting = Sitting(opened, settings, single, guided)
        if said:
            sitting.session.window.show_note(said)
        code = app.exec()
        sitting.session.close()
        faulthandler.disable()
        sitting.forget_crashes()
    return code


def note_crashes(folder: Path) -> IO[bytes]:
    """Where a library takes the process with it, this is what is left; for as long as the file is held."""
    crashes = open(os.open(folder / CRASHES, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb")  # noqa: PTH123, SIM115 - private mode
    faulthandler.enable(crashes)
    return crashes


class Sitting(QObject):
    """The session that is open; one after the other, on the same project for a restore, or on another one."""

    reopened = Signal()

    def __init__(self, project: Project, settings: Settings, single: SingleWindow, guided: bool = False):
        super().__init__()
        self._folder, self._settings, self._single = project.folder, settings, single
        self._restoring: Restoring | None = None
        self._place: QByteArray | None = None
        self._crashes: IO[bytes] | None = None
        self._open(project, guided)

    def _open(self, project: Project, guided: bool = False) -> None:
        self._settings.put_project(project.folder)
        self.session = Session(project, self._settings, self._single, guided)
        self.session.restore_asked.connect(self._restore)
        self.session.left_for.connect(self._switch)
        window = self.session.window
        if self._place is not None:
            window.restoreGeometry(self._place)
        else:
            window.resize(window.size().boundedTo(window.screen().availableSize() - _FRAME))
        window.show()

    def forget_crashes(self) -> None:
        """Close the file of a project that was switched to."""
        if self._crashes is not None:
            self._crashes.close()
            self._crashes = None

    @Slot(object)
    def _switch(self, coming: Next) -> None:
        """Close what is open, but for runs that were left to train, and open another project in its place."""
        old, self._place = self.session, self.session.window.saveGeometry()
        old.close()
        old.deleteLater()
        self._folder, self._single = coming.project.folder, coming.single
        crashes = note_crashes(self._folder)
        self.forget_crashes()
        self._crashes = crashes
        self._open(coming.project)
        self.reopened.emit()

    @Slot(object)
    def _restore(self, backup: "Backup") -> None:
        """Ask first where something would be lost, as at closing."""
        window = self.session.window
        works, unkept = self.session.lab.under_way(), window.unkept()
        if not works and not unkept:
            self._restore_now(backup)
            return
        dialog = CloseDialog([], 0, works, unkept, window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.keep_chosen.connect(partial(self._restore_now, backup))
        dialog.open()

    def _restore_now(self, backup: "Backup") -> None:
        """Runs that train go on: the next session attaches to them."""
        from rlhf_lab.gui.restoring import Restoring, RestoringDialog

        self._place = self.session.window.saveGeometry()
        self.session.lab.let_go()
        self.session.window.hide()
        self.session.leave()
        self._waiting = RestoringDialog(backup)
        self._waiting.show()
        self._restoring = Restoring(self._folder, backup, self)
        self._restoring.finished.connect(self._restored)
        self._restoring.start()

    @Slot()
    def _restored(self) -> None:
        work = self._restoring
        assert work is not None
        work.wait()
        work.deleteLater()
        for old in (self.session.window, self.session):
            old.deleteLater()
        try:
            self._open(Project.open(self._folder, busy_ms=BUSY_MS))
        except LabError as error:
            self._waiting.accept()
            _say(f"{work.words} {error}")
            QApplication.quit()
            return
        self._waiting.accept()
        (self.session.window.show_note if work.worked else self.session.window.show_problem)(work.words)
        self.reopened.emit()


class Session(QObject):
    """One opened project: window and lab, and what comes after the first paint."""

    restore_asked = Signal(object)
    """The `Backup` that is to take the database's place; whoever hears it closes this session first."""
    left_for = Signal(object)
    """The window was closed for another project, a `Next`; whoever hears it closes this session and opens that."""

    def __init__(self, project: Project, settings: Settings, single: SingleWindow, guided: bool = False):
        super().__init__()
        self.project, self._settings, self._single, self._guided = project, settings, single, guided
        self._log = open_log(project.folder)
        _log.info("window opened, RLHF Lab %s", __version__)
        self.trainers = Trainers(settings)
        self.lab = Lab(project, self.trainers.begin)
        self.lab.default_threads = settings.threads
        self.keeper = Keeper(self.lab, self)
        KeptAwake(self.lab, settings)
        self.window = MainWindow(self.lab, settings)
        self.projects = self.window.projects
        self._ground = Ground(project.store.path, self.window.messages, self)
        self._failures = Failures(self)
        self._telling = Telling(self._failures, self.window)
        self.keeper.problem.connect(self.window.show_problem)
        self.keeper.restore_chosen.connect(self.restore_asked)
        self.window.backups_asked.connect(self._show_backups)
        self.window.closed.connect(self._quit)
        settings.changed.connect(self._settings_changed)
        single.raise_asked.connect(self.window.come_to_front)
        self._idle = QTimer(self, singleShot=True, interval=_IDLE_MS)
        self._idle.timeout.connect(self._when_idle)
        self.lab.run_changed.connect(self._run_changed)
        QTimer.singleShot(0, self, self._after_first_paint)

    def close(self) -> None:
        """After the window: let go of everything that is not a run, and of the window itself.

        It is destroyed here, in Qt's order: left to the collector, its widgets would go in any order, each taking along
        what another still holds, which ends the process now and then.
        """
        self.leave()
        self._single.close()
        shiboken6.delete(self.window)

    def leave(self) -> None:
        """The same, but the project stays this process's own."""
        self.lab.run_changed.disconnect(self._run_changed)
        self._idle.stop()
        self._ground.close()
        self._failures.close()
        self.window.diagnostics.close()
        self.trainers.close()
        self.project.close()
        _log.info("window closed")
        close_log(self._log)

    @Slot()
    def _after_first_paint(self) -> None:
        self._single.listen()
        self._idle.start()
        self.keeper.start()  # backups are made whatever befalls the runs
        self.lab.find_runs()
        if self._guided:
            self.window.start_guide()
        elif not self.project.store.datasets():  # what a person deleted stays deleted
            task = self.lab.in_background(put_bundled(self.project.folder))
            task.done.connect(self.lab.datasets_changed)
            task.failed.connect(self.window.show_problem)

    @Slot(str)
    def _run_changed(self, run: str) -> None:
        """After the last run of a row the next one is to start at once, too."""
        if not self.lab.live() and not self.lab.queued():
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
    def _show_backups(self) -> None:
        self.keeper.show_backups(self.window)

    @Slot()
    def _quit(self) -> None:
        if self.projects.next is None:
            QApplication.quit()
        else:
            QTimer.singleShot(0, self, self._leave_for_next)  # the window is in the middle of closing

    @Slot()
    def _leave_for_next(self) -> None:
        self.left_for.emit(self.projects.next)


def _last(settings: Settings) -> Path:
    """The project that was open last, if it is still there."""
    last = next(iter(settings.projects), "")
    return Path(last) if last and (Path(last) / DATABASE).is_file() else default_folder()


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
    theme().dress(dialog)
    dialog.exec()
