"""How late a 16 ms timer of the window is while PPO trains in its child and all plots are live, and the window's memory.

    python tests/benchmarks/heartbeat.py [--updates 8] [--json]

A real window with the Policy pane in front, the bundled model, the guided experiment's PPO settings.
SFT and the reward model before it are cut to a few steps: only PPO is measured. Memory is what the window's process holds
after the last update, and the most that it ever held (Linux).
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import psutil
from peak import peak_mb
from PySide6.QtCore import QObject, Qt, QTimer, Slot
from PySide6.QtWidgets import QApplication

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.naming import Stage
from rlhf_lab.gui.app import BUSY_MS, Session
from rlhf_lab.gui.run_state import ENDED
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.single import SingleWindow
from rlhf_lab.runs.experiment import guided_config
from rlhf_lab.runs.project import Project

BEAT_MS = 16


class Heartbeat(QObject):
    """Starts the stages one after the other and beats while PPO says metrics."""

    def __init__(self, session: Session, updates: int):
        super().__init__()
        self._session, self._updates = session, updates
        self._runs: dict[Stage, str] = {}
        self.late_ms: list[float] = []
        self.memory_mb = 0.0
        self._last = 0.0
        self._timer = QTimer(self, interval=BEAT_MS, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        session.lab.run_changed.connect(self._run_changed)
        session.lab.datasets_changed.connect(self._begin)

    @Slot()
    def _begin(self) -> None:
        if not self._runs:
            self._start("sft")

    def _start(self, stage: Stage) -> None:
        config: RunConfig = guided_config(stage, 0, self._runs)
        short = (
            {"updates": self._updates, "eval_every": 4}
            if stage == "ppo"
            else {"max_steps": 3, "eval_every": 0, "eval_size": 16}
        )
        self._runs[stage] = self._session.lab.start(config.model_copy(update=short))
        if stage == "ppo":
            self._session.window.show_run(self._runs[stage])

    @Slot(str)
    def _run_changed(self, run: str) -> None:
        state = self._session.lab.state(run)
        if state.stage == "ppo" and state.step >= 1 and not self._timer.isActive() and state.live:
            self._last = time.perf_counter()
            self._timer.start()
            sys.stderr.write("PPO trains; beating\n")
        if state.outcome not in ENDED or run in self._session.lab.live():
            return
        self._timer.stop()
        following: dict[str, Stage] = {"sft": "reward", "reward": "ppo"}
        if state.outcome == "done" and state.stage in following:
            self._start(following[state.stage])
        else:
            self.memory_mb = psutil.Process().memory_info().rss / 2**20
            self._session.window.close()

    @Slot()
    def _beat(self) -> None:
        now = time.perf_counter()
        self.late_ms.append(max(0.0, (now - self._last) * 1000 - BEAT_MS))
        self._last = now


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    app = QApplication(sys.argv[:1])
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder) / "settings.ini")
        settings.put("warm", False)
        project = Project.open(Path(folder) / "project", busy_ms=BUSY_MS)
        single = SingleWindow(project.folder)
        single.claim()
        session = Session(project, settings, single)
        heart = Heartbeat(session, wanted.updates)
        session.window.show()
        app.exec()
        outcome = session.lab.state(project.store.runs()[-1].run).outcome
        session.close()
    beats = sorted(heart.late_ms)
    at = lambda share: round(beats[min(len(beats) - 1, int(share * len(beats)))], 2)  # noqa: E731
    result = {
        "beats": len(beats),
        "p50": at(0.5),
        "p99": at(0.99),
        "max": at(1.0),
        "run": outcome,
        "memory_mb": round(heart.memory_mb),
        "peak_mb": round(peak_mb()),
    }
    sys.stdout.write(json.dumps(result) + "\n" if wanted.json else f"late by (ms): {result}\n")


if __name__ == "__main__":
    main()
