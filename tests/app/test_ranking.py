"""Ranking in the whole application, with the real inference child: by keys, through restarts, on to a reward model."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from rlhf_lab.core.config import RewardConfig
from rlhf_lab.gui.panes.rank import RankPane
from rlhf_lab.store import Store
from tests.app.opened import LONG_MS, SMALL, Opened, press

CTRL = Qt.KeyboardModifier.ControlModifier


def keys(qtbot: QtBot, *pressed: str, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    for key in pressed:
        qtbot.keyClick(QApplication.focusWidget(), key, modifier)


def show(qtbot: QtBot, opened: Opened) -> RankPane:
    """Ctrl+2, in a window that is in front."""
    opened.window.activateWindow()
    qtbot.waitUntil(opened.window.isActiveWindow)
    qtbot.keyClick(opened.window, "2", CTRL)
    pane = opened.window.pane("rank")
    assert opened.window.stack.currentWidget() is pane
    return pane


def begin(qtbot: QtBot, opened: Opened, who: str) -> RankPane:
    """Ctrl+2, a name, Enter: the first data set that can be ranked is open."""
    pane = show(qtbot, opened)
    if pane.start.isVisible():
        pane.start.name.setFocus()
        keys(qtbot, *who, "\r")
    qtbot.waitUntil(pane.bench.isVisible, timeout=LONG_MS)
    return pane


def choose_queue(pane: RankPane, name: str) -> None:
    pane.head.queue.setCurrentIndex(pane.head.queue.findData(name))
    pane.head.queue.activated.emit(pane.head.queue.currentIndex())


@pytest.mark.usefixtures("bundled_data")
def test_verdicts_outlive_the_window_and_are_undone_in_the_next_one(
    qtbot: QtBot, open_lab: Callable[[], Opened]
) -> None:
    opened = open_lab()
    pane = begin(qtbot, opened, "ada")
    shown = []
    for key in "1234qws":
        shown.append(pane.desk.current.id)
        keys(qtbot, key)
    assert pane.head.dataset.currentText() == "lab world pairs"
    opened.leave()

    later = open_lab()
    pane = show(qtbot, later)
    press(pane.start.names[0], qtbot)  # ada is known here
    qtbot.waitUntil(lambda: pane.bench.isVisible() and pane.counters.done.number == "7", timeout=LONG_MS)
    assert pane.desk.current.id not in shown
    for left in (6, 5):
        keys(qtbot, "z", modifier=CTRL)
        assert pane.desk.current.id == shown[left]
    keys(qtbot, "y", modifier=CTRL)
    store = later.lab.project.store
    assert [record for record, _ in store.verdicts("lab world pairs", "ada")] == shown[:6]
    later.leave()


def test_a_killed_window_has_lost_no_verdict(tmp_path: Path) -> None:
    """The window is killed right after a key; what was said until then is there."""
    script = """
import os, signal, sys
from PySide6.QtCore import QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from rlhf_lab.gui.app import BUSY_MS, Session
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.single import SingleWindow
from rlhf_lab.runs.project import Project
folder = sys.argv[1]
app = QApplication([])
project = Project.open(folder, busy_ms=BUSY_MS)
project.ensure_bundled()
settings = Settings(project.folder / "settings.ini")
settings.put("warm", False)
single = SingleWindow(project.folder)
single.claim()
session = Session(project, settings, single)
session.window.show()
session.window.show_pane("rank")
pane = session.window.pane("rank")
pane.start.chosen.emit("Ada")
def look():
    if pane.bench.isVisible():
        for key in "1212q":
            QTest.keyClick(QApplication.focusWidget(), key)
            print(key, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
timer = QTimer(interval=20)
timer.timeout.connect(look)
timer.start()
app.exec()
"""
    folder = tmp_path / "project"
    ended = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=120)

    assert ended.stdout.split() == list("1212q"), ended.stderr
    with Store.open(folder / "lab.sqlite") as store:
        verdicts = [verdict for _, verdict in store.verdicts("lab world pairs", "Ada")]
    assert [(said.verdict, said.strength) for said in verdicts] == [("ranked", 1)] * 4 + [("ranked", 2)]


@pytest.mark.usefixtures("warm_children", "bundled_data")
def test_fresh_answers_are_ranked_scored_and_trained_on(qtbot: QtBot, open_lab: Callable[[], Opened]) -> None:
    """The base model answers, a person ranks, and the Reward pane opens on the verdicts."""
    opened = open_lab()
    pane = begin(qtbot, opened, "ada")
    choose_queue(pane, "fresh")
    pane.fresh.longest.setValue(12)
    press(pane.fresh.go, qtbot)
    qtbot.waitUntil(lambda: pane.bench.isVisible() and pane.desk.queue == "fresh", timeout=LONG_MS)
    for _ in range(5):
        qtbot.waitUntil(lambda: pane.desk.current is not None, timeout=LONG_MS)
        assert all(answer.text for answer in pane.desk.current.answers)
        keys(qtbot, "1")
    assert pane.head.dataset.currentText() == "fresh answers of Base model"
    press(pane.head.agreement, qtbot)
    qtbot.waitUntil(pane.quality.train.isEnabled, timeout=LONG_MS)
    press(pane.quality.train, qtbot)

    reward = opened.window.pane("reward")
    qtbot.waitUntil(lambda: opened.window.stack.currentWidget() is reward, timeout=LONG_MS)
    name = "fresh answers of Base model ranked"
    assert reward.launcher.form.answers()["dataset"] == name
    opened.leave()


@pytest.mark.usefixtures("warm_children", "bundled_data")
@pytest.mark.timeout(400)
def test_a_real_reward_model_orders_the_queue(qtbot: QtBot, open_lab: Callable[[], Opened]) -> None:
    opened = open_lab()
    lab, store = opened.lab, opened.lab.project.store
    config = RewardConfig(dataset="lab world pairs", max_steps=2, eval_every=0, **SMALL)
    run = lab.start(config)
    qtbot.waitUntil(lambda: lab.state(run).outcome == "done", timeout=LONG_MS)
    with store.new_dataset("few", "lab", "pair") as writer:
        writer.add([row.record for row in store.page("lab world pairs", limit=40)])
    lab.datasets_changed.emit()
    pane = begin(qtbot, opened, "ada")
    pane.fill_in({"dataset": "few", "queue": "least_sure"})
    qtbot.waitUntil(lambda: "score" in pane.empty.buttons, timeout=LONG_MS)
    press(pane.empty.buttons["score"], qtbot)
    qtbot.waitUntil(lambda: pane.bench.isVisible() and pane.desk.dataset == "few", timeout=LONG_MS)

    gaps = {key: abs(scores[0] - scores[1]) for key, scores in store.scores("few", run)}
    assert len(gaps) == 40
    assert gaps[pane.desk.current.id] == min(gaps.values())
    opened.leave()
