"""The Runs pane on a project with many runs: ``PYTHONPATH=. python tests/benchmarks/runs_pane.py``.

Makes 500 runs, ten of which have a million rows of metrics (``--metrics 1``: one curve of a million points; ``--metrics
20``: twenty of 50,000), in the index alone: no folder is read by what is measured. Each figure is from the call to the
painted widget. Opening: a new pane, from its constructor to the painted table, whose plot follows in the next turn
of the loop ("with its plot"); the aim is 200 ms. Overlay: ten runs are selected; 150 ms.
Zoom: another part of all ten curves, drawn from their sketches or read in full; 33 ms. What a zoom into a sketch shows
in detail is read beside the window ("part read after"). "cpu" is what the process itself worked.
"""

import argparse
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QEventLoop, QItemSelection, QItemSelectionModel, QTimer
from PySide6.QtWidgets import QApplication

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.panes.runs import RunsPane
from rlhf_lab.gui.plots.curve_plot import CurvePlot
from rlhf_lab.runs.project import Project
from rlhf_lab.store.schema import STEP_BITS

LONG = 10
CONFIG = '{"stage": "ppo", "dataset": "lab world prompts", "kl_coef": %s}'


def fill(project: Project, runs: int, rows: int, metrics: int) -> None:
    """Write the tables as the recorder would; a million events would take minutes."""
    with sqlite3.connect(project.store.path) as db:
        for n in range(metrics):
            db.execute("INSERT INTO metric_names VALUES (?, ?)", (n + 1, "eval/score" if n == 0 else f"metric/{n}"))
        for n in range(1, runs + 1):
            values = (n, f"ppo-{n}", "ppo", f"runs/ppo-{n}", CONFIG % (n / 1000), float(n), "done", "Done.", 20, 20)
            db.execute(
                "INSERT INTO runs (id, run, stage, dir, config, created, outcome, message, step, total) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            steps = rows // metrics if n > runs - LONG else 20
            for metric in range(1, metrics + 1):
                curve = np.random.default_rng(n * 100 + metric).normal(size=steps).cumsum()
                db.executemany(
                    "INSERT INTO metrics VALUES (?, ?, ?, 1, ?, NULL)",
                    ((n, metric, step, value) for step, value in enumerate(curve.tolist())),
                )
                db.execute(
                    "INSERT INTO metric_blocks SELECT run, metric, step >> ?, min(value), max(value) FROM metrics "
                    "WHERE run = ? AND metric = ? GROUP BY step >> ?",
                    (STEP_BITS, n, metric, STEP_BITS),
                )
    db.close()


def timed(work: Callable[[], object], app: QApplication | None) -> tuple[float, float]:
    """Milliseconds of wall and of processor; with ``app``, until all that it asked for is painted."""
    began, worked = time.perf_counter(), time.process_time()
    work()
    if app is not None:
        app.processEvents()
    return 1000 * (time.perf_counter() - began), 1000 * (time.process_time() - worked)


def wait(until: Callable[[], bool]) -> float:
    """Let the window live until then; the seconds that it took."""
    began, loop, timer = time.perf_counter(), QEventLoop(), QTimer(interval=20)
    timer.timeout.connect(lambda: loop.quit() if until() else None)
    timer.start()
    loop.exec()
    return time.perf_counter() - began


def summary(times: list[tuple[float, float]]) -> dict[str, float]:
    """Median and greatest of the wall, median of the processor."""
    wall, cpu = zip(*times, strict=True)
    return {
        "median": round(statistics.median(wall), 1),
        "max": round(max(wall), 1),
        "cpu": round(statistics.median(cpu), 1),
    }


def measure(app: QApplication, lab: Lab, times: int) -> dict[str, object]:
    """Open, select ten, zoom."""
    kept: list[RunsPane] = []

    def open_one() -> None:
        pane = RunsPane(lab)
        pane.resize(1100, 740)
        pane.show()
        kept.append(pane)

    open_one()  # imports, fonts, icons: paid once in the life of a window
    app.processEvents()
    opened, plotted = [], []
    for _ in range(times):
        kept.pop().deleteLater()
        app.processEvents()
        opened.append(timed(lambda: (open_one(), kept[-1].table.viewport().repaint()), None))
        plotted.append(timed(lambda: kept[-1].overlay.card.plot.redraw(), app))
    pane = kept[-1]
    selection = pane.table.selectionModel()
    select = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows

    def choose_all() -> None:
        rows = pane.model.index(0, 0), pane.model.index(LONG - 1, 0)
        selection.select(QItemSelection(*rows), select)
        pane.overlay.card.plot.redraw()

    overlaid: list[tuple[float, float]] = []
    for _ in range(times):
        pane.table.clearSelection()
        for run in list(pane.overlay.overlay.runs) + [f"ppo-{n}" for n in range(1, 501)]:
            pane.overlay.overlay.forget(run)
        app.processEvents()
        overlaid.append(timed(choose_all, app))
    overlay, plot = pane.overlay.overlay, pane.overlay.card.plot
    wait(lambda: pane.overlay._reading is None)
    last = max(float(curve.steps[-1]) for curve in plot.history.curves.values())
    sketched = [timed(lambda turn=turn: zoom(plot, last, turn), app) for turn in range(30)]
    parts = []
    for turn in range(times):
        plot.zoomed.emit((last * (0.1 + 0.1 * turn), last * (0.1001 + 0.1 * turn)))
        drawn = overlay.history().curves["0"]
        parts.append(wait(lambda drawn=drawn: overlay.history().curves["0"] is not drawn and not pane.overlay._looking))
    pane.overlay.controls.slider.setValue(50)  # what is smoothed is read whole
    read = wait(lambda: not overlay.unread())
    pane.overlay.controls.slider.setValue(0)
    app.processEvents()
    zoomed = [timed(lambda turn=turn: zoom(plot, last, turn), app) for turn in range(30)]
    points = sum(len(curve) for curve in plot.history.curves.values())
    return {
        "open_ms": summary(opened),
        "with its plot, ms more": summary(plotted),
        "overlay_ms": summary(overlaid),
        "runs overlaid": len(overlay.runs),
        "zoom_ms, of sketches": summary(sketched),
        "part read after, ms": round(1000 * statistics.median(parts)),
        "whole curves read after, s": round(read, 2),
        "points": points,
        "zoom_ms, of whole curves": summary(zoomed),
    }


def zoom(plot: CurvePlot, last: float, turn: int) -> None:
    """Show another part, wide or narrow."""
    low = (turn * 0.013) % 0.5 * last
    plot.set_view((low, low + last / 1.5 ** (turn % 20)))
    plot.redraw()


def main() -> None:
    """Print one JSON object."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=500)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--metrics", type=int, default=1)
    options.add_argument("--times", type=int, default=5)
    wanted = options.parse_args()
    app = QApplication(sys.argv[:1])
    with tempfile.TemporaryDirectory() as name, Project.open(Path(name) / "project", busy_ms=50) as project:
        began = time.perf_counter()
        fill(project, wanted.runs, wanted.rows, wanted.metrics)
        made = round(time.perf_counter() - began, 1)
        lab = Lab(project, lambda folder, how: None)
        figures = measure(app, lab, wanted.times)
        lab.let_go()
    sys.stdout.write(json.dumps({"runs": wanted.runs, "metrics": wanted.metrics, "made_s": made, **figures}, indent=1))
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
