"""A window that is small for its panes: each keeps the room it needs, and all of it can be reached."""

import pytest
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.widgets.pane_stack import PaneStack


def tall(height: int) -> QWidget:
    """A pane of one line and one button, the button that far down."""
    pane = QWidget()
    column = QVBoxLayout(pane)
    column.addWidget(QLabel("A line that wraps where it has to, as those of the panes do."))
    column.itemAt(0).widget().setWordWrap(True)
    column.addSpacing(height)
    column.addWidget(QPushButton("At the foot"))
    return pane


@pytest.fixture
def stack(qtbot: QtBot) -> PaneStack:
    made = PaneStack()
    qtbot.addWidget(made)
    made.resize(400, 300)
    with qtbot.waitExposed(made):
        made.show()
    return made


def test_only_the_pane_that_is_shown_is_scrolled_and_only_where_it_needs_more(qtbot: QtBot, stack: PaneStack) -> None:
    small, large = tall(10), tall(500)
    for pane in (small, large):
        stack.addWidget(pane)
    stack.setCurrentWidget(small)
    bar = stack.verticalScrollBar()
    qtbot.waitUntil(lambda: small.height() == 300)
    assert bar.maximum() == 0
    stack.setCurrentWidget(large)
    qtbot.waitUntil(lambda: bar.maximum() > 0)
    assert large.height() >= large.minimumSizeHint().height() > 300
    stack.setCurrentWidget(small)
    qtbot.waitUntil(lambda: bar.maximum() == 0)
    assert small.height() == 300


def test_a_pane_that_comes_to_need_more_gets_it(qtbot: QtBot, stack: PaneStack) -> None:
    pane = tall(10)
    stack.addWidget(pane)
    stack.setCurrentWidget(pane)
    pane.layout().insertSpacing(1, 600)
    qtbot.waitUntil(lambda: pane.height() > 600)
    foot = pane.findChild(QPushButton)
    assert foot.visibleRegion().isEmpty()
    stack.verticalScrollBar().setValue(stack.verticalScrollBar().maximum())
    assert foot.visibleRegion().boundingRect().height() == foot.height()


@pytest.mark.parametrize("guided", [False, True], ids=["alone", "with the guide"])
@pytest.mark.parametrize("name", ["data", "rank", "sft", "reward", "policy", "compare", "runs"])
def test_no_pane_is_pressed_flat_in_the_smallest_window(
    qtbot: QtBot, window: MainWindow, name: str, guided: bool
) -> None:
    window.resize(window.minimumSize())
    if guided:
        window.walk.told.emit("1 of 3: SFT", "A sentence about what is going on.")
        assert window.guide.isVisible()
    window.show_pane(name)
    pane = window.pane(name)
    qtbot.wait(1)
    qtbot.waitUntil(lambda: pane.height() >= pane.minimumSizeHint().height())
    assert pane.width() >= pane.minimumSizeHint().width()
    assert window.guide.isVisible() == guided
    assert window.height() == window.minimumSize().height()
