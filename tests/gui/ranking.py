"""What a person does on the Rank pane: begin, choose in a list, press keys."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from rlhf_lab.core.judgement import Judgement
from rlhf_lab.core.records import Candidates, Completion, Message, Pair, Prompt
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.panes.rank import RankPane
from rlhf_lab.runs.project import Project


def opened(qtbot: QtBot, lab: Lab) -> RankPane:
    pane = RankPane(lab)
    qtbot.addWidget(pane, before_close_func=lambda widget: lab.let_go())
    pane.resize(1120, 740)
    with qtbot.waitExposed(pane):
        pane.show()
    return pane


def begin(qtbot: QtBot, pane: RankPane, who: str = "Ada", dataset: str = "two") -> None:
    """Type a name at the start, choose a data set in its list, and wait for the first record."""
    pane.start.name.clear()
    qtbot.keyClicks(pane.start.name, who)
    qtbot.keyClick(pane.start.name, Qt.Key.Key_Return)
    choose(qtbot, pane.head.dataset, dataset)
    qtbot.waitUntil(lambda: pane.bench.isVisible() and pane.desk.dataset == dataset)


def choose(qtbot: QtBot, combo: QWidget, words: str) -> None:
    combo.setFocus()
    at = combo.findText(words)
    assert at >= 0, f"{words} is not offered"
    qtbot.keyClick(combo, Qt.Key.Key_Home)
    for _ in range(at):
        qtbot.keyClick(combo, Qt.Key.Key_Down)
        if combo.currentText() == words:
            break
    assert combo.currentText() == words


def press(qtbot: QtBot, *keys: str | Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    for key in keys:
        qtbot.keyClick(QApplication.focusWidget(), key, modifier)


def store_two_and_four(project: Project) -> None:
    """Data sets to rank, "two" of 30 pairs and "four" of three prompts with four answers each."""
    project.store.delete_dataset("pairs")
    with project.store.new_dataset("two", "lab", "pair") as writer:
        writer.add(
            Pair(
                prompt=_question(n),
                chosen=Completion(text=f"<b>Good</b> {n}", source="PPO 1"),
                rejected=Completion(text=f"Bad {n}", source="SFT 1"),
            )
            for n in range(30)
        )
    with project.store.new_dataset("four", "lab", "candidates") as writer:
        writer.add(
            Candidates(prompt=_question(n), completions=tuple(Completion(text=f"Answer {a} to {n}") for a in range(4)))
            for n in range(3)
        )


def last(project: Project, dataset: str = "two", who: str | None = None) -> Judgement:
    return list(project.store.verdicts(dataset, who))[-1][1]


def _question(n: int) -> Prompt:
    return Prompt(messages=(Message(role="user", content=f"Question {n}?"),))
