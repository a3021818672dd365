"""Errors that nobody caught: from slots, threads and floods; the dialog, the way on, and the log."""

import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import QObject, Qt, QThread, QTimer, Signal, Slot
from PySide6.QtWidgets import QApplication, QDialog, QPushButton
from pytestqt.qtbot import QtBot

from rlhf_lab.core.errors import LabError
from rlhf_lab.gui.failures import FLOOD_S, Failures, Telling
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.widgets.failure_dialog import FailureDialog
from rlhf_lab.runs.project_log import last_lines, logging_to

SECRET = "hf_" + "z" * 30


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Faulty(QObject):
    """Slots that raise, as a person's click would reach them."""

    asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.asked.connect(self.fail)

    @Slot()
    def fail(self) -> None:
        self.calls += 1
        raise ZeroDivisionError(f"<b>oops</b> {SECRET}")

    @Slot()
    def fail_otherwise(self) -> None:
        raise KeyError("another")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def failures(window: MainWindow, clock: Clock, capsys: pytest.CaptureFixture[str]) -> Iterator[Failures]:
    """As the application has them; what they print is no test's output."""
    made = Failures(now=clock)
    Telling(made, window)
    with logging_to(window.diagnostics._project):
        yield made
    made.close()


@pytest.fixture
def log(failures: Failures, window: MainWindow) -> Callable[[], str]:
    return lambda: "\n".join(last_lines(window.diagnostics._project, 200))


def dialogs(window: MainWindow) -> list[FailureDialog]:
    return [dialog for dialog in window.findChildren(FailureDialog) if dialog.isVisible()]


def go_on(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: len(dialogs(window)) == 1)
    qtbot.mouseClick(dialogs(window)[0].go_on, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not dialogs(window))


def test_an_error_in_a_slot_shows_a_dialog_and_the_window_goes_on(
    qtbot: QtBot, window: MainWindow, failures: Failures, log: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    faulty = Faulty()
    button = QPushButton("Do it", window)
    button.clicked.connect(faulty.fail)
    button.show()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(dialogs(window)) == 1)
    [dialog] = dialogs(window)
    assert dialog.what.text() == "ZeroDivisionError: <b>oops</b> <token>"
    assert "test_failures.py" in dialog.view.toPlainText()
    assert not dialog.view.isVisible()
    dialog.details.open()
    assert dialog.view.isVisible()
    assert any("Nothing is lost" in label.text() for label in dialog.findChildren(type(dialog.what)))
    assert dialog.focusWidget() is dialog.go_on
    qtbot.keyClick(dialog, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not dialogs(window))
    window.show_pane("runs")
    assert window.stack.currentWidget() is window.pane("runs")
    assert "ZeroDivisionError: <b>oops</b> <token>" in log()
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert SECRET not in said + log()


def test_errors_of_threads_are_told_too(qtbot: QtBot, window: MainWindow, failures: Failures) -> None:
    class Broken(QThread):
        def run(self) -> None:
            raise RuntimeError("in a Qt thread")

    def fall() -> None:
        raise OSError("in a Python thread")

    broken = Broken()
    broken.start()
    assert broken.wait(5000)
    plain = threading.Thread(target=fall)
    plain.start()
    plain.join()
    leaving = threading.Thread(target=sys.exit)
    leaving.start()
    leaving.join()
    qtbot.waitUntil(lambda: len(dialogs(window)) == 1)
    [dialog] = dialogs(window)
    qtbot.waitUntil(lambda: "in a Python thread" in dialog.view.toPlainText())
    assert dialog.what.text() == "RuntimeError: in a Qt thread"
    assert dialog.count.text() == "1 other error came with it; Details has all."
    go_on(qtbot, window)


def test_a_flood_is_one_dialog_one_line_in_the_log_and_a_count(
    qtbot: QtBot, window: MainWindow, failures: Failures, clock: Clock, log: Callable[[], str]
) -> None:
    faulty = Faulty()
    timer = QTimer(interval=0)
    timer.timeout.connect(faulty.fail)
    timer.start()
    qtbot.waitUntil(lambda: faulty.calls > 500)
    timer.stop()
    qtbot.waitUntil(lambda: len(dialogs(window)) == 1)
    assert log().count("nobody caught this") == 1
    [dialog] = dialogs(window)
    qtbot.waitUntil(lambda: dialog.count.text() == f"It has happened {faulty.calls} times.")
    go_on(qtbot, window)
    assert dialogs(window) == []


def test_after_go_on_the_same_error_is_a_line_above_the_pane_and_another_one_a_dialog(
    qtbot: QtBot, window: MainWindow, failures: Failures, clock: Clock
) -> None:
    faulty = Faulty()
    faulty.asked.emit()
    go_on(qtbot, window)
    faulty.asked.emit()  # still the same flood
    clock.now += FLOOD_S
    faulty.asked.emit()
    qtbot.waitUntil(lambda: len(window.messages.messages()) == 1)
    [message] = window.messages.messages()
    assert "again (ZeroDivisionError), 3 times by now" in message.text
    assert dialogs(window) == []
    QTimer.singleShot(0, faulty, faulty.fail_otherwise)
    qtbot.waitUntil(lambda: len(dialogs(window)) == 1)
    assert dialogs(window)[0].what.text() == "KeyError: 'another'"
    go_on(qtbot, window)


def test_an_error_inside_another_dialog_is_shown_above_that_one(
    qtbot: QtBot, window: MainWindow, failures: Failures
) -> None:
    other = QDialog(window)
    other.open()
    faulty = Faulty()
    faulty.asked.emit()
    qtbot.waitUntil(lambda: len(dialogs(window)) == 1)
    assert dialogs(window)[0].parent() is other
    assert QApplication.activeModalWidget() is dialogs(window)[0]
    go_on(qtbot, window)
    assert other.isVisible()
    other.close()


def test_words_for_the_person_need_no_dialog(qtbot: QtBot, window: MainWindow, failures: Failures) -> None:
    class Refusing(QObject):
        @Slot()
        def refuse(self) -> None:
            raise LabError("There is no such run. Choose another.")

    refusing = Refusing()
    QTimer.singleShot(0, refusing, refusing.refuse)
    qtbot.waitUntil(lambda: len(window.messages.messages()) == 1)
    assert window.messages.messages()[0].text == "There is no such run. Choose another."
    assert dialogs(window) == []


def test_what_fails_while_objects_are_collected_is_only_logged(
    qtbot: QtBot, window: MainWindow, failures: Failures, log: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    passed_on = []
    monkeypatch.setattr(failures, "_before", (*failures._before[:2], passed_on.append))

    class Sticky:
        def __del__(self) -> None:
            raise ValueError("cannot let go")

    Sticky()
    assert "while an object was collected" in log()
    assert "ValueError: cannot let go" in log()
    assert len(passed_on) == 1
    assert dialogs(window) == []


def test_the_hooks_are_given_back() -> None:
    before = sys.excepthook, threading.excepthook, sys.unraisablehook
    Failures().close()
    assert (sys.excepthook, threading.excepthook, sys.unraisablehook) == before
