"""How long until the window is usable: from the start of the process to a key that was handled.

    python tests/benchmarks/window_start.py [--runs 10] [--json]

Each run is a fresh process, the command itself, on a project that has its data. The key is Ctrl+1 sent to the shown
window; it counts once the pane has answered it and was painted after it. Modules are compiled, as they are from the
second start on: the first, which does that, is not counted.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]

CHILD = """
import sys, time
from rlhf_lab.__main__ import main
from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

class Person(QObject):
    def look(self):
        window = next((w for w in QApplication.topLevelWidgets() if type(w).__name__ == "MainWindow"), None)
        if window is None or window.windowHandle() is None or not window.windowHandle().isExposed():
            QTimer.singleShot(0, self, self.look)
            return
        window.actions.on("pane.data", lambda: self.handled(window))
        QTest.keyClick(window, Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)

    def handled(self, window):
        window.show_pane("data")
        window.repaint()
        rows = window.pane("data").list.count()
        heavy = sorted({"torch", "transformers", "peft", "pyqtgraph", "pandas", "numpy"} & set(sys.modules))
        print(time.time(), time.process_time(), rows, ",".join(heavy), flush=True)
        QTimer.singleShot(0, window, window.close)

app = QApplication(sys.argv[:1])
person = Person()
QTimer.singleShot(0, person, person.look)  # an event filter would be asked 8,000 times meanwhile: 0.1 s
main()
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "PYTHONPYCACHEPREFIX": str(Path(home) / "compiled"),
            "RLHF_LAB_HOME": home,
            "PYTHONPATH": str(CHECKOUT),
            "QT_QPA_PLATFORM": os.environ.get("QT_QPA_PLATFORM", "offscreen"),
        }
        project = Path(home) / "project"
        fill = f"from rlhf_lab.runs.project import Project; Project.open({str(project)!r}).ensure_bundled()"
        subprocess.run([sys.executable, "-c", fill], env=environment, check=True)
        start(environment)
        found = [start(environment) for _ in range(wanted.runs)]
    seconds = [row[0] for row in found]
    result = {
        "median": round(statistics.median(seconds), 3),
        "min": round(min(seconds), 3),
        "max": round(max(seconds), 3),
        "runs": wanted.runs,
        "cpu_median": round(statistics.median(row[1] for row in found), 3),
        "datasets_shown": found[0][2],
        "heavy_modules": found[0][3],
    }
    sys.stdout.write(json.dumps(result) + "\n" if wanted.json else f"window usable after {result}\n")


def start(environment: dict[str, str]) -> tuple[float, float, int, str]:
    """Seconds to the handled key, CPU seconds of them, data sets shown, heavy modules imported."""
    began = time.time()
    ended = subprocess.run(
        [sys.executable, "-c", CHILD],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    at, cpu, rows, heavy = ended.stdout.splitlines()[0].split(" ")
    return float(at) - began, float(cpu), int(rows), heavy


if __name__ == "__main__":
    main()
