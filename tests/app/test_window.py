"""The whole application with real children on the bundled model: start, drop, train, kill, leave, come back."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from rlhf_lab.core.config import SftConfig
from rlhf_lab.gui.app import Session
from rlhf_lab.gui.closing import CloseDialog
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.single import SingleWindow
from rlhf_lab.runs.project import Project
from tests.app.conftest import CHECKOUT
from tests.app.opened import LONG_MS, SMALL, Opened, press

NOT_FOR_THE_FIRST_WINDOW = {
    *("torch", "transformers", "peft", "pandas", "pyqtgraph", "psutil", "subprocess", "difflib"),
    *(f"rlhf_lab.core.{name}" for name in ("config", "settings", "events", "control", "recipe", "memory", "health")),
    *(f"rlhf_lab.runs.{name}" for name in ("folder", "making", "plan", "ask", "recorder", "source")),
    *("rlhf_lab.store.run_events", "rlhf_lab.gui.trainer"),
}
"""Each costs its start time, and is imported at first need."""


def pid_of(opened: Opened, run: str) -> int:
    process = opened.lab.project.run(run).process()
    assert process is not None
    return process.pid


def wait_for_steps(qtbot: QtBot, opened: Opened, run: str, steps: int) -> None:
    qtbot.waitUntil(lambda: opened.lab.state(run).step >= steps, timeout=LONG_MS)


def wait_for_end(qtbot: QtBot, opened: Opened, run: str) -> str:
    qtbot.waitUntil(lambda: run not in opened.lab.live() + opened.lab.queued(), timeout=LONG_MS)
    return opened.lab.state(run).outcome


def test_the_program_opens_a_dressed_window_without_torch(tmp_path: Path) -> None:
    script = (
        "import sys; from PySide6.QtCore import QTimer; from PySide6.QtWidgets import QApplication;"
        "from rlhf_lab.gui import app; a = QApplication([]);"
        "t = QTimer(interval=20); worn = set();"
        "t.timeout.connect(lambda: [(worn.add(bool(w.styleSheet())), w.close()) for w in a.topLevelWidgets() if w.isVisible()]);"
        "t.start(); code = app.main(sys.argv[1]);"
        f"print(code, worn, sorted({NOT_FOR_THE_FIRST_WINDOW} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, "~nobody-of-this-name/project"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.stdout.strip() == "0 {True} []", ended.stderr
    assert (tmp_path / "~nobody-of-this-name" / "project" / "lab.sqlite").is_file(), (
        "a name where there is no such home"
    )


@pytest.mark.usefixtures("warm_children")
def test_backups_are_looked_after_whatever_befalls_the_runs(
    tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(lab: Lab) -> None:
        raise OSError("the runs folder is gone")

    monkeypatch.setattr(Lab, "find_runs", fail)
    settings = Settings(tmp_path / "settings.ini")
    settings.put("warm", False)
    single = SingleWindow(tmp_path / "project")
    session = Session(Project.open(tmp_path / "project"), settings, single)
    with qtbot.captureExceptions() as caught:
        qtbot.waitUntil(lambda: bool(caught))
    assert session.keeper._timer.isActive()
    session.lab.let_go()
    session.close()


def test_drop_train_a_reward_model_and_ppo_through_the_window(
    qtbot: QtBot, open_lab: Callable[[], Opened], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_lab()
    window, lab = opened.window, opened.lab
    trainers_made_ready: list[list[str]] = []
    monkeypatch.setattr(opened.session.trainers, "stand_by", lambda: trainers_made_ready.append(lab.live()))
    # A file of pairs is dropped and imported.
    file = tmp_path / "tea.jsonl"
    rows = [{"prompt": f"Tea number {n}?", "chosen": "Yes, please.", "rejected": "Go away."} for n in range(40)]
    file.write_text("\n".join(map(json.dumps, rows)))
    drop_file(window.pane("data"), file)
    panel = window.pane("data").panel
    qtbot.waitUntil(panel.go.isVisible)
    press(panel.go, qtbot)
    qtbot.waitUntil(lambda: window.pane("data").list.count() == 5)
    # "Train a reward model on this" leads to the form, Start to a real run.
    press(window.pane("data").view.uses[0], qtbot)
    pane = window.pane("reward")
    assert window.stack.currentWidget() is pane
    pane.fill_in(SMALL | {"max_steps": 3, "eval_every": 0})
    press(pane.launcher.start, qtbot)
    qtbot.waitUntil(lambda: bool(lab.live()))
    trainers_made_ready.clear()
    assert wait_for_end(qtbot, opened, "reward-1") == "done"
    curve = lab.project.store.curves("reward-1", ["reward/loss"])["reward/loss"]
    assert len(curve[0]) >= 3
    # The next run, too, is to find a trainer that stands by.
    qtbot.waitUntil(lambda: trainers_made_ready == [[]])
    # PPO against it.
    window.show_pane("policy")
    pane = window.pane("policy")
    wanted = {"dataset": "tea", "reward_model": "reward-1", "updates": 2, "epochs": 1, "eval_every": 0}
    pane.fill_in(SMALL | wanted)
    press(pane.launcher.start, qtbot)
    qtbot.waitUntil(lambda: bool(lab.live()))
    assert wait_for_end(qtbot, opened, "ppo-1") == "done"
    assert abs(lab.project.store.curves("ppo-1", ["objective/kl"])["objective/kl"][1][0]) < 1e-3
    opened.leave()


@pytest.mark.usefixtures("warm_children", "bundled_data")
def test_a_killed_child_is_noticed_and_everything_plotted_is_there_after_a_restart(
    qtbot: QtBot, open_lab: Callable[[], Opened]
) -> None:
    opened = open_lab()
    config = SftConfig(dataset="lab world demonstrations", max_steps=2000, checkpoint_every=2, eval_every=0, **SMALL)
    run = opened.lab.start(config)
    wait_for_steps(qtbot, opened, run, 3)
    os.kill(pid_of(opened, run), signal.SIGKILL)
    qtbot.waitUntil(lambda: opened.lab.state(run).outcome == "failed", timeout=5000)
    qtbot.waitUntil(lambda: opened.window.messages.messages() != [])
    told = opened.window.messages.messages()[0]
    assert "SFT 1 failed" in told.text
    before = opened.lab.project.store.curves(run)
    opened.leave()

    again = open_lab()
    assert again.lab.project.store.curves(run) == before
    assert len(before["train/loss"][0]) >= 3
    again.lab.resume(run)
    wait_for_steps(qtbot, again, run, max(before["train/loss"][0]) + 2)
    press(again.window.strip.stop, qtbot)
    assert again.window.strip.doing.text().startswith("Stopping…")
    assert wait_for_end(qtbot, again, run) == "stopped"
    assert again.lab.project.run(run).has_result()
    again.leave()


@pytest.mark.usefixtures("bundled_data")
def test_a_run_trains_on_without_the_window_and_its_curve_goes_on(qtbot: QtBot, open_lab: Callable[[], Opened]) -> None:
    opened = open_lab()
    config = SftConfig(dataset="lab world demonstrations", max_steps=5000, checkpoint_every=0, eval_every=0, **SMALL)
    run = opened.lab.start(config)
    wait_for_steps(qtbot, opened, run, 2)
    pid = pid_of(opened, run)
    opened.window.close()
    press(opened.window.findChild(CloseDialog).keep, qtbot)
    qtbot.waitUntil(lambda: not opened.window.isVisible())
    seen = opened.lab.state(run).step
    opened.session.close()
    assert psutil.pid_exists(pid)

    again = open_lab()
    qtbot.waitUntil(lambda: again.lab.live() == [run])
    wait_for_steps(qtbot, again, run, seen + 2)
    steps = again.lab.project.store.curves(run)["train/loss"][0]
    assert steps == list(range(steps[0], steps[-1] + 1)), "no step is missing and none is there twice"
    again.window.close()
    press(again.window.findChild(CloseDialog).stop, qtbot)
    qtbot.waitUntil(lambda: not again.window.isVisible(), timeout=LONG_MS)
    again.session.close()


@pytest.mark.usefixtures("warm_children", "bundled_data")
def test_a_run_that_died_unwatched_is_interrupted_and_can_be_resumed(
    qtbot: QtBot, open_lab: Callable[[], Opened]
) -> None:
    opened = open_lab()
    config = SftConfig(dataset="lab world demonstrations", max_steps=5000, checkpoint_every=1, eval_every=0, **SMALL)
    run = opened.lab.start(config)
    wait_for_steps(qtbot, opened, run, 2)
    process = psutil.Process(pid_of(opened, run))
    opened.window.close()
    press(opened.window.findChild(CloseDialog).keep, qtbot)
    opened.session.close()
    process.kill()
    process.wait(10)

    again = open_lab()
    qtbot.waitUntil(lambda: again.window.messages.messages() != [])
    message = again.window.messages.messages()[0]
    assert "was interrupted" in message.text
    press(next(b for b in message.findChildren(QPushButton) if b.text() == "Resume"), qtbot)
    qtbot.waitUntil(lambda: again.lab.state(run).outcome == "running", timeout=LONG_MS)
    again.lab.stop(run)
    assert wait_for_end(qtbot, again, run) == "stopped"
    again.leave()


def drop_file(pane: QWidget, file: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file))])
    middle, action = QPoint(pane.width() // 2, pane.height() // 2), Qt.DropAction.CopyAction
    button, no_key = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(middle, action, data, button, no_key)
    QApplication.sendEvent(pane, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(pane, QDropEvent(QPointF(middle), action, data, button, no_key))
