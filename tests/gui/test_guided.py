"""The guided experiment's walk, with fake runs."""

from pathlib import Path

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.core.events import Finished
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.runs.project import Project
from tests.gui.conftest import FakeRuns


def finish(project: Project, fakes: FakeRuns, run: str) -> None:
    """End the fake as a real run ends: with an adapter."""
    adapter: Path = project.run(run).adapter
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    fakes.runs[run].feed(Finished(outcome="done"))


def test_it_walks_the_panes_and_stops_where_told(
    qtbot: QtBot, project: Project, window: MainWindow, lab: Lab, fakes: FakeRuns
) -> None:
    qtbot.mouseClick(window.pane("data").guide.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.guide.title.text().startswith("1 of 3"))
    assert window.stack.currentWidget() is window.pane("sft")
    qtbot.waitUntil(lambda: "sft-1" in fakes.runs)
    finish(project, fakes, "sft-1")
    qtbot.waitUntil(lambda: "reward-1" in fakes.runs, timeout=30_000)  # its data is copied first
    assert window.guide.title.text().startswith("2 of 3")
    assert window.stack.currentWidget() is window.pane("reward")
    assert lab.project.run("reward-1").config.start_from == "sft-1"
    qtbot.mouseClick(window.guide.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not window.guide.isVisible())
    assert not window.walk.going
    assert "Reward 1" in window.messages.messages()[-1].text


def test_the_end_offers_the_report_and_shows_compare(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    window.walk.told.emit("Last", "A quiz.")
    assert window.guide.stop.isVisible()
    window.walk.report_written.emit(str(tmp_path / "report.html"))
    assert window.guide.report.isVisible()
    assert not window.guide.stop.isVisible()
    assert window.stack.currentWidget() is window.pane("compare")
