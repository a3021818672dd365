"""Widgets in rows: as wide as they want to be, also where they changed while nobody saw them."""

from PySide6.QtWidgets import QLabel, QStackedWidget, QWidget
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.widgets.flow import Flow


def test_what_grew_while_it_was_hidden_has_its_room_once_it_is_shown(qtbot: QtBot, shown) -> None:
    stack, flow = QStackedWidget(), Flow()
    first, second = QLabel("a"), QLabel("b")
    flow.show_widgets([first, second])
    stack.addWidget(QWidget())
    stack.addWidget(flow)
    shown(stack, 600, 200)
    stack.setCurrentIndex(1)
    stack.setCurrentIndex(0)
    first.setText("a much longer text than before")
    stack.setCurrentIndex(1)
    assert first.width() == first.sizeHint().width()
    assert second.x() > first.geometry().right()
