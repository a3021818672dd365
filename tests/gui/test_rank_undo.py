"""Undo and redo on the Rank pane: by keys, after a restart, with nothing to undo."""

import pytest
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.panes.rank import RankPane
from rlhf_lab.gui.widgets.rank_pair import A
from rlhf_lab.runs.project import Project
from tests.gui.ranking import begin, opened, press, store_two_and_four

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


class Drawn(QObject):
    """Counts how often a widget is drawn."""

    times = 0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        self.times += event.type() == QEvent.Type.Paint
        return False


@pytest.fixture
def pane(qtbot: QtBot, lab: Lab, project: Project) -> RankPane:
    store_two_and_four(project)
    return opened(qtbot, lab)


def test_undo_and_redo_by_keys_also_after_a_restart(qtbot, pane, lab, project) -> None:
    begin(qtbot, pane)
    ids = []
    for key in ("1", "q", "3"):
        ids.append(pane.desk.current.id)
        press(qtbot, key)

    press(qtbot, "z", modifier=CTRL)
    assert pane.desk.current.id == ids[2]
    assert "Undone: A tie" in pane.bench.foot.last.text()
    assert pane.counters.done.number == "2"
    press(qtbot, "z", modifier=CTRL | SHIFT)
    assert project.store.verdict_count("two") == 3

    later = opened(qtbot, lab)
    begin(qtbot, later, dataset="four")
    qtbot.keyClick(later.bench, "z", CTRL)
    assert (later.desk.dataset, later.desk.current.id) == ("two", ids[2])
    assert later.head.dataset.currentText() == "two"
    qtbot.keyClick(later.bench, "z", CTRL)
    assert later.desk.current.id == ids[1]
    assert "A much better" in later.bench.foot.last.text()
    qtbot.waitUntil(lambda: later.counters.done.number == "1")


def test_a_mark_that_goes_is_drawn_away(qtbot, pane) -> None:
    begin(qtbot, pane)
    press(qtbot, "2", "1")
    press(qtbot, "z", modifier=CTRL)
    marked = pane.bench.pair.buttons[A]
    assert marked.isChecked()
    QTest.qWait(0)
    drawn = Drawn()
    marked.installEventFilter(drawn)
    press(qtbot, "z", modifier=CTRL)
    assert not marked.isChecked()
    qtbot.waitUntil(lambda: drawn.times > 0)


def test_nothing_to_undo_is_said(qtbot, pane) -> None:
    begin(qtbot, pane)
    press(qtbot, "z", modifier=CTRL)
    assert pane.bench.foot.last.text() == "There is nothing to undo."


def test_an_undone_ranking_stands_on_the_ladder_again(qtbot, pane) -> None:
    begin(qtbot, pane, dataset="four")
    press(qtbot, "3", "1", "1", "4", Qt.Key.Key_Return)
    press(qtbot, "z", modifier=CTRL)
    assert pane.bench.several.levels.snapshot() == (3, 1, 1, 4)
