"""What a person feels of a very large data set: the window's longest gap while it is imported, then opening, jumping, scrolling, searching.

    python tests/benchmarks/window_import.py [--pairs 1000000] [--json]

A real window, offscreen, on a fresh project. A 4 ms timer beats throughout: a gap is the time between two
beats, less the 4 ms. Times of the table are from the action to the painted rows. The file (about 700 bytes a
pair) is written first and imported through the pane as a dropped one is.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import psutil
from PySide6.QtCore import QElapsedTimer, QEventLoop, QObject, Qt, QTimer, Slot
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from rlhf_lab.gui.app import BUSY_MS, Session
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.single import SingleWindow
from rlhf_lab.runs.project import Project

BEAT_MS = 4
SAMPLE_MS = 250
PATIENCE_MS = 1_200_000
PRELOADED_MS = 4000
"""The window imports its plots 1.5 s after it was opened, which is no part of an import."""
JUMPS = 200
CANCEL_AFTER_MS = 1500
NEEDLE = "zyzzyva"
"""A word that one in a thousand records has."""


class Heart(QObject):
    """Beats, and notes the longest gap since it was last asked."""

    def __init__(self) -> None:
        super().__init__()
        self.gaps: list[tuple[float, float]] = []
        self.peak_mb = self.children_mb = 0.0
        self._last, self._computed = time.perf_counter(), time.thread_time()
        self._me = psutil.Process()
        self._beats = QTimer(self, interval=BEAT_MS, timerType=Qt.TimerType.PreciseTimer)
        self._beats.timeout.connect(self._beat)
        self._samples = QTimer(self, interval=SAMPLE_MS)
        self._samples.timeout.connect(self._sample)

    def begin(self) -> None:
        """Forget what was before."""
        self.gaps, self.peak_mb, self.children_mb = [], 0.0, 0.0
        self._last, self._computed = time.perf_counter(), time.thread_time()
        self._beats.start()
        self._samples.start()

    def end(self) -> dict[str, float]:
        """Gaps in milliseconds since `begin`; of the longest, what the window's thread computed in it.

        The rest of it waited: for the interpreter, for a disk, or for a core that others had.
        """
        self._beats.stop()
        self._samples.stop()
        gaps = sorted(gap for gap, _ in self.gaps)
        longest, computed = max(self.gaps, default=(0.0, 0.0))
        found = {"p50_ms": _at(gaps, 0.5), "p99_ms": _at(gaps, 0.99), "longest_ms": round(longest, 2)}
        return {**found, "computing_in_it_ms": round(computed, 2)}

    @Slot()
    def _beat(self) -> None:
        now, computed = time.perf_counter(), time.thread_time()
        self.gaps.append((max(0.0, (now - self._last) * 1000 - BEAT_MS), (computed - self._computed) * 1000))
        self._last, self._computed = now, computed

    @Slot()
    def _sample(self) -> None:
        self.peak_mb = max(self.peak_mb, self._me.memory_info().rss / 1e6)
        for child in self._me.children():
            try:
                self.children_mb = max(self.children_mb, child.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    app = QApplication(sys.argv[:1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "many.jsonl"
        size = write_pairs(file, wanted.pairs, seed=0)
        settings = Settings(folder / "settings.ini")
        settings.put("warm", False)
        project = Project.open(folder / "project", busy_ms=BUSY_MS)
        single = SingleWindow(project.folder)
        single.claim()
        session = Session(project, settings, single)
        session.window.resize(1280, 800)
        session.window.show()
        until(lambda: session.window.pane("data").list.count() > 0)
        result = {"pairs": wanted.pairs, "megabytes": round(size / 1e6)}
        try:
            result |= measure(session, file, Heart())
        finally:
            session.lab.let_go()
            session.window.close()
            session.close()
    del app
    sys.stdout.write(json.dumps(result) + "\n" if wanted.json else json.dumps(result, indent=2) + "\n")


def measure(session: Session, file: Path, heart: Heart) -> dict[str, object]:
    """Import, look, and cancel a second import."""
    pane = session.window.pane("data")
    wait(PRELOADED_MS)
    pane.look_at([file])
    until(pane.panel.go.isVisible)
    heart.begin()
    began = time.perf_counter()
    QTest.mouseClick(pane.panel.go, Qt.MouseButton.LeftButton)
    until(lambda: pane.stack.currentWidget() is pane.view and pane.list.currentItem().text() == "many")
    found: dict[str, object] = {"import_s": round(time.perf_counter() - began, 1), "import_gap": heart.end()}
    found |= {"window_mb": round(heart.peak_mb), "importing_child_mb": round(heart.children_mb)}
    view = pane.view.records
    pane.select("lab world pairs")
    settle()
    found["open_ms"] = clock(lambda: pane.select("many"), view.table)
    bar, draw = view.table.verticalScrollBar(), random.Random(1)
    assert bar.maximum() > 0
    jumps = sorted(clock(lambda: bar.setValue(draw.randrange(bar.maximum())), view.table) for _ in range(JUMPS))
    found["jump_ms"] = {"p50": _at(jumps, 0.5), "p99": _at(jumps, 0.99)}
    steps = sorted(clock(lambda: bar.setValue(bar.value() + bar.singleStep() * 60), view.table) for _ in range(JUMPS))
    found["scroll_ms"] = {"p50": _at(steps, 0.5), "p99": _at(steps, 0.99)}
    count = view.table.model().rowCount()
    reads = sorted(clock(lambda: view.table.selectRow(draw.randrange(count)), view) for _ in range(JUMPS))
    found["read_ms"] = {"p50": _at(reads, 0.5), "p99": _at(reads, 0.99)}
    found["search_before_index"] = search(view, heart)
    heart.begin()
    began = time.perf_counter()
    until(lambda: session.project.store.search_ready("many"))
    found |= {"index_more_s": round(time.perf_counter() - began, 1), "index_gap": heart.end()}
    found["search"] = search(view, heart)
    found["cancel"] = cancel(session, file, heart)
    return found


def search(view: object, heart: Heart) -> dict[str, object]:
    """Type a rare word; until the first rows are there, and until all are known."""
    view.bar.search.clear()
    until(lambda: view.bar.matches.text() == "")
    settle()
    heart.begin()
    began = time.perf_counter()
    QTest.keyClicks(view.bar.search, NEEDLE)
    until(lambda: "match" in view.bar.matches.text())
    first = time.perf_counter() - began
    until(lambda: view.bar.matches.text().endswith("matches"))
    whole = time.perf_counter() - began
    found = {
        "first_s": round(first, 3),
        "all_s": round(whole, 3),
        "matches": view.bar.matches.text(),
        "gap": heart.end(),
    }
    view.bar.search.clear()
    settle()
    return found


def cancel(session: Session, file: Path, heart: Heart) -> dict[str, object]:
    """Import the same records in another order, and think better of it."""
    pane = session.window.pane("data")
    other = file.with_name("other.jsonl")
    with file.open("rb") as source, other.open("wb") as target:
        source.readline()
        while part := source.read(2**24):
            target.write(part)
    pane.look_at([other])
    until(pane.panel.go.isVisible)
    QTest.mouseClick(pane.panel.go, Qt.MouseButton.LeftButton)
    wait(CANCEL_AFTER_MS)
    heart.begin()
    began = time.perf_counter()
    QTest.mouseClick(pane.panel.cancel, Qt.MouseButton.LeftButton)
    until(lambda: pane.stack.currentWidget() is pane.view)
    return {"s": round(time.perf_counter() - began, 3), "gap": heart.end()}


def clock(act: Callable[[], object], widget: object) -> float:
    """Milliseconds from the action to the painted widget."""
    began = time.perf_counter()
    act()
    widget.window().grab(widget.rect().translated(widget.mapTo(widget.window(), widget.rect().topLeft())))
    return (time.perf_counter() - began) * 1000


def write_pairs(path: Path, count: int, seed: int) -> int:
    """A file of pairs, about 700 bytes each; its size in bytes."""
    draw = random.Random(seed)
    words = [f"{a}{b}{c}" for a in "bdfglmnprst" for b in ("a", "ei", "o", "u") for c in ("n", "r", "sk", "lo", "m")]
    texts = [" ".join(draw.choices(words, k=draw.randint(20, 70))) for _ in range(4000)]
    with path.open("w", encoding="ascii") as file:
        for n in range(count):
            row = {
                "prompt": f"Question {n}: {texts[n % 3989][:120]}?" + (f" {NEEDLE}" if n % 1000 == 7 else ""),
                "chosen": f"{draw.choice(texts)} {n}.",
                "rejected": f"{draw.choice(texts)} {n % 17}.",
            }
            file.write(json.dumps(row) + "\n")
    return path.stat().st_size


def until(reached: Callable[[], bool]) -> None:
    """Let the window live until it is so."""
    patience = QElapsedTimer()
    patience.start()
    while not reached():
        if patience.elapsed() > PATIENCE_MS:
            raise SystemExit("The window did not get there in time.")
        wait(5)


def settle() -> None:
    """Let what is under way end."""
    wait(300)


def wait(ms: int) -> None:
    """Let the window live for a while."""
    loop = QEventLoop()
    QTimer.singleShot(ms, loop.quit)
    loop.exec()


def _at(ordered: list[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else 0.0


if __name__ == "__main__":
    main()
