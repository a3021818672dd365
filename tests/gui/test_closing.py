"""Closing the window while work is under way that ends with it: it is named, and the person can stay."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QThread, QTimer
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.background import Background
from rlhf_lab.gui.closing import CloseDialog
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.model_shelf import ModelShelf
from rlhf_lab.gui.widgets import records_view
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.gui.widgets.records_view import RecordsView
from rlhf_lab.runs import model_work
from rlhf_lab.runs.model_work import ModelWorkCancelled, Offered
from rlhf_lab.runs.project import Project
from rlhf_lab.store import Store

LEFT = Qt.MouseButton.LeftButton
SCORING = "Scoring talks: what is scored is kept, and it can go on later."


def until_cancelled(store: object, task: Background) -> None:
    while not task.cancelled():
        task.msleep(5)


@pytest.fixture
def at_work(qtbot: QtBot, lab: Lab) -> Background:
    task = lab.in_background(until_cancelled, SCORING)
    qtbot.waitUntil(task.isRunning)
    return task


def said(window: MainWindow) -> str:
    return "\n".join(label.text() for label in window.findChild(CloseDialog).findChildren(PlainLabel))


def test_work_that_would_be_lost_is_named_and_escape_stays(
    qtbot: QtBot, window: MainWindow, lab: Lab, at_work: Background
) -> None:
    stayed: list[bool] = []
    window.stayed.connect(lambda: stayed.append(True))
    window.close()
    assert SCORING in said(window)
    assert "train" not in said(window).lower()
    dialog = window.findChild(CloseDialog)
    assert not dialog.stop.isVisible()
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert (window.isVisible(), stayed, at_work.isRunning()) == (True, [True], True)
    assert lab.under_way() == [SCORING]


def test_it_ends_with_the_window(qtbot: QtBot, window: MainWindow, lab: Lab, at_work: Background) -> None:
    window.close()
    with qtbot.waitSignal(window.closed):
        qtbot.mouseClick(window.findChild(CloseDialog).keep, LEFT)
    assert not window.isVisible()
    assert not any(task.isRunning() for task in lab.findChildren(Background))


def test_beside_a_run_it_is_named_too_and_asked_about_once(
    qtbot: QtBot, window: MainWindow, lab: Lab, at_work: Background, begun_run: Callable[..., str]
) -> None:
    run = begun_run()
    window.close()
    assert "SFT 1 still trains" in said(window)
    assert SCORING in said(window)
    with qtbot.waitSignal(window.closed):
        qtbot.mouseClick(window.findChild(CloseDialog).stop, LEFT)
    assert lab.state(run).outcome == "stopped"


def test_what_nobody_would_miss_is_not_asked_about(qtbot: QtBot, window: MainWindow, lab: Lab) -> None:
    task = lab.in_background(until_cancelled)
    qtbot.waitUntil(task.isRunning)
    with qtbot.waitSignal(window.closed):
        window.close()
    assert window.findChild(CloseDialog) is None


def test_work_that_waits_for_its_turn_never_begins_once_the_window_is_let_go(qtbot: QtBot, lab: Lab) -> None:
    begun: list[bool] = []
    task = lab.in_background(lambda store, task: begun.append(True))
    task.started.connect(lambda: begun.append(True))
    lab.let_go()
    turned: list[bool] = []
    QTimer.singleShot(0, lab, lambda: turned.append(True))
    qtbot.waitUntil(lambda: bool(turned))
    assert not task.isRunning()
    assert not task.isFinished(), "it was begun"
    assert begun == []


@pytest.mark.parametrize("which", ["import", "download"])
def test_models_that_come_are_named(
    which: str, qtbot: QtBot, window: MainWindow, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object, cancelled: Callable[[], bool], **__: object) -> str:
        while not cancelled():
            QThread.msleep(5)
        raise ModelWorkCancelled("It was cancelled.")

    monkeypatch.setattr(model_work, "check_models", lambda *_, **__: None)
    monkeypatch.setattr(model_work, "import_gguf", work)
    monkeypatch.setattr(model_work, "download", work)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "it.gguf"), ""))
    lab.actions.trigger("models.show")
    shelf = window.findChild(ModelShelf)
    if which == "import":
        qtbot.mouseClick(shelf.dialog.load, LEFT)
        words = "Importing it.gguf: nothing of it is kept."
    else:
        shelf._done(Offered("someone/some-model", "llama", 4, 270 << 20, 5 << 30))
        qtbot.mouseClick(shelf.dialog.download, LEFT)
        words = "Downloading someone/some-model: what was fetched is kept, and it can go on later."
    qtbot.waitUntil(lambda: lab.under_way() == [words])
    shelf.dialog.close()
    window.close()
    assert words in said(window)
    qtbot.mouseClick(window.findChild(CloseDialog).keep, LEFT)


@pytest.fixture
def lock(project: Project) -> Iterator[sqlite3.Connection]:
    """Another process that writes, until it is rolled back."""
    with closing(sqlite3.connect(project.store.path, isolation_level=None, check_same_thread=False)) as other:
        yield other


@pytest.fixture
def records(qtbot: QtBot, window: MainWindow) -> RecordsView:
    pane = window.pane("data")
    pane.select("pairs")
    qtbot.waitUntil(lambda: pane.view.records.table.model().rowCount() == 40)
    return pane.view.records


def type_over(qtbot: QtBot, view: RecordsView, text: str) -> None:
    view.table.setFocus()
    qtbot.keyClick(view.table, Qt.Key.Key_F2)
    view.editor.texts[0].edit.selectAll()
    qtbot.keyClicks(view.editor.texts[0].edit, text)


def first_text(project: Project) -> str:
    return project.store.page_at("pairs", 0, 1)[0].record.chosen.text


def test_a_record_that_is_edited_is_stored_once_another_process_has_written(
    qtbot: QtBot,
    window: MainWindow,
    records: RecordsView,
    project: Project,
    lock: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    type_over(qtbot, records, "typed")
    lock.execute("BEGIN IMMEDIATE")
    opened = Store.open

    def opened_by_the_patient(path: Path, *, busy_ms: int = 5000) -> Store:
        if busy_ms >= 1000 and lock.in_transaction:
            lock.execute("ROLLBACK")
        return opened(path, busy_ms=busy_ms)

    monkeypatch.setattr(Store, "open", opened_by_the_patient)
    with qtbot.waitSignal(window.closed):
        window.close()
    assert first_text(project) == "typed"


def test_what_cannot_be_stored_is_said_and_whoever_stays_loses_nothing(
    qtbot: QtBot,
    window: MainWindow,
    records: RecordsView,
    project: Project,
    lock: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records_view, "_PATIENCE_MS", 1)
    type_over(qtbot, records, "typed")
    lock.execute("BEGIN IMMEDIATE")
    window.close()
    assert "Not everything is stored" in said(window)
    assert "Changes of records: " in said(window)
    assert "in use by another process" in said(window)
    with qtbot.waitSignal(window.stayed):
        qtbot.keyClick(window.findChild(CloseDialog), Qt.Key.Key_Return)
    assert records.editor.texts[0].text() == "typed"
    lock.execute("ROLLBACK")
    qtbot.waitUntil(lambda: not records.editing)
    assert first_text(project) == "typed"


def test_a_text_that_can_be_no_record_is_said_before_it_is_lost(
    qtbot: QtBot, window: MainWindow, records: RecordsView, project: Project
) -> None:
    before = first_text(project)
    type_over(qtbot, records, " ")
    window.close()
    assert "What you typed into a record:" in said(window)
    with qtbot.waitSignal(window.closed):
        qtbot.mouseClick(window.findChild(CloseDialog).keep, LEFT)
    assert first_text(project) == before


def test_changes_that_wait_behind_a_lock_are_written(
    qtbot: QtBot,
    window: MainWindow,
    lab: Lab,
    records: RecordsView,
    project: Project,
    lock: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock.execute("BEGIN IMMEDIATE")
    records.table.setFocus()
    for row in range(3):
        records.table.choose(row)
        qtbot.keyClick(records.table, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: any(task.isRunning() for task in lab.findChildren(Background)))
    waits = Background.wait

    def wait(task: Background) -> bool:
        if lock.in_transaction:  # it ends while the window waits
            lock.execute("ROLLBACK")
        return waits(task)

    monkeypatch.setattr(Background, "wait", wait)
    with qtbot.waitSignal(window.closed):
        window.close()
    assert project.store.count("pairs") == 37
