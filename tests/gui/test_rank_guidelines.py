"""Guidelines on the Rank pane: written once for everybody, and never lost while they are written."""

import sqlite3
from contextlib import closing
from functools import partial

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.panes.rank import RankPane
from rlhf_lab.runs.project import Project
from rlhf_lab.store import Store
from tests.gui.ranking import begin, choose, opened, store_two_and_four

CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def pane(qtbot: QtBot, lab: Lab, project: Project) -> RankPane:
    store_two_and_four(project)
    return opened(qtbot, lab)


def test_guidelines_are_written_once_for_everybody(qtbot, pane, project) -> None:
    begin(qtbot, pane)
    qtbot.keyClick(pane, "g", CTRL)
    assert pane.guidelines.isVisible()
    qtbot.mouseClick(pane.guidelines.edit, Qt.MouseButton.LeftButton)
    qtbot.keyClicks(pane.guidelines.editor, "1 right before polite")
    qtbot.mouseClick(pane.guidelines.save, Qt.MouseButton.LeftButton)

    assert project.store.guidelines("two") == "1 right before polite"
    assert pane.guidelines.view.toPlainText() == "1 right before polite"
    assert project.store.verdict_count("two") == 0
    choose(qtbot, pane.head.dataset, "four")
    assert "No guidelines yet" in pane.guidelines.view.toPlainText()


def write_guidelines(qtbot: QtBot, pane: RankPane, text: str) -> None:
    """Write them, and do not save them."""
    begin(qtbot, pane)
    qtbot.keyClick(pane, "g", CTRL)
    qtbot.mouseClick(pane.guidelines.edit, Qt.MouseButton.LeftButton)
    qtbot.keyClicks(pane.guidelines.editor, text)


@pytest.mark.parametrize("elsewhere", ["queue", "dataset", "person"])
def test_guidelines_that_are_being_written_are_kept_by_whoever_goes_elsewhere(
    qtbot, pane, project, lab, elsewhere
) -> None:
    write_guidelines(qtbot, pane, "half a page")
    with qtbot.waitSignal(lab.message) as told:
        if elsewhere == "person":
            qtbot.mouseClick(pane.head.person, Qt.MouseButton.LeftButton)
            qtbot.keyClicks(pane.start.name, "Ben")
            qtbot.keyClick(pane.start.name, Qt.Key.Key_Return)
        else:
            combo, words = {"queue": (pane.head.queue, "People disagree"), "dataset": (pane.head.dataset, "four")}[
                elsewhere
            ]
            choose(qtbot, combo, words)
    assert told.args == ["What you wrote of the guidelines of “two” was kept."]
    assert project.store.guidelines("two") == "half a page"
    assert project.store.guidelines("four") == ""
    shown = "No guidelines yet" if elsewhere == "dataset" else "half a page"
    assert shown in pane.guidelines.view.toPlainText()


def test_guidelines_that_cannot_be_stored_stay_in_the_editor(qtbot, pane, project, lab) -> None:
    write_guidelines(qtbot, pane, "half a page")
    with closing(sqlite3.connect(project.store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with qtbot.waitSignal(lab.message) as told:
            qtbot.mouseClick(pane.guidelines.save, Qt.MouseButton.LeftButton)
        assert "not stored, and stay in the editor" in told.args[0]
        assert pane.guidelines.editor.isVisible()
        choose(qtbot, pane.head.dataset, "four")
        assert pane.guidelines.editor.toPlainText() == "half a page"
        other.execute("ROLLBACK")
    qtbot.mouseClick(pane.guidelines.save, Qt.MouseButton.LeftButton)
    assert (project.store.guidelines("two"), project.store.guidelines("four")) == ("half a page", "")
    assert "No guidelines yet" in pane.guidelines.view.toPlainText(), "those of the data set in view"


def test_guidelines_that_are_being_written_are_kept_when_the_window_closes(
    qtbot, pane, project, lab, monkeypatch
) -> None:
    write_guidelines(qtbot, pane, "half a page")
    unkept: list[str] = []
    monkeypatch.setattr(Store, "open", partial(Store.open, busy_ms=1))
    with closing(sqlite3.connect(project.store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        lab.keeping.emit(unkept)
        other.execute("ROLLBACK")
    assert "guidelines that you write for “two”" in unkept.pop()
    assert pane.guidelines.editor.isVisible()
    lab.keeping.emit(unkept)
    assert (unkept, project.store.guidelines("two")) == ([], "half a page")
