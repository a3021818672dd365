"""From the pairs that a reward model gets wrong to the Rank pane: found in the data set, judged in their order."""

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.core.config import RewardConfig
from rlhf_lab.core.diagnosis import WorstPair
from rlhf_lab.core.records import Completion, Message, Pair, Prompt, Ranking
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.models.rank_words import PICKED, Picked
from rlhf_lab.gui.models.worst_pairs import locate
from rlhf_lab.gui.panes.rank import RankPane
from rlhf_lab.runs.project import Project
from tests.gui.diagnoses import WORST
from tests.gui.ranking import choose, opened, press
from tests.gui.stories import reward_story


def worst(prompt: str, chosen: str, rejected: str) -> WorstPair:
    return WorstPair(prompt=prompt, chosen=chosen, rejected=rejected, margin=-1.0)


def numbered(project: Project, *numbers: int) -> tuple[int, ...]:
    """The ids of the records of "pairs" about these numbers."""
    rows = {row.record.prompt.text: row.id for row in project.store.page("pairs")}
    return tuple(rows[f"Is {n} a number?"] for n in numbers)


def begun(qtbot: QtBot, pane: RankPane) -> None:
    pane.start.name.clear()
    qtbot.keyClicks(pane.start.name, "Ada")
    qtbot.keyClick(pane.start.name, Qt.Key.Key_Return)


def shown(pane: RankPane) -> str:
    return pane.desk.current.record.prompt.text if pane.desk.current is not None else ""


def test_pairs_are_found_by_their_words_in_the_order_of_the_pairs(project) -> None:
    found = locate(project.store, "pairs", [WORST[1], WORST[2], WORST[0]])

    assert found.records == numbered(project, 20, 10)
    assert found.missing == 1


def test_a_pair_that_was_drawn_from_a_ranking_is_found_as_the_ranking_once(project) -> None:
    asked = Prompt(messages=(Message(role="system", content="Be brief."), Message(role="user", content="Tea?")))
    with project.store.new_dataset("ranked", "lab", "ranking") as writer:
        answers = tuple(Completion(text=text) for text in ("No.", "Yes.", "Yes!"))
        writer.add([Ranking(prompt=asked, completions=answers, ranks=(3, 1, 2))])
    ((row,), text) = project.store.page("ranked"), "system: Be brief.\n\nuser: Tea?"

    found = locate(project.store, "ranked", [worst(text, "Yes.", "No."), worst(text, "Yes!", "No.")])

    assert (found.records, found.missing) == ((row.id,), 0)


def test_the_noted_record_is_meant_while_it_holds_the_words_else_they_are_looked_for(project) -> None:
    original, other = numbered(project, 10, 20)
    (again,) = project.store.append("pairs", [project.store.record("pairs", original)])

    here = locate(project.store, "pairs", [WORST[0].model_copy(update={"record": again})])
    moved = locate(project.store, "pairs", [WORST[0].model_copy(update={"record": other})])

    assert (here.records, here.missing) == ((again,), 0)
    assert (moved.records, moved.missing) == ((original,), 0)


def test_of_two_records_with_the_same_words_each_is_found_for_one_pair(project) -> None:
    twice = Pair(
        prompt=Prompt(messages=(Message(role="user", content="Tea?"),)),
        chosen=Completion(text="Yes."),
        rejected=Completion(text="No."),
    )
    with project.store.new_dataset("twice", "lab", "pair") as writer:
        writer.add([twice, twice])

    found = locate(project.store, "twice", [worst("Tea?", "Yes.", "No.")] * 2)

    assert found.records == tuple(row.id for row in project.store.page("twice"))


@pytest.fixture
def picked(project: Project) -> dict[str, object]:
    records = numbered(project, 20, 10, 30)
    return {"dataset": "pairs", "queue": PICKED.name, PICKED.name: Picked("pairs", records, "Reward 1’s worst pairs")}


def test_picked_records_are_judged_in_their_order_and_then_it_says_so(qtbot, lab, project, picked) -> None:
    pane = opened(qtbot, lab)
    begun(qtbot, pane)
    pane.fill_in(picked)
    qtbot.waitUntil(lambda: shown(pane) == "Is 20 a number?")
    assert pane.head.queue.currentText() == "Reward 1’s worst pairs"

    for then in ("Is 10 a number?", "Is 30 a number?", ""):
        press(qtbot, Qt.Key.Key_1)
        qtbot.waitUntil(lambda wanted=then: shown(pane) == wanted)

    qtbot.waitUntil(lambda: pane.empty.isVisible() and "agreement" in pane.empty.buttons)
    assert [said.queue for _, said in project.store.verdicts("pairs")] == ["picked"] * 3


def test_who_is_asked_for_a_name_first_finds_the_picked_records_afterwards(qtbot, lab, picked) -> None:
    pane = opened(qtbot, lab)
    pane.fill_in(picked)
    assert pane.start.isVisible()

    begun(qtbot, pane)

    qtbot.waitUntil(lambda: shown(pane) == "Is 20 a number?")


def test_the_picked_records_stay_a_queue_to_come_back_to(qtbot, lab, project, picked) -> None:
    with project.store.new_dataset("other", "lab", "pair") as writer:
        writer.add(row.record for row in project.store.page("pairs", limit=3))
    pane = opened(qtbot, lab)
    begun(qtbot, pane)
    pane.fill_in(picked)
    qtbot.waitUntil(lambda: shown(pane) == "Is 20 a number?")

    choose(qtbot, pane.head.dataset, "other")
    qtbot.waitUntil(lambda: pane.desk.dataset == "other" and pane.bench.isVisible())
    assert pane.desk.queue == "unranked"

    choose(qtbot, pane.head.queue, "Reward 1’s worst pairs")
    qtbot.waitUntil(lambda: pane.desk.dataset == "pairs" and shown(pane) == "Is 20 a number?")


@pytest.fixture
def reward_run(project: Project, model: str) -> Callable[[], str]:
    def store() -> str:
        folder = project.create_run(RewardConfig(dataset="pairs", model=model))
        told = [e.model_copy(update={"seq": n, "attempt": 1}) for n, e in enumerate(reward_story(), 1)]
        project.store.record_events(folder.run, [(event, event.seq) for event in told])
        return folder.run

    return store


def test_from_the_diagnosis_to_the_first_verdict(qtbot, project, reward_run, window: MainWindow) -> None:
    run = reward_run()
    window.show_run(run)
    pane = window.pane("reward")
    qtbot.waitUntil(lambda: pane.history is not None)
    pane.board.setCurrentWidget(pane.diagnosis)
    qtbot.waitUntil(pane.diagnosis.worst.all.isVisible)

    qtbot.mouseClick(pane.diagnosis.worst.all, Qt.MouseButton.LeftButton)

    qtbot.waitUntil(lambda: window.stack.currentWidget() is window.pane("rank"))
    assert "1 of these pairs cannot be judged" in " ".join(message.text for message in window.messages.messages())
    rank = window.pane("rank")
    begun(qtbot, rank)
    qtbot.waitUntil(lambda: shown(rank) == WORST[0].prompt)
    press(qtbot, Qt.Key.Key_2)
    qtbot.waitUntil(lambda: shown(rank) == WORST[1].prompt)
    assert [record for record, _ in project.store.verdicts("pairs")] == list(numbered(project, 10))


def test_pairs_that_are_all_gone_leave_the_person_where_they_are(
    qtbot, project, reward_run, window: MainWindow
) -> None:
    run = reward_run()
    window.show_run(run)
    pane = window.pane("reward")
    qtbot.waitUntil(lambda: pane.history is not None)
    project.store.remove("pairs", numbered(project, 10, 20))
    pane.board.setCurrentWidget(pane.diagnosis)
    qtbot.waitUntil(pane.diagnosis.worst.all.isVisible)

    qtbot.mouseClick(pane.diagnosis.worst.all, Qt.MouseButton.LeftButton)

    qtbot.waitUntil(
        lambda: "These pairs cannot be judged" in " ".join(message.text for message in window.messages.messages())
    )
    assert window.stack.currentWidget() is pane
