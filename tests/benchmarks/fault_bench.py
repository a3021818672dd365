"""A real window under which faults are put, and a clock on its heart: used by ``fault_table.py``."""

import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
from PySide6.QtCore import QEventLoop, QObject, Qt, QTimer, Slot
from PySide6.QtWidgets import QApplication

from rlhf_lab.core.config import SftConfig
from rlhf_lab.gui.app import _PRELOADED, BUSY_MS, Session
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.single import SingleWindow
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.gui.widgets.still_text import StillLine
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.project import Project

Steps = Iterator[Callable[[], bool]]
"""A fault as a script: what it yields has to become true before it goes on."""

BEAT_MS, LOOK_MS = 16, 20
SMALL: dict[str, Any] = {
    "dataset": "lab world demonstrations",
    "batch_size": 4,
    "micro_batch_size": 4,
    "max_prompt_tokens": 32,
    "max_new_tokens": 12,
    "eval_size": 4,
    "eval_every": 0,
    "lora_r": 4,
    "threads": 1,
}
PAIRS = "lab world pairs"


@dataclass
class Row:
    """One line of the table."""

    fault: str
    how: str
    saw: str = "nothing"
    seconds: float | None = None
    gap_ms: float = 0.0
    then: str = ""
    sound: bool = True


class Heart(QObject):
    """Beats in the window's thread and notes the longest pause between two beats."""

    def __init__(self) -> None:
        super().__init__()
        self.longest_ms = 0.0
        self._last = 0.0
        self._timer = QTimer(self, interval=BEAT_MS, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)

    def begin(self) -> None:
        """From now on."""
        self.longest_ms, self._last = 0.0, time.perf_counter()
        self._timer.start()

    def longest(self) -> float:
        """Milliseconds; the pause that is going on counts, too."""
        self._beat()
        return self.longest_ms

    @Slot()
    def _beat(self) -> None:
        now = time.perf_counter()
        self.longest_ms = max(self.longest_ms, (now - self._last) * 1000)
        self._last = now


class Bench:
    """Opens windows on projects, one after the other, plays faults on them and writes down what was seen."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.rows: list[Row] = []
        self.heart = Heart()
        self.session: Session | None = None
        self._row: Row | None = None
        self._at = 0.0
        self._found = ""

    # Windows

    def open(self, folder: Path) -> None:
        """Open the project as the program does."""
        settings = Settings(self.place / "settings.ini")
        settings.put("warm", False)
        project, single = Project.open(folder, busy_ms=BUSY_MS), SingleWindow(folder)
        assert single.claim()
        self.session = Session(project, settings, single)
        self.session.window.show()
        self.heart.begin()

    def close(self) -> None:
        """Leave the project; nothing of it trains any more."""
        if self.session is None:
            return
        lab = self.session.lab
        for run in lab.live():
            process = lab.project.run(run).process()
            if process is not None and process.alive():
                psutil.Process(process.pid).kill()
        lab.let_go()
        self.session.window.close()
        self.session.close()
        self.session = None

    @property
    def lab(self) -> Any:
        """Of the window that is open."""
        assert self.session is not None
        return self.session.lab

    @property
    def window(self) -> Any:
        """The window that is open."""
        assert self.session is not None
        return self.session.window

    # A row

    def inject(self, fault: str, how: str) -> None:
        """The fault begins now: a row, and the clocks from 0."""
        self._row = Row(fault, how)
        self.rows.append(self._row)
        self.restart()

    def clear(self) -> None:
        """Close all messages."""
        for message in self.window.messages.messages():
            message.leave()

    def restart(self) -> None:
        """The clocks from 0 again: what came before was preparation."""
        self._at = time.monotonic()
        self.heart.begin()

    def seen(self) -> None:
        """The words that the last `says` found, and the time until they were seen."""
        assert self._row is not None
        self._row.saw, self._row.seconds = self._found, round(time.monotonic() - self._at, 2)

    def then(self, words: str) -> None:
        """What came of it; with it the row is complete."""
        assert self._row is not None
        self._row.then, self._row.gap_ms = words, round(self.heart.longest(), 1)
        self._row.sound = self.session is None or sound(self.lab.project.store.path)
        sys.stderr.write(f"{self._row}\n")

    def says(self, *parts: str) -> Callable[[], bool]:
        """Whether some text in the window has all of these parts."""

        def look() -> bool:
            for text in self.words():
                if all(part in text for part in parts):
                    self._found = text
                    return True
            return False

        return look

    def silent(self, part: str) -> Callable[[], bool]:
        """Whether no message has this part any more."""
        return lambda: not any(part in text for text in self.words())

    def words(self) -> list[str]:
        """All that can be read: the messages, the strip, and the labels of the pane."""
        window = self.window
        texts = [message.text for message in window.messages.messages()]
        if window.strip.doing.isVisible():
            texts.append(window.strip.doing.text())
        pane = window.stack.currentWidget()
        labels = [*pane.findChildren(PlainLabel), *pane.findChildren(StillLine)]
        return texts + [label.text() for label in labels if label.isVisible()]

    # Runs

    def train(self, **settings: Any) -> str:
        """Start an SFT run that would take long."""
        wanted = {"max_steps": 100_000, "checkpoint_every": 0} | settings
        return self.lab.start(SftConfig(**SMALL | wanted))

    def reached(self, run: str, step: int) -> Callable[[], bool]:
        """Whether the run is so far."""
        return lambda: self.lab.state(run).step >= step and self.lab.state(run).live

    def ended(self, run: str) -> Callable[[], bool]:
        """Whether nobody trains it any more."""
        return lambda: run not in self.lab.live() + self.lab.queued()

    def trainer(self, run: str) -> psutil.Process:
        """Its process."""
        process = self.lab.project.run(run).process()
        assert process is not None
        return psutil.Process(process.pid)

    def folder(self, run: str) -> RunFolder:
        """Its folder."""
        return self.lab.project.run(run)

    def ready(self) -> Callable[[], bool]:
        """Whether the bundled data is there."""
        return lambda: len(self.lab.project.store.datasets()) >= 4

    def play(self, steps: Steps, deadline_s: float = 100) -> None:
        """Let the script run in the window's own loop."""
        loop, timer, waiting = QEventLoop(), QTimer(interval=LOOK_MS), next(steps)
        until, stuck = time.monotonic() + deadline_s, False

        def look() -> None:
            nonlocal waiting, stuck
            if time.monotonic() > until:
                stuck = True
                loop.quit()
            elif waiting():
                try:
                    waiting = next(steps)
                except StopIteration:
                    loop.quit()

        timer.timeout.connect(look)
        timer.start()
        loop.exec()
        timer.stop()
        if stuck:
            said = self.words() if self.session is not None else []
            sys.stderr.write(f"stuck in {self._row}: {said[:12]}\n")
            if self._row is not None:
                self._row.then, self._row.sound = "STUCK", False


def sound(database: Path) -> bool:
    """Whether SQLite finds nothing wrong."""
    if not database.exists():
        return True
    with closing(sqlite3.connect(database, timeout=5)) as db:
        return bool(db.execute("PRAGMA integrity_check").fetchone() == ("ok",))


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process beside the window that does this and says a line when it is at it."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> Callable[[], bool]:
    """Whether it has said a line; never waits."""
    assert process.stdout is not None
    heard = process.stdout.fileno()
    return lambda: bool(select.select([heard], [], [], 0)[0] and os.read(heard, 100))


def ended(process: subprocess.Popen[str]) -> Callable[[], bool]:
    """Whether it has ended."""
    return lambda: process.poll() is not None


def release(process: subprocess.Popen[str]) -> Callable[[], bool]:
    """Let it go on to its end; whether it is there."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return ended(process)


def kill(process: psutil.Process) -> None:
    """SIGKILL."""
    os.kill(process.pid, signal.SIGKILL)


def application() -> QApplication:
    """The one of this process; it outlives its windows."""
    app = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(app, QApplication)
    app.setQuitOnLastWindowClosed(False)
    for module in _PRELOADED:  # a window does that when it is first idle: no matter of any fault
        import_module(module)
    return app
