"""The guided experiment's walk, with fake runs."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

import psutil
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Finished
from rlhf_lab.core.records import load_record
from rlhf_lab.core.resources import resource
from rlhf_lab.gui.closing import CloseDialog
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.runs import experiment, host, report
from rlhf_lab.runs.project import Project
from tests.fakes import leave_adapter
from tests.gui.conftest import FakeRuns
from tests.warm_children import NURSERIES

pytestmark = pytest.mark.usefixtures("bundled_data")


def finish(project: Project, fakes: FakeRuns, run: str) -> None:
    """End the fake as a real run ends: with an adapter."""
    leave_adapter(project.run(run))
    fakes.runs[run].feed(Finished(outcome="done"))


class FakeQuiz:
    """Notes whom it asks, and whether PPO was done by then; the test may say why somebody cannot be asked."""

    asked: ClassVar[list[tuple[str, bool]]]
    refused: ClassVar[str]

    def __init__(self, project: Project):
        self._project = project

    def ask_all(self, runs: dict[str, str]) -> None:
        known = {name for name, _ in self.asked}
        ppo_done = self._project.run_row("ppo-1").outcome == "done"
        self.asked += [(name, ppo_done) for name in ("base", *runs) if name not in known and name != "reward"]
        if self.refused:
            raise LabError(self.refused)

    def shares(self, progress: Callable[[int, int], object], look: Callable[[], object]) -> dict[str, float]:
        look()
        progress(1, 3)
        return {name: 0.5 for name, _ in self.asked}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def quiz(monkeypatch: pytest.MonkeyPatch) -> type[FakeQuiz]:
    """What is asked instead of models."""
    FakeQuiz.asked, FakeQuiz.refused = [], ""
    monkeypatch.setattr(experiment, "Quiz", FakeQuiz)
    monkeypatch.setattr(host, "has_free_core", lambda: True)
    return FakeQuiz


@pytest.fixture
def come_to_ppo(qtbot: QtBot, project: Project, window: MainWindow, fakes: FakeRuns) -> Callable[[], None]:
    """Begin, and finish all but the last run."""

    def begin() -> None:
        window.start_guide()
        for run in ("sft-1", "reward-1"):
            qtbot.waitUntil(lambda run=run: run in fakes.runs, timeout=30_000)
            finish(project, fakes, run)
        qtbot.waitUntil(lambda: "ppo-1" in fakes.runs, timeout=30_000)

    return begin


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
    qtbot: QtBot, window: MainWindow, lab: Lab, quiz: type[FakeQuiz], come_to_ppo: Callable[[], None]
) -> None:
    come_to_ppo()
    assert lab.under_way() == ["“guided experiment”: Its quiz and its report would not be made."]
    qtbot.mouseClick(window.guide.stop, Qt.MouseButton.LeftButton)
    assert lab.under_way() == [], "nobody asked for them any more"
    qtbot.waitUntil(lambda: not window.walk.going)


@pytest.mark.parametrize("core_left", [True, False])
def test_what_was_known_before_ppo_is_asked_while_it_trains_where_a_core_is_left(
    qtbot: QtBot,
    project: Project,
    window: MainWindow,
    fakes: FakeRuns,
    quiz: type[FakeQuiz],
    come_to_ppo: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    core_left: bool,
) -> None:
    given: list[object] = []

    def build(*wanted: object) -> dict[str, object]:
        given.append(wanted[2])
        return {"report": "report.html"}

    monkeypatch.setattr(report, "build", build)
    monkeypatch.setattr(host, "has_free_core", lambda: core_left)
    come_to_ppo()
    if core_left:
        qtbot.waitUntil(lambda: quiz.asked == [("base", False), ("sft", False)])
        assert window.guide.title.text().startswith("3 of 3"), "it is PPO that is told of"
        assert not window.guide.bar.isVisible()
    with qtbot.waitSignal(window.walk.report_written):
        finish(project, fakes, "ppo-1")
    assert quiz.asked == [("base", not core_left), ("sft", not core_left), ("ppo", True)]
    assert given == [{"base": 0.5, "sft": 0.5, "ppo": 0.5}]
    assert not window.walk.going


def test_a_quiz_that_fails_beside_ppo_is_taken_once_more_and_then_said(
    qtbot: QtBot,
    project: Project,
    window: MainWindow,
    fakes: FakeRuns,
    quiz: type[FakeQuiz],
    come_to_ppo: Callable[[], None],
) -> None:
    quiz.refused = "There is no room for a second model."
    come_to_ppo()
    qtbot.waitUntil(lambda: window.walk._quiz_task is None and len(quiz.asked) > 0)
    assert window.guide.title.text().startswith("3 of 3"), "PPO goes on"
    quiz.asked.clear()
    with qtbot.waitSignal(window.walk.ended):
        finish(project, fakes, "ppo-1")
    assert quiz.asked, "begun once more"
    assert window.guide.sentence.text() == "There is no room for a second model."
    assert not window.walk.going


@pytest.mark.parametrize("end", ["stop", "window", "fails"])
def test_however_it_ends_the_quiz_leaves_no_process(
    qtbot: QtBot,
    project: Project,
    window: MainWindow,
    lab: Lab,
    fakes: FakeRuns,
    come_to_ppo: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    end: str,
) -> None:
    """With a real process that answers; the SFT model that the fake run left cannot be loaded."""

    def children() -> set[int]:
        return {child.pid for child in psutil.Process().children()} - NURSERIES - before

    with (
        resource("datasets/lab-world-quiz.jsonl").open("rb") as lines,
        project.store.new_dataset(experiment.QUIZ, "lab", "prompt") as writer,
    ):
        writer.add([load_record(next(lines))])
    monkeypatch.setattr(host, "has_free_core", lambda: True)
    before = {child.pid for child in psutil.Process().children()}
    come_to_ppo()
    qtbot.waitUntil(lambda: len(children()) == 1, timeout=30_000)
    if end == "window":
        lab.let_go()
    else:
        with qtbot.waitSignal(window.walk.ended, timeout=60_000):
            if end == "stop":
                qtbot.mouseClick(window.guide.stop, Qt.MouseButton.LeftButton)
            else:
                finish(project, fakes, "ppo-1")
        said = window.guide.sentence.text()
        assert ("PPO 1" in said) if end == "stop" else ("adapter" in said), said
        assert not window.walk.going
    qtbot.waitUntil(lambda: not children())


def test_its_quiz_is_named_before_the_window_closes(
    qtbot: QtBot,
    project: Project,
    window: MainWindow,
    lab: Lab,
    fakes: FakeRuns,
    quiz: type[FakeQuiz],
    come_to_ppo: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shares(quiz: FakeQuiz, progress: Callable[[int, int], object], look: Callable[[], object]) -> dict[str, float]:
        lab_left.wait(10)
        look()
        raise AssertionError("it was cancelled")

    lab_left = threading.Event()
    lab.closing.connect(lab_left.set)
    monkeypatch.setattr(quiz, "shares", shares)
    come_to_ppo()
    finish(project, fakes, "ppo-1")
    qtbot.waitUntil(lambda: window.guide.title.text().startswith("Last"))
    window.close()
    dialog = window.findChild(CloseDialog)
    assert any("The quiz of the guided experiment" in label.text() for label in dialog.findChildren(PlainLabel))
    with qtbot.waitSignal(window.closed):
        qtbot.mouseClick(dialog.keep, Qt.MouseButton.LeftButton)
