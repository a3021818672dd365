"""What a person does on the Rank pane: begin, choose in a list, press keys."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.panes.rank import RankPane


def opened(qtbot: QtBot, lab: Lab) -> RankPane:
    pane = RankPane(lab)
    qtbot.addWidget(pane, before_close_func=lambda widget: lab.let_go())
    pane.resize(1120, 740)
    with qtbot.waitExposed(pane):
        pane.show()
    return pane


def begin(qtbot: QtBot, pane: RankPane, who: str = "Ada", dataset: str = "two") -> None:
    """Type a name at the start, choose a data set in its list, and wait for the first record."""
    pane.start.name.clear()
    qtbot.keyClicks(pane.start.name, who)
    qtbot.keyClick(pane.start.name, Qt.Key.Key_Return)
    choose(qtbot, pane.head.dataset, dataset)
    qtbot.waitUntil(lambda: pane.bench.isVisible() and pane.desk.dataset == dataset)


def choose(qtbot: QtBot, combo: QWidget, words: str) -> None:
    combo.setFocus()
    at = combo.findText(words)
    assert at >= 0, f"{words} is not offered"
    qtbot.keyClick(combo, Qt.Key.Key_Home)
    for _ in range(at):
        qtbot.keyClick(combo, Qt.Key.Key_Down)
        if combo.currentText() == words:
            break
    assert combo.currentText() == words


def press(qtbot: QtBot, *keys: str | Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    for key in keys:
        qtbot.keyClick(QApplication.focusWidget(), key, modifier)
