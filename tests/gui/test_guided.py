"""The guided experiment's walk, with fake runs."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Finished
from rlhf_lab.gui.closing import CloseDialog
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.runs import experiment
from rlhf_lab.runs.project import Project
from tests.fakes import leave_adapter
from tests.gui.conftest import FakeRuns


def finish(project: Project, fakes: FakeRuns, run: str) -> None:
    """End the fake as a real run ends: with an adapter."""
    leave_adapter(project.run(run))
    fakes.runs[run].feed(Finished(outcome="done"))


def test_it_walks_the_panes_and_stops_where_told(
    qtbot: QtBot, project: Project, window: MainWindow, lab: Lab, fakes: FakeRuns
) -> None:
    qtbot.mouseClick(window.pane("data").guide.button, Qt.MouseButton.LeftButton)
    assert window.guide.isVisible(), "it comes with the press, not some time later"
    qtbot.waitUntil(lambda: window.guide.title.text().startswith("1 of 3"))
    place = window.stack.geometry()
    assert window.stack.currentWidget() is window.pane("sft")
    qtbot.waitUntil(lambda: "sft-1" in fakes.runs)
    finish(project, fakes, "sft-1")
    qtbot.waitUntil(lambda: "reward-1" in fakes.runs, timeout=30_000)  # its data is copied first
    assert window.guide.title.text().startswith("2 of 3")
    assert window.stack.currentWidget() is window.pane("reward")
    assert lab.project.run("reward-1").config.start_from == "sft-1"
    (lost,) = lab.under_way()
    assert lost.startswith("“guided experiment”: 1 of its 3 runs has not begun, and would not. Its quiz and its report")
    assert "The runs can be taken up later from a file" in lost
    qtbot.mouseClick(window.guide.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not window.walk.going)
    assert window.guide.title.text() == "The guided experiment ended early"
    assert "Reward 1" in window.guide.sentence.text()
    assert window.stack.geometry() == place
    assert not window.guide.report.isVisible()
    qtbot.mouseClick(window.guide.close_button, Qt.MouseButton.LeftButton)
    assert not window.guide.isVisible()


def test_it_can_be_stopped_while_its_data_is_looked_after(
    qtbot: QtBot, window: MainWindow, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_after(project: Project) -> None:
        at_work.set()
        stopped.wait(10)
        really(project)

    really = Project.ensure_bundled
    at_work, stopped = threading.Event(), threading.Event()
    monkeypatch.setattr(Project, "ensure_bundled", look_after)
    window.start_guide()
    qtbot.waitUntil(at_work.is_set)
    with qtbot.waitSignal(window.walk.ended):
        qtbot.mouseClick(window.guide.stop, Qt.MouseButton.LeftButton)
        stopped.set()
    assert not window.walk.going
    assert window.guide.title.text() == "The guided experiment ended early"
    assert window.guide.close_button.isVisible()
    assert lab.recipes.walks() == []


def test_the_end_offers_the_report_and_shows_compare(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    window.walk.told.emit("Last", "A quiz.")
    assert window.guide.stop.isVisible()
    window.walk.report_written.emit(str(tmp_path / "report.html"))
    assert window.guide.report.isVisible()
    assert not window.guide.stop.isVisible()
    assert window.stack.currentWidget() is window.pane("compare")


def test_once_its_last_run_trains_its_quiz_and_report_would_still_be_lost(
    qtbot: QtBot, project: Project, window: MainWindow, lab: Lab, fakes: FakeRuns
) -> None:
    window.start_guide()
    for run in ("sft-1", "reward-1"):
        qtbot.waitUntil(lambda run=run: run in fakes.runs, timeout=30_000)
        finish(project, fakes, run)
    qtbot.waitUntil(lambda: "ppo-1" in fakes.runs, timeout=30_000)
    assert lab.under_way() == ["“guided experiment”: Its quiz and its report would not be made."]
    qtbot.mouseClick(window.guide.stop, Qt.MouseButton.LeftButton)
    assert lab.under_way() == [], "nobody asked for them any more"
    qtbot.waitUntil(lambda: not window.walk.going)


def test_its_quiz_is_named_before_the_window_closes(
    qtbot: QtBot, window: MainWindow, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quiz(project: Project, runs: object, progress: Callable[[int, int], object]) -> dict[str, float]:
        asked.append(True)
        lab_left.wait(10)
        raise LabError("It was cancelled.")

    asked: list[bool] = []
    lab_left = threading.Event()
    lab.closing.connect(lab_left.set)
    monkeypatch.setattr(experiment, "take_quiz", quiz)
    window.walk._ask_what_is_known({})
    qtbot.waitUntil(lambda: asked == [True])
    window.close()
    dialog = window.findChild(CloseDialog)
    assert any("The quiz of the guided experiment" in label.text() for label in dialog.findChildren(PlainLabel))
    with qtbot.waitSignal(window.closed):
        qtbot.mouseClick(dialog.keep, Qt.MouseButton.LeftButton)
