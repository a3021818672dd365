"""The Rank pane with nine answers to a question in a window that is small for them: nothing is pressed flat or cut off."""

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.core.records import Candidates, Completion, Message, Prompt
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.panes.rank import RankPane
from rlhf_lab.runs.project import Project


@pytest.fixture
def pane(qtbot: QtBot, lab: Lab, project: Project) -> RankPane:
    prompt = Prompt(messages=(Message(role="user", content="Which?"),))
    answers = tuple(Completion(text=f"answer {n} " * 80) for n in range(9))
    with project.store.new_dataset("nine", "lab", "candidates") as writer:
        writer.add([Candidates(prompt=prompt, completions=answers)])
    pane = RankPane(lab)
    qtbot.addWidget(pane, before_close_func=lambda widget: lab.let_go())
    pane.resize(1135, 700)
    with qtbot.waitExposed(pane):
        pane.show()
    qtbot.keyClicks(pane.start.name, "Ada")
    qtbot.keyClick(pane.start.name, Qt.Key.Key_Return)
    pane.fill_in({"dataset": "nine"})
    qtbot.waitUntil(pane.bench.several.isVisible)
    return pane


def test_the_counters_keep_their_height(pane: RankPane) -> None:
    for counter in (pane.counters.done, pane.counters.longer):
        assert counter.height() >= counter.fontMetrics().height()


@pytest.mark.parametrize("points", [9, 16])
def test_every_answer_that_is_not_ranked_can_be_seen_and_pressed(qtbot: QtBot, pane: RankPane, points: int) -> None:
    ladder = pane.bench.several.ladder
    font = ladder.font()
    font.setPointSize(points)
    ladder.setFont(font)
    chips = [ladder.chip_of(answer) for answer in range(9)]
    assert all(ladder.rect().contains(chip) for chip in chips)
    assert not any(a.intersects(b) for n, a in enumerate(chips) for b in chips[:n])
    with qtbot.waitSignal(ladder.pressed) as pressed:
        qtbot.mousePress(ladder, Qt.MouseButton.LeftButton, pos=chips[8].center())
    assert pressed.args[0] == 8
    qtbot.mouseRelease(ladder, Qt.MouseButton.LeftButton)
