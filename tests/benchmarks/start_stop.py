"""From Start to the first metric, and from Stop to the run that is stopped and saved, in a real window on the bundled model.

    python tests/benchmarks/start_stop.py [--wait 20] [--held-out 128] [--json]

The settings are those of the guided experiment, whose looks take 96, 512 and 160 held-out examples; a form begins with
128. A trainer stands by, as it does in a window that has been idle for `--wait` seconds before each start. Stop comes half
a second after the second step or update, so in the midst of one.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QObject, QTimer, Slot
from PySide6.QtWidgets import QApplication

from rlhf_lab.core.events import Event, Metrics
from rlhf_lab.core.naming import Stage
from rlhf_lab.gui.app import BUSY_MS, Session
from rlhf_lab.gui.run_state import ENDED
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.single import SingleWindow
from rlhf_lab.runs.experiment import guided_config
from rlhf_lab.runs.project import Project

INTO_THE_STEP_MS = 500
PLAN: tuple[tuple[Stage, bool], ...] = (
    ("sft", False),
    ("reward", False),
    ("ppo", True),
    ("sft", True),
    ("reward", True),
)
"""Stage, and whether it is stopped; the first two end after three steps, for PPO to stand on."""


class Person(QObject):
    """Presses Start and Stop, and watches the clock."""

    def __init__(self, session: Session, wait: float, held_out: int | None):
        super().__init__()
        self._session = session
        self._held_out = held_out
        self._wait_ms = round(1000 * wait)
        self._plan = list(PLAN)
        self._runs: dict[Stage, str] = {}
        self._run, self._stage, self._stops = "", "sft", False
        self._pressed = 0.0
        self._stopping = False
        self.first_metric: dict[str, list[float]] = {}
        self.stopped: dict[str, list[float]] = {}
        session.lab.events_arrived.connect(self._events)
        session.lab.run_changed.connect(self._run_changed)
        session.lab.datasets_changed.connect(self._begin)

    @Slot()
    def _begin(self) -> None:
        self._session.lab.datasets_changed.disconnect(self._begin)
        QTimer.singleShot(self._wait_ms, self, self._start)

    @Slot()
    def _start(self) -> None:
        self._stage, self._stops = self._plan.pop(0)
        config = guided_config(self._stage, 0, self._runs)
        if not self._stops:
            config = config.model_copy(update={"max_steps": 3})
        if self._held_out is not None:
            config = config.model_copy(update={"eval_size": self._held_out})
        self._stopping, self._seen = False, False
        self._pressed = time.perf_counter()
        self._run = self._session.lab.start(config)
        if not self._stops:
            self._runs[self._stage] = self._run
        self._session.window.show_run(self._run)

    @Slot(str, list)
    def _events(self, run: str, events: list[Event]) -> None:
        if run != self._run or self._stopping:
            return
        metrics = [event for event in events if isinstance(event, Metrics)]
        if metrics and not self._seen:
            self._seen = True
            self.first_metric.setdefault(self._stage, []).append(time.perf_counter() - self._pressed)
        if self._stops and any(event.step >= 2 for event in metrics):
            self._stopping = True
            QTimer.singleShot(INTO_THE_STEP_MS, self, self._stop)

    @Slot()
    def _stop(self) -> None:
        self._pressed = time.perf_counter()
        self._session.lab.stop(self._run)

    @Slot(str)
    def _run_changed(self, run: str) -> None:
        lab = self._session.lab
        if run != self._run or lab.state(run).outcome not in ENDED or run in lab.live():
            return
        if self._stopping:
            self.stopped.setdefault(self._stage, []).append(time.perf_counter() - self._pressed)
            assert lab.state(run).outcome == "stopped"
        self._run = ""
        if self._plan:
            QTimer.singleShot(self._wait_ms, self, self._start)
        else:
            QTimer.singleShot(0, self._session.window, self._session.window.close)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wait", type=float, default=20, help="seconds of rest before each start")
    parser.add_argument("--held-out", type=int, help="examples of each look")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    app = QApplication(sys.argv[:1])
    with tempfile.TemporaryDirectory() as folder:
        project = Project.open(Path(folder) / "project", busy_ms=BUSY_MS)
        single = SingleWindow(project.folder)
        single.claim()
        session = Session(project, Settings(Path(folder) / "settings.ini"), single)
        person = Person(session, wanted.wait, wanted.held_out)
        session.window.show()
        app.exec()
        session.close()
    result = {
        name: {stage: [round(second, 2) for second in found] for stage, found in times.items()}
        for name, times in (("start_to_first_metric_s", person.first_metric), ("stop_to_saved_s", person.stopped))
    }
    sys.stdout.write(json.dumps(result) + "\n" if wanted.json else f"{result}\n")


if __name__ == "__main__":
    main()
