"""Copy diagnostics: ``rlhf-lab diagnostics`` in a process of its own, its text put on the clipboard."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QPushButton, QWidget

from rlhf_lab.core.help import tip
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.help_mark import explain
from rlhf_lab.gui.widgets.plain_text import plain_tip


class Diagnostics(QObject):
    """Asked for from several places; one collection at a time. Ends with its parent."""

    began = Signal()
    ended = Signal(str)
    """"" when the text is on the clipboard, else why it is not."""

    def __init__(self, project: Path, parent: QObject | None = None, command: Sequence[str] | None = None):
        super().__init__(parent)
        self._project, self._command = project, command
        self._process: QProcess | None = None

    @property
    def collecting(self) -> bool:
        """Whether it is on its way."""
        return self._process is not None

    @Slot()
    def copy(self) -> None:
        """Collect, then copy; does nothing while it does so already."""
        if self._process is not None:
            return
        from rlhf_lab.runs.diagnostics import command_for, environment  # the first window needs none of it

        process = self._process = QProcess(self)
        known = QProcessEnvironment()
        for name, value in environment().items():
            known.insert(name, value)
        process.setProcessEnvironment(known)
        process.finished.connect(self._finished)
        process.errorOccurred.connect(self._failed)
        program, *arguments = self._command or command_for(self._project)
        process.start(program, arguments)
        process.closeWriteChannel()
        self.began.emit()

    @Slot()
    def close(self) -> None:
        """Nobody waits any more."""
        if self._process is not None:
            self._process.finished.disconnect(self._finished)
            self._process.errorOccurred.disconnect(self._failed)
            self._process.kill()
            self._process.waitForFinished()
            self._process = None

    @Slot()
    def _finished(self) -> None:
        process = self._process
        if process is None:
            return
        text = bytes(process.readAllStandardOutput().data()).decode("utf-8", "replace")
        good = process.exitStatus() == QProcess.ExitStatus.NormalExit and process.exitCode() == 0 and bool(text.strip())
        if good:
            QGuiApplication.clipboard().setText(text)
        self._end("" if good else "The process that collects them ended early. In a terminal: rlhf-lab diagnostics")

    @Slot(QProcess.ProcessError)
    def _failed(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._end("The process that collects them could not be started.")

    def _end(self, problem: str) -> None:
        if self._process is not None:
            self._process.deleteLater()
            self._process = None
        self.ended.emit(problem)


class CopyDiagnostics(QPushButton):
    """Says what it is doing, and that it is done."""

    def __init__(self, diagnostics: Diagnostics, parent: QWidget | None = None):
        super().__init__("Copy diagnostics", parent)
        self._diagnostics = diagnostics
        self.setAccessibleName("Copy diagnostics")
        explain(self, "control.diagnostics")
        self.setAutoDefault(False)
        theme().keep_icon(self, "copy")
        self.clicked.connect(diagnostics.copy)
        diagnostics.began.connect(self._show_work)
        diagnostics.ended.connect(self._show_end)
        if diagnostics.collecting:
            self._show_work()

    @Slot()
    def _show_work(self) -> None:
        self.setEnabled(False)
        self.setText(" Collecting…")

    @Slot(str)
    def _show_end(self, problem: str) -> None:
        self.setEnabled(True)
        self.setText(" Copy diagnostics" if problem else " Copied")
        self.setToolTip(plain_tip(problem or tip("control.diagnostics")))
