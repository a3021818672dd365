"""From a keystroke to the next record on the screen, over many verdicts by simulated keys.

    python tests/benchmarks/verdicts.py [--verdicts 1000] [--answers 2] [--pause 30] [--json]

A real window of 1280 × 800 with the Rank pane in front, a project on the disk, answers of some 150 words.
The clock runs from before the key event is sent until Qt has painted both the prompt and the answers of the
next record; the verdict is on the disk (SQLite, synchronous=FULL) before that. With --answers 3 or more a
record is ranked by digits and the clock starts at Enter. "stored" is the part that the database took.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QEvent, QEventLoop, QObject, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from rlhf_lab.core.judgement import Judgement
from rlhf_lab.core.records import Candidates, Completion, Message, Pair, Prompt
from rlhf_lab.gui.app import BUSY_MS, Session
from rlhf_lab.gui.panes.rank import RankPane
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.single import SingleWindow
from rlhf_lab.runs.project import Project

WORDS = [
    "the",
    "a",
    "of",
    "ground",
    "water",
    "model",
    "answer",
    "because",
    "which",
    "often",
    "never",
    "likely",
    "small",
    "green",
    "river",
    "thinks",
]
PAIR_KEYS = "1122334qws"
IDLE_MS = 3500
"""By then the window has imported, while nobody acts, what the plots need: that is another measure."""


class Paints(QObject):
    """Notes which of the watched widgets were painted since `forget`."""

    def __init__(self, widgets: list[QObject]):
        super().__init__()
        self._seen: set[QObject] = set()
        for widget in widgets:
            widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint:
            self._seen.add(watched)
        return False

    def forget(self) -> None:
        self._seen.clear()

    def has(self, widgets: list[QObject]) -> bool:
        return self._seen.issuperset(widgets)


def text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choice(WORDS) for _ in range(words)).capitalize() + "."


def fill(project: Project, records: int, answers: int) -> None:
    chance = random.Random(0)
    with project.store.new_dataset("records", "benchmark", "pair" if answers == 2 else "candidates") as writer:
        made = []
        for n in range(records):
            prompt = Prompt(messages=(Message(role="user", content=f"{n}: {text(chance, 20)}"),))
            parts = tuple(Completion(text=text(chance, chance.randint(80, 220))) for _ in range(answers))
            made.append(
                Pair(prompt=prompt, chosen=parts[0], rejected=parts[1])
                if answers == 2
                else Candidates(prompt=prompt, completions=parts)
            )
        writer.add(made)


def wait(ms: int) -> None:
    loop = QEventLoop()
    QTimer.singleShot(ms, loop.quit)
    loop.exec()


def open_pane(session: Session) -> RankPane:
    session.window.resize(1280, 800)
    session.window.show()
    session.window.show_pane("rank")
    pane = session.window.pane("rank")
    pane.start.name.setText("Ada")
    pane.start.begin.click()
    while not pane.bench.isVisible():
        wait(20)
    wait(IDLE_MS)
    return pane


def measure(pane: RankPane, verdicts: int, answers: int, pause: int) -> tuple[list[float], list[float]]:
    chance = random.Random(1)
    board = pane.bench.pair if answers == 2 else pane.bench.several
    watched = [card.view.viewport() for card in board.cards[:answers]] + [pane.bench.prompt.view.viewport()]
    paints = Paints(watched)
    store, took, stored = pane.desk._store, [], []
    judge = store.judge

    def timed(dataset: str, record: int, said: Judgement) -> int:
        began = time.perf_counter()
        number = judge(dataset, record, said)
        stored.append((time.perf_counter() - began) * 1000)
        return number

    store.judge = timed
    for _ in range(verdicts):
        while pane.desk.current is None:
            wait(10)
        if answers == 2:
            key = chance.choice(PAIR_KEYS)
        else:
            for _ in range(answers):
                QTest.keyClick(QApplication.focusWidget(), str(chance.randint(1, answers)))
            QApplication.processEvents()
            key = "\r"
        paints.forget()
        before = pane.desk.current
        began = time.perf_counter()
        QTest.keyClick(QApplication.focusWidget(), key)
        while not paints.has(watched):
            QApplication.processEvents()
        took.append((time.perf_counter() - began) * 1000)
        assert pane.desk.current is not before
        wait(pause)
    return took, stored


def figures(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = lambda share: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)  # noqa: E731
    return {"p50": at(0.5), "p99": at(0.99), "max": at(1.0)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--verdicts", type=int, default=1000)
    parser.add_argument("--answers", type=int, default=2)
    parser.add_argument("--pause", type=int, default=30, help="milliseconds between keys: nobody is faster")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    app = QApplication(sys.argv[:1])
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder) / "settings.ini")
        settings.put("warm", False)
        project = Project.open(Path(folder) / "project", busy_ms=BUSY_MS)
        fill(project, wanted.verdicts + 100, wanted.answers)
        single = SingleWindow(project.folder)
        single.claim()
        session = Session(project, settings, single)
        pane = open_pane(session)
        took, stored = measure(pane, wanted.verdicts, wanted.answers, wanted.pause)
        kept = project.store.verdict_count("records", "Ada")
        session.lab.let_go()
        session.window.close()
        session.close()
    del app
    result = {"verdicts": kept, "key_to_painted_ms": figures(took), "stored_ms": figures(stored)}
    sys.stdout.write(json.dumps(result) + "\n" if wanted.json else f"{result}\n")


if __name__ == "__main__":
    main()
