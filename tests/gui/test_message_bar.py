"""Messages come and go in a place of their own: nothing else moves, and what is pressed is what was seen."""

from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QEnterEvent
from PySide6.QtWidgets import QApplication, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.widgets.message_bar import LINES, Message, MessageBar

LONG = "The copy was not made, since the disk is full. " * 40


def in_front(bar: MessageBar) -> Message:
    (found,) = [message for message in bar.messages() if message.isVisible()]
    return found


def enter(widget: QWidget) -> None:
    middle = QPoint(5, 5).toPointF()
    QApplication.sendEvent(widget, QEnterEvent(middle, middle, middle))


def test_no_message_moves_the_pane_or_what_is_below_it(qtbot: QtBot, window: MainWindow) -> None:
    before = [widget.geometry() for widget in (window.stack, window.messages, window.strip)]
    for text in ("one", LONG, "three"):
        window.messages.show_message(text, "problem", ("Go on", lambda: None))
        qtbot.wait(1)
        assert [widget.geometry() for widget in (window.stack, window.messages, window.strip)] == before
    for message in window.messages.messages():
        message.leave()
    qtbot.wait(1)
    assert [widget.geometry() for widget in (window.stack, window.messages, window.strip)] == before


def test_the_newest_stands_in_front_and_the_others_one_press_away(qtbot: QtBot, window: MainWindow) -> None:
    for text in ("one", "two", "three"):
        window.show_note(text)
    seen = []
    for _ in range(4):
        front = in_front(window.messages)
        seen.append((front.text, front.others.text()))
        qtbot.mouseClick(front.others, Qt.MouseButton.LeftButton)
    assert seen == [("three", "1 of 3"), ("two", "2 of 3"), ("one", "3 of 3"), ("three", "1 of 3")]
    in_front(window.messages).leave()
    in_front(window.messages).leave()
    assert in_front(window.messages).text == "one"
    assert not in_front(window.messages).others.isVisible()


def test_a_newer_message_waits_while_the_mouse_is_on_one(qtbot: QtBot, window: MainWindow) -> None:
    pressed: list[str] = []
    bar = window.messages
    bar.show_message("SFT 1 failed.", "problem", ("Resume", lambda: pressed.append("resumed")))
    button = bar.messages()[0].findChild(QPushButton)
    enter(bar)
    window.show_note("The copy is made.")
    assert in_front(bar).text == "SFT 1 failed."
    assert in_front(bar).others.text() == "2 of 2"
    QApplication.sendEvent(bar, QEvent(QEvent.Type.Leave))
    assert in_front(bar).text == "The copy is made."
    enter(bar)
    qtbot.mouseClick(in_front(bar).others, Qt.MouseButton.LeftButton)
    QApplication.sendEvent(bar, QEvent(QEvent.Type.Leave))
    assert in_front(bar).text == "SFT 1 failed.", "nothing newer came meanwhile"
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert pressed == ["resumed"]
    assert in_front(bar).text == "The copy is made."


def test_the_one_that_the_mouse_is_on_stays_whichever_others_go(qtbot: QtBot, window: MainWindow) -> None:
    bar = window.messages
    for text in ("one", "two", "three"):
        bar.show_message(text)
    enter(bar)
    for _ in range(2):
        qtbot.mouseClick(in_front(bar).others, Qt.MouseButton.LeftButton)
    assert in_front(bar).text == "one"
    bar.take_back("two")
    assert (in_front(bar).text, in_front(bar).others.text()) == ("one", "2 of 2")
    for text in ("four", "five"):
        bar.show_message(text)
    assert [message.text for message in bar.messages()] == ["one", "four", "five"]
    assert in_front(bar).text == "one"
    bar.show_message("one")
    assert in_front(bar).text == "one", "said again, it is still the one under the mouse"
    bar.show_message("six")
    QApplication.sendEvent(bar, QEvent(QEvent.Type.Leave))
    assert in_front(bar).text == "six"


def test_a_newer_message_waits_while_the_keyboard_is_on_one(qtbot: QtBot, window: MainWindow) -> None:
    bar = window.messages
    pressed: list[str] = []
    bar.show_message("SFT 1 failed.", "problem", ("Resume", lambda: pressed.append("resumed")))
    bar.messages()[0].findChild(QPushButton).setFocus()
    bar.show_message("SFT 2 failed.", "problem", ("Resume", lambda: pressed.append("the other one")))
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Return)
    assert pressed == ["resumed"]
    in_front(bar).findChild(QPushButton).setFocus()
    bar.show_message("The copy is made.")
    assert in_front(bar).text == "SFT 2 failed."
    window.stack.currentWidget().setFocus()
    assert in_front(bar).text == "The copy is made."


def test_what_is_too_long_is_elided_and_can_be_read_whole(qtbot: QtBot, window: MainWindow) -> None:
    window.show_note("Short.")
    qtbot.wait(1)
    assert not in_front(window.messages).whole.isVisible()
    window.show_problem(LONG)
    qtbot.waitUntil(lambda: in_front(window.messages).whole.isVisible())
    lines = in_front(window.messages).label.shown()
    assert len(lines) == LINES
    assert lines[-1].endswith("…")
    assert in_front(window.messages).whole.toolTip().count("disk is full") == 40
    window.resize(2400, 800)
    window.show_note(LONG[:280])
    qtbot.wait(1)
    assert not in_front(window.messages).whole.isVisible()
