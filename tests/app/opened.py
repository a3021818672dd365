"""The application on one folder, opened and closed as a person does it; used with the fixture `open_lab`."""

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.app import BUSY_MS, Session
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.single import SingleWindow
from rlhf_lab.runs.project import Project

LONG_MS = 120_000
SMALL = {"batch_size": 4, "micro_batch_size": 4, "max_prompt_tokens": 32, "max_new_tokens": 12, "eval_size": 4}
"""Settings of a run that takes seconds."""


class Opened:
    """The application on one folder, opened and closed like by a person."""

    def __init__(self, folder: Path, qtbot: QtBot) -> None:
        self._qtbot = qtbot
        project = Project.open(folder / "project", busy_ms=BUSY_MS)
        settings = Settings(folder / "settings.ini")
        settings.put("warm", False)
        single = SingleWindow(project.folder)
        assert single.claim()
        self.session = Session(project, settings, single)
        self.window, self.lab = self.session.window, self.session.lab
        self.window.show()
        data = self.window.pane("data")
        qtbot.waitUntil(lambda: data.list.count() >= 4, timeout=LONG_MS)

    def leave(self) -> None:
        if self.window.isVisible():
            self._qtbot.waitUntil(lambda: self.window.close() and not self.window.isVisible(), timeout=LONG_MS)
        self.session.close()


def press(button: QWidget, qtbot: QtBot) -> None:
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
