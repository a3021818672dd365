"""A long day in a short time: ``PYTHONPATH=. python tests/benchmarks/soak.py --minutes 30``.

A real window on a real project. Something is done several times a second: another pane, another run's plots, the
smoothing, a search, verdicts on the Rank pane and their undoing; meanwhile short SFT, reward and PPO runs follow each other,
each in its child process, some of them paused, some stopped. Once each stage has run, every page of every pane is
looked at: what is made when it is first shown is made then, and is no leak. Every few seconds the window's memory, threads,
open files and children are counted. Printed are these at rest, before the first run and after the last; the first and the
last while it works after that warm-up; their slopes (least squares); and what is left once the window has closed.
"""

import argparse
import ctypes
import gc
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import psutil
from PySide6.QtCore import QItemSelectionModel, QObject, Qt, QTimer, Slot
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from rlhf_lab.core.config import STAGES
from rlhf_lab.core.naming import Stage
from rlhf_lab.gui.app import BUSY_MS, Session
from rlhf_lab.gui.run_state import ENDED
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.single import SingleWindow
from rlhf_lab.runs.project import Project

ACT_MS, COUNT_S, REST_MS = 200, 5.0, 10_000
SELECT = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
PANES = ("data", "rank", "sft", "reward", "policy", "compare", "runs")
PAIRS = "lab world pairs"
SMALL: dict[str, Any] = {
    "lora_r": 4,
    "batch_size": 8,
    "micro_batch_size": 8,
    "max_prompt_tokens": 48,
    "max_new_tokens": 24,
    "eval_every": 5,
    "eval_size": 8,
    "threads": 1,
}
OWN: dict[Stage, dict[str, Any]] = {
    "sft": {"dataset": "lab world demonstrations", "max_steps": 40},
    "reward": {"dataset": PAIRS, "max_steps": 40},
    "ppo": {"dataset": "lab world prompts", "updates": 10},
}


class Day(QObject):
    """One person who never rests."""

    def __init__(self, session: Session, seconds: float, seed: int):
        super().__init__()
        self._session, self._lab, self._window = session, session.lab, session.window
        self._end = time.monotonic() + seconds
        self._dice = random.Random(seed)
        self._process = psutil.Process()
        self._next_count = time.monotonic()
        self._begun = False
        self._stage = 0
        self._reward: str | None = None
        self._run: str | None = None
        self.done: dict[str, int] = {}
        self.counts: list[dict[str, float]] = []
        self.at_rest: list[dict[str, float]] = []
        self.held: list[float] = []
        self.warm_at = 0
        """How many counts there were when everything had been shown once."""
        self._timer = QTimer(self, interval=ACT_MS)
        self._timer.timeout.connect(self._act)
        self._timer.start()

    @Slot()
    def _act(self) -> None:
        if time.monotonic() >= self._next_count:
            self._count()
        if time.monotonic() > self._end:
            self._timer.stop()
            if self._run is not None and self._run in self._lab.live():
                self._lab.stop(self._run)
            QTimer.singleShot(REST_MS, self, self._rest)
            return
        if not any(row.name == PAIRS for row in self._lab.project.store.datasets()):
            return
        if not self.at_rest:
            self.at_rest.append(self._figures())
        self._keep_training()
        if not self.warm_at and "ppo runs" in self.done:
            self._see_everything()
        what = self._dice.choice(
            (self._pane, self._other_run, self._smooth, self._search, self._rank, self._rank, self._hold_runs_together)
        )
        what()
        self.done[what.__name__.strip("_")] = self.done.get(what.__name__.strip("_"), 0) + 1

    def _count(self) -> None:
        self._next_count += COUNT_S
        self.counts.append(self._figures())

    def _figures(self) -> dict[str, float]:
        gc.collect()
        with self._process.oneshot():
            return {
                "seconds": time.monotonic(),
                "memory_mb": self._process.memory_info().rss / 2**20,
                "threads": self._process.num_threads(),
                "files": self._process.num_fds(),
                "children": len(self._process.children(recursive=True)),
                "objects": len(gc.get_objects()),
                "widgets": len(QApplication.allWidgets()),
            }

    @Slot()
    def _rest(self) -> None:
        if self._lab.live():  # it is still saving
            QTimer.singleShot(REST_MS, self, self._rest)
            return
        self.at_rest.append(self._figures())
        self.held.append(held_mb())
        self._window.close()

    def _see_everything(self) -> None:
        for row in self._lab.project.store.runs():
            self._window.show_run(row.run)
            for name in ("sft", "reward", "policy"):
                board = self._window.pane(name).board
                for page in range(board.count()):
                    board.setCurrentIndex(page)
                board.setCurrentIndex(0)
        for name in PANES:
            self._window.show_pane(name)
        self.warm_at = len(self.counts)
        self.held.append(held_mb())

    def _keep_training(self) -> None:
        if self._run is not None and self._lab.state(self._run).outcome not in ENDED:
            dice = self._dice.random()
            if dice < 0.01:
                self._lab.pause(self._run)
                QTimer.singleShot(1000, self, self._go_on)
            elif dice < 0.013 and self._lab.state(self._run).step > 2:
                self._lab.stop(self._run)
            return
        if self._lab.live():
            return
        if self._run is not None and self._lab.state(self._run).stage == "reward":
            self._reward = self._run if self._lab.state(self._run).outcome == "done" else self._reward
        stages = [stage for stage in OWN if stage != "ppo" or self._reward is not None]
        stage = stages[self._stage % len(stages)]
        self._stage += 1
        own = OWN[stage] | ({"reward_model": self._reward} if stage == "ppo" else {})
        self._run = self._lab.start(STAGES[stage](**SMALL, **own))
        self.done[f"{stage} runs"] = self.done.get(f"{stage} runs", 0) + 1

    @Slot()
    def _go_on(self) -> None:
        if self._run is not None and self._run in self._lab.live():
            self._lab.go_on(self._run)

    def _pane(self) -> None:
        self._window.show_pane(self._dice.choice(PANES))

    def _other_run(self) -> None:
        runs = [row.run for row in self._lab.project.store.runs()]
        if runs:
            self._window.show_run(self._dice.choice(runs[-30:]))

    def _hold_runs_together(self) -> None:
        """Several runs over each other, their settings, where they come from, a tag; one into the trash and out again."""
        self._window.show_pane("runs")
        pane = self._window.pane("runs")
        pane.table.clearSelection()
        rows = pane.model.rowCount()
        for place in self._dice.sample(range(rows), min(rows, 4)):
            pane.table.selectionModel().select(pane.model.index(place, 0), SELECT)
        pane.tabs.setCurrentIndex(self._dice.randrange(pane.tabs.count()))
        if pane.overlay.names:
            pane.overlay.choose(self._dice.choice(pane.overlay.names))
        pane.notes.tags.clear()
        QTest.keyClicks(pane.notes.tags, self._dice.choice(("good", "baseline, good", "to compare")))
        pane.trash.press()
        pane.filter.trash.setChecked(True)
        pane.table.selectAll()
        pane.trash.restore.click()
        pane.filter.trash.setChecked(False)
        pane.filter.search.setText(self._dice.choice(("good", "sft", "", "")))

    def _smooth(self) -> None:
        pane = self._window.pane(self._dice.choice(("sft", "reward", "policy")))
        pane.board.controls.slider.setValue(self._dice.randrange(100))
        pane.board.setCurrentIndex(self._dice.randrange(pane.board.count()))

    def _search(self) -> None:
        self._window.show_pane("data")
        pane = self._window.pane("data")
        pane.select(PAIRS)
        pane.view.records.bar.search.setText(self._dice.choice(("lake", "sorry", "the", "")))

    def _rank(self) -> None:
        self._window.show_pane("rank")
        pane = self._window.pane("rank")
        if not self._begun:
            pane.start.name.setText("Ada")
            QTest.keyClick(pane.start.name, Qt.Key.Key_Return)
            pane.head.dataset.setCurrentText(PAIRS)
            pane.head.dataset.activated.emit(pane.head.dataset.currentIndex())
            self._begun = True
        focus = QApplication.focusWidget()
        if focus is not None and pane.isAncestorOf(focus) and pane.bench.isVisible():
            key = self._dice.choice("1234s")
            QTest.keyClick(focus, key)
            if self._dice.random() < 0.2:
                QTest.keyClick(focus, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
            self.done["verdicts"] = self.done.get("verdicts", 0) + 1


def held_mb() -> float:
    """What the process holds once the allocator has given back what it kept for later."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return round(psutil.Process().memory_info().rss / 2**20, 1)


def slope(counts: list[dict[str, float]], what: str) -> float:
    """Least squares, per hour."""
    if len(counts) < 3:
        return 0.0
    line = statistics.linear_regression([c["seconds"] / 3600 for c in counts], [c[what] for c in counts])
    return round(line.slope, 1)


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    app = QApplication(sys.argv[:1])
    own = psutil.Process()
    with tempfile.TemporaryDirectory() as name:
        settings = Settings(Path(name) / "settings.ini")
        project = Project.open(Path(name) / "project", busy_ms=BUSY_MS)
        single = SingleWindow(project.folder)
        single.claim()
        session = Session(project, settings, single)
        day = Day(session, wanted.minutes * 60, wanted.seed)
        session.window.show()
        app.exec()
        outcomes: dict[str, int] = {}
        for row in project.store.runs():
            outcomes[row.outcome] = outcomes.get(row.outcome, 0) + 1
        verdicts = sum(1 for _ in project.store.verdicts(PAIRS))
        session.close()
        left = {"children": len(own.children(recursive=True)), "threads": own.num_threads(), "files": own.num_fds()}
    warm = day.counts[max(day.warm_at, len(day.counts) // 4) :]
    names = [key for key in warm[0] if key != "seconds"]
    figures = {
        "done": day.done,
        "outcomes": outcomes,
        "verdicts that count": verdicts,
        "at rest, before the first run": {key: round(day.at_rest[0][key], 1) for key in names},
        "at rest, after the last": {key: round(day.at_rest[-1][key], 1) for key in names},
        "warm": {key: round(warm[0][key], 1) for key in names},
        "at the end": {key: round(warm[-1][key], 1) for key in names},
        "memory once the allocator gave back what it kept: warm, at rest after the last": day.held,
        "memory each minute": [round(count["memory_mb"]) for count in day.counts[:: round(60 / COUNT_S)]],
        "slope an hour": {key: slope(warm, key) for key in ("memory_mb", "threads", "files", "objects", "widgets")},
        "left after the window": left,
    }
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
