"""Copy diagnostics: a process of its own, the clipboard, and what the button says meanwhile."""

import sys
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.diagnostics import CopyDiagnostics, Diagnostics
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.settings import SettingsDialog

CTRL = Qt.KeyboardModifier.ControlModifier


def diagnostics(tmp_path: Path, script: str) -> Diagnostics:
    return Diagnostics(tmp_path, command=[sys.executable, "-c", script])


def test_the_text_is_on_the_clipboard_when_the_button_says_so(qtbot: QtBot, tmp_path: Path) -> None:
    made = diagnostics(tmp_path, "import sys; sys.stdin.read(); print('## RLHF Lab – β')")
    button = CopyDiagnostics(made)
    qtbot.addWidget(button)
    with qtbot.waitSignal(made.ended, timeout=20_000) as ended:
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: button.text().strip() == "Collecting…")
        assert not button.isEnabled()
        made.copy()  # from another place: the same collection
        another = CopyDiagnostics(made)
        qtbot.addWidget(another)
        assert another.text().strip() == "Collecting…"
    assert ended.args == [""]
    assert QGuiApplication.clipboard().text() == "## RLHF Lab – β\n"
    assert button.text().strip() == another.text().strip() == "Copied"
    assert button.isEnabled()


@pytest.mark.parametrize("script", ["raise SystemExit(3)", "pass", "import os; os.abort()"])
def test_a_process_that_fails_leaves_the_clipboard_and_is_said(qtbot: QtBot, tmp_path: Path, script: str) -> None:
    QGuiApplication.clipboard().setText("mine")
    made = diagnostics(tmp_path, script)
    with qtbot.waitSignal(made.ended, timeout=20_000) as ended:
        made.copy()
    assert "rlhf-lab diagnostics" in ended.args[0]
    assert QGuiApplication.clipboard().text() == "mine"
    assert not made.collecting


def test_a_program_that_is_not_there_is_said(qtbot: QtBot, tmp_path: Path) -> None:
    made = Diagnostics(tmp_path, command=[str(tmp_path / "none")])
    with qtbot.waitSignal(made.ended) as ended:
        made.copy()
    assert "could not be started" in ended.args[0]


def test_closing_ends_the_process(qtbot: QtBot, tmp_path: Path) -> None:
    made = diagnostics(tmp_path, "import time; time.sleep(600)")
    with qtbot.waitSignal(made.began):
        made.copy()
    made.close()  # that none is left behind is looked at after every test
    assert not made.collecting


def test_the_settings_offer_it_and_the_window_tells_the_end(qtbot: QtBot, window: MainWindow) -> None:
    window.diagnostics._command = [sys.executable, "-c", "print('all that is needed')"]
    qtbot.keyClick(window, Qt.Key.Key_Comma, CTRL)
    dialog = window.findChild(SettingsDialog)
    with qtbot.waitSignal(window.diagnostics.ended, timeout=20_000):
        qtbot.mouseClick(dialog.copy, Qt.MouseButton.LeftButton)
    [message] = window.messages.messages()
    assert "on the clipboard" in message.text
    assert QGuiApplication.clipboard().text() == "all that is needed\n"
    dialog.close()


def test_the_real_text_comes_from_a_process_and_has_the_doctors_findings(qtbot: QtBot, window: MainWindow) -> None:
    with qtbot.waitSignal(window.diagnostics.ended, timeout=150_000) as ended:
        window.diagnostics.copy()
    assert ended.args == [""]
    text = QGuiApplication.clipboard().text()
    for wanted in (
        "ok: Qt: comes up without a display",
        "device cpu",
        "data sets: 1 demonstration, 1 pair; 80 records",
    ):
        assert wanted in text, text
