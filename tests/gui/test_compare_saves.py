"""A run that still trains can be asked: its saves are offered, and the newer one when it appears."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.core.events import Checkpointed, Finished, Progress, Started
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.contenders import Contender, contenders, opening
from rlhf_lab.gui.panes.compare import ComparePane
from rlhf_lab.runs.project import Project
from tests.fakes import leave_adapter
from tests.gui.conftest import FakeRuns


def save(project: Project, run: str, step: int) -> Path:
    place = project.runs_folder / run / "checkpoints" / f"step-{step}"
    place.mkdir(parents=True)
    (place / "manifest.json").write_text("{}")
    return place


@pytest.fixture
def training(qtbot: QtBot, begun_run: Callable[..., str], fakes: FakeRuns, lab: Lab, project: Project) -> str:
    """A run under way, saved after step 4."""
    run = begun_run()
    save(project, run, 4)
    fakes.runs[run].feed(Started(device="cpu", total_steps=20), Progress(step=4, done=4, total=20))
    qtbot.waitUntil(lambda: project.run_row(run).outcome == "running")
    return run


@pytest.fixture
def pane(training: str, open_compare: Callable[[], ComparePane]) -> ComparePane:
    return open_compare()


def choose_the_save(qtbot: QtBot, pane: ComparePane) -> None:
    """It stands last."""
    box = pane.views[1].model
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_End)
    assert box.currentText() == "SFT 1 at step 4"


def test_a_save_is_offered_asked_and_followed(qtbot, pane, inference, training, project, fakes, lab) -> None:
    view = pane.views[1]
    assert view.contender().step is None  # a save is never chosen for a person
    choose_the_save(qtbot, pane)
    assert view.save.isVisible()
    assert "SFT 1 still trains." in view.save.words.text()
    assert not view.save.newer.isVisible()
    qtbot.keyClicks(pane.card.prompt, "Hello?")
    qtbot.mouseClick(pane.card.ask, Qt.MouseButton.LeftButton)
    adapters = inference[0].asked[1].model.adapters
    assert adapters == (project.runs_folder / training / "checkpoints" / "step-4",)
    qtbot.mouseClick(pane.card.stop, Qt.MouseButton.LeftButton)

    save(project, training, 8)
    fakes.runs[training].feed(Checkpointed(step=8, path="checkpoints/step-8"))
    qtbot.waitUntil(view.save.newer.isVisible)
    assert view.contender().step == 4
    assert view.save.newer.text() == "Use step 8"
    qtbot.mouseClick(view.save.newer, Qt.MouseButton.LeftButton)
    assert view.model.currentText() == "SFT 1 at step 8"
    assert not view.save.newer.isVisible()

    folder = project.run(training)
    leave_adapter(folder)
    fakes.runs[training].feed(Finished(outcome="done"))
    qtbot.waitUntil(lambda: view.model.currentText() == "SFT 1")
    assert not view.save.isVisible()


def test_a_save_tells_nothing_while_names_are_hidden(qtbot, pane) -> None:
    choose_the_save(qtbot, pane)
    qtbot.mouseClick(pane.pages["Blind vote"], Qt.MouseButton.LeftButton)
    assert not pane.views[1].save.isVisible()


def test_saves_come_last_and_only_of_runs_without_a_result(project: Project, training: str) -> None:
    known = contenders(project)
    assert known[-1] == Contender("", training, "sft", 4)
    assert all(c.step is None for c in opening(known, 4))
    newer = Contender("", training, "sft", 8)
    result = Contender("", training, "sft")
    assert known[-1].newer([*known, newer]) == newer
    assert known[-1].newer([newer, result]) == result
    assert known[-1].newer(known) is None
    assert result.newer([newer]) is None
