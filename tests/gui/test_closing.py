"""Closing the window while work is under way that ends with it: it is named, and the person can stay."""

from collections.abc import Callable
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
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.runs import model_work
from rlhf_lab.runs.model_work import ModelWorkCancelled, Offered

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
