"""How long ten curves of a million points take to refresh and to zoom: ``python tests/benchmarks/plots.py``.

Times are from the change to the painted widget, of a 1200 × 600 plot; the aim is 33 ms. "cpu" is what the process
itself worked, which other work on the machine disturbs less than the wall's clock.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtWidgets import QApplication

from rlhf_lab.core.events import Metrics
from rlhf_lab.gui.models.curves import Curve
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.models.plot_spec import PlotSpec
from rlhf_lab.gui.plots.curve_plot import CurvePlot


def milliseconds(work: Callable[[int], None], times: int) -> dict[str, float]:
    """Median and largest wall time and median processor time of ``work(0)``, ``work(1)`` …"""
    wall, cpu = [], []
    for turn in range(times):
        began, worked = time.perf_counter(), time.process_time()
        work(turn)
        wall.append(1000 * (time.perf_counter() - began))
        cpu.append(1000 * (time.process_time() - worked))
    figures = {"median": statistics.median(wall), "max": max(wall), "cpu": statistics.median(cpu)}
    return {name: round(value, 1) for name, value in figures.items()}


def main() -> None:
    """Print one JSON object."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--curves", type=int, default=10)
    options.add_argument("--points", type=int, default=1_000_000)
    options.add_argument("--times", type=int, default=30)
    wanted = options.parse_args()

    app = QApplication([])
    names = [f"curve {n}" for n in range(wanted.curves)]
    history, random = RunHistory("ppo-1"), np.random.default_rng(0)
    began = time.perf_counter()
    for name in names:
        history.curves[name] = Curve()
        noise = random.normal(size=wanted.points).cumsum() + 10 * random.normal(size=wanted.points)
        history.curves[name].load(np.arange(wanted.points), noise)
    loaded = time.perf_counter() - began
    plot = CurvePlot(PlotSpec("Benchmark", {name: name for name in names}))
    plot.resize(1200, 600)
    plot.show()
    plot.show_history(history)

    def paint() -> None:
        plot.redraw()
        app.processEvents()  # delivers the one paint event that the new data asked for

    def refresh(turn: int) -> None:
        history.feed([Metrics(step=wanted.points + turn, values=dict.fromkeys(names, float(turn)))])
        paint()

    def zoom(turn: int) -> None:
        low = (turn * 0.013) % 0.5 * wanted.points
        plot.set_view((low, low + wanted.points / (1.5 ** (turn % 20))))
        paint()

    def smooth(turn: int) -> None:
        plot.set_smoothing(0.5 + 0.01 * turn)
        paint()

    paint()
    result = {"curves": wanted.curves, "points": wanted.points, "load_s": round(loaded, 2)}
    result["refresh_ms"] = milliseconds(refresh, wanted.times)
    result["zoom_ms"] = milliseconds(zoom, wanted.times)
    plot.set_view(None)
    result["smoothing_moved_ms"] = milliseconds(smooth, 5)
    result["refresh_smoothed_ms"] = milliseconds(lambda turn: refresh(1000 + turn), wanted.times)
    result["zoom_smoothed_ms"] = milliseconds(zoom, wanted.times)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
