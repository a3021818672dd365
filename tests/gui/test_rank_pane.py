"""The Rank pane as a person uses it: by keys and by mouse, two answers and more, notes, other people."""

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QPlainTextEdit, QWidget
from pytestqt.qtbot import QtBot

from rlhf_lab.core.errors import LabError
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.panes.rank import RankPane
from rlhf_lab.gui.widgets.rank_ladder import Spot
from rlhf_lab.runs.project import Project
from tests.gui.ranking import begin, choose, last, opened, press, store_two_and_four

CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def pane(qtbot: QtBot, lab: Lab, project: Project) -> RankPane:
    store_two_and_four(project)
    return opened(qtbot, lab)


# Two answers


@pytest.mark.parametrize(
    ("key", "verdict", "better", "strength"),
    [
        ("1", "ranked", 0, 1),
        ("a", "ranked", 0, 1),
        ("2", "ranked", 1, 1),
        ("b", "ranked", 1, 1),
        ("q", "ranked", 0, 2),
        ("w", "ranked", 1, 2),
        ("3", "tie", None, 1),
        ("4", "both_bad", None, 1),
        ("s", "skip", None, 1),
    ],
)
def test_one_key_is_one_verdict_and_the_next_pair(qtbot, pane, project, key, verdict, better, strength) -> None:
    begin(qtbot, pane)
    item = pane.desk.current
    shown = [card.view.toPlainText() for card in pane.bench.pair.cards]
    assert shown == [answer.text for answer in item.answers]

    press(qtbot, key)

    said = last(project)
    assert (said.verdict, said.strength, said.who, said.queue) == (verdict, strength, "Ada", "unranked")
    assert said.shown_order == item.shown
    if better is not None:
        assert said.best == item.shown[better]
    assert pane.desk.current.id != item.id
    assert pane.bench.prompt.view.toPlainText() == pane.desk.current.record.prompt.text
    assert pane.counters.done.number == "1"


def test_who_wrote_what_is_hidden_until_the_verdict(qtbot, pane) -> None:
    begin(qtbot, pane)
    seen = [label.text() + label.toolTip() for label in pane.findChildren(QLabel)]
    seen += [view.toPlainText() for view in pane.findChildren(QPlainTextEdit)]
    assert not any("PPO 1" in text or "SFT 1" in text for text in seen)
    first = pane.desk.current.answers[0].source

    press(qtbot, "1")

    assert pane.bench.foot.last.text().startswith(f"A better – A: {first} · B: ")


def test_a_key_held_down_is_one_verdict(qtbot, pane, project) -> None:
    begin(qtbot, pane)
    view = QApplication.focusWidget()

    QTest.simulateEvent(view, True, Qt.Key.Key_1, Qt.KeyboardModifier.NoModifier, "1", True)

    assert project.store.verdict_count("two") == 0


def test_the_keyboard_walks_between_the_answers(qtbot, pane) -> None:
    begin(qtbot, pane)
    left, right = (card.view for card in pane.bench.pair.cards)
    assert left.hasFocus()
    for key, now in (
        (Qt.Key.Key_Right, right),
        (Qt.Key.Key_Left, left),
        (Qt.Key.Key_Space, right),
        (Qt.Key.Key_Space, left),
        (Qt.Key.Key_Tab, right),
    ):
        press(qtbot, key)
        assert now.hasFocus()


def test_the_buttons_do_what_their_keys_do(qtbot, pane, project) -> None:
    begin(qtbot, pane)
    buttons = {button.words: button for button in pane.bench.pair.buttons.values()}

    qtbot.mouseClick(buttons["B much better"], Qt.MouseButton.LeftButton)
    assert (last(project).strength, last(project).verdict) == (2, "ranked")
    assert pane.bench.pair.cards[0].view.hasFocus()
    qtbot.mouseClick(pane.bench.foot.skip, Qt.MouseButton.LeftButton)
    assert last(project).verdict == "skip"
    qtbot.mouseClick(pane.bench.foot.undo, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(pane.bench.foot.undo, Qt.MouseButton.LeftButton)
    assert project.store.verdict_count("two") == 0
    qtbot.mouseClick(pane.bench.foot.redo, Qt.MouseButton.LeftButton)
    assert project.store.verdict_count("two") == 1


def test_where_confirmation_is_on_enter_stores_and_another_key_changes_the_mind(qtbot, pane, project) -> None:
    begin(qtbot, pane)
    pane.bench.foot.confirm.click()
    item = pane.desk.current

    press(qtbot, "1")
    assert project.store.verdict_count("two") == 0
    press(qtbot, "2", Qt.Key.Key_Return)

    assert last(project).best == item.shown[1]
    press(qtbot, Qt.Key.Key_Return)
    assert project.store.verdict_count("two") == 1


def test_a_note_goes_with_the_verdict_and_its_letters_are_no_verdicts(qtbot, pane, project) -> None:
    begin(qtbot, pane)

    press(qtbot, "n")
    assert pane.bench.foot.note.hasFocus()
    qtbot.keyClicks(QApplication.focusWidget(), "b says 12 wrong")
    press(qtbot, Qt.Key.Key_Return, "2")

    assert last(project).note == "b says 12 wrong"
    assert pane.bench.foot.note.isHidden()
    press(qtbot, "z", modifier=CTRL)
    assert pane.bench.foot.note.text() == "b says 12 wrong"
    press(qtbot, "n", Qt.Key.Key_Escape, "1")
    assert last(project).note == ""


def test_what_cannot_be_stored_is_said_and_the_pair_stays(qtbot, pane, project, monkeypatch) -> None:
    begin(qtbot, pane)
    item = pane.desk.current

    def full(*_: object) -> int:
        raise LabError("No space is left on the disk.")

    monkeypatch.setattr(project.store, "judge", full)
    press(qtbot, "1")

    assert pane.desk.current is item
    assert pane.bench.foot.last.text() == "Not stored: No space is left on the disk."
    monkeypatch.undo()
    press(qtbot, "1")
    assert project.store.verdict_count("two") == 1


# Several answers


def test_digits_rank_the_answer_in_focus_and_enter_stores(qtbot, pane, project) -> None:
    begin(qtbot, pane, dataset="four")
    item = pane.desk.current

    press(qtbot, "2", "1", "2")
    press(qtbot, Qt.Key.Key_Return)
    assert "Not ranked yet: D" in pane.bench.several.hint.text()
    assert project.store.verdict_count("four") == 0
    press(qtbot, "4", Qt.Key.Key_Return)

    said = last(project, "four")
    assert tuple(said.ranks[answer] for answer in item.shown) == (2, 1, 2, 4)
    assert pane.bench.foot.last.text() == "B > A = C > D"


def test_a_card_is_lifted_moved_and_put_down_by_keys(qtbot, pane, project) -> None:
    begin(qtbot, pane, dataset="four")
    levels = lambda: pane.bench.several.levels.snapshot()  # noqa: E731

    press(qtbot, Qt.Key.Key_Space)
    assert levels() == (1, None, None, None)
    press(qtbot, Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_Space)
    assert levels() == (2, None, None, None)
    press(qtbot, Qt.Key.Key_Tab, Qt.Key.Key_Space, Qt.Key.Key_Down, Qt.Key.Key_Escape)
    assert levels() == (2, None, None, None)
    press(qtbot, Qt.Key.Key_Right, "3")
    assert levels() == (2, None, 3, None)
    press(qtbot, Qt.Key.Key_Left, Qt.Key.Key_Backspace)
    assert levels() == (2, None, None, None)


@pytest.mark.parametrize(("key", "verdict"), [("e", "tie"), ("x", "both_bad"), ("s", "skip")])
def test_several_can_be_equal_bad_or_skipped(qtbot, pane, project, key, verdict) -> None:
    begin(qtbot, pane, dataset="four")
    press(qtbot, key)
    assert last(project, "four").verdict == verdict


@pytest.mark.parametrize("key", [Qt.Key.Key_E, Qt.Key.Key_X, Qt.Key.Key_Return])
def test_a_key_held_down_over_several_is_one_verdict(qtbot, pane, project, key) -> None:
    begin(qtbot, pane, dataset="four")
    press(qtbot, "2", "1", "2", "4", key)

    QTest.simulateEvent(QApplication.focusWidget(), True, key, Qt.KeyboardModifier.NoModifier, "", True)

    assert project.store.verdict_count("four") == 1
    assert "Not ranked" not in pane.bench.several.hint.text()


def drag(qtbot: QtBot, start: QWidget, at: QPoint, end: QWidget, to: QPoint) -> None:
    qtbot.mousePress(start, Qt.MouseButton.LeftButton, pos=at)
    there = start.mapFromGlobal(end.mapToGlobal(to))
    for share in (0.3, 0.7, 1.0):
        qtbot.mouseMove(start, at + (there - at) * share)
    qtbot.mouseRelease(start, Qt.MouseButton.LeftButton, pos=there)


def test_cards_are_dragged_onto_the_ladder_and_along_it(qtbot, pane) -> None:
    begin(qtbot, pane, dataset="four")
    board = pane.bench.several
    ladder = board.ladder
    for card, level in ((2, 1), (0, 2), (1, 3)):
        start = board.cards[card].view.viewport() if card else board.cards[card]
        drag(qtbot, start, QPoint(20, 20), ladder, ladder.place_of(Spot("level", level)))
    assert board.levels.snapshot() == (2, 3, 1, None)

    drag(qtbot, ladder, ladder.chip_of(3).center(), ladder, ladder.place_of(Spot("gap", 2)))
    assert board.levels.snapshot() == (3, 4, 1, 2)
    drag(qtbot, ladder, ladder.chip_of(1).center(), ladder, ladder.place_of(Spot("level", 1)))
    assert board.levels.snapshot() == (3, 1, 1, 2)
    drag(qtbot, ladder, ladder.chip_of(0).center(), ladder, ladder.place_of(Spot("tray")))
    assert board.levels.snapshot() == (None, 1, 1, 2)
    drag(qtbot, board.cards[0].view.viewport(), QPoint(20, 20), pane, QPoint(5, 5))  # beside the ladder
    assert board.levels.snapshot() == (None, 1, 1, 2)


# People, queues


def test_a_second_person_begins_anew_and_agreement_is_counted(qtbot, pane, project) -> None:
    begin(qtbot, pane)
    for _ in range(12):
        better = pane.desk.current.shown.index(0)
        press(qtbot, "12"[better])
    qtbot.mouseClick(pane.head.person, Qt.MouseButton.LeftButton)
    assert [button.accessibleName() for button in pane.start.names] == ["Ada"]

    begin(qtbot, pane, who="Ben")
    qtbot.waitUntil(lambda: pane.counting._counted is not None)
    for _ in range(12):
        better = pane.desk.current.shown.index(0)
        press(qtbot, "21"[better])

    assert project.store.verdict_count("two", "Ben") == 12
    assert pane.counters.agreement.number == "0%"
    qtbot.mouseClick(pane.head.person, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(pane.start.names[0], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: pane.counters.done.number == "12")

    choose(qtbot, pane.head.queue, "People disagree")
    qtbot.waitUntil(lambda: pane.bench.isVisible() and pane.desk.queue == "annotators")
    press(qtbot, "3")
    assert last(project, who="Ada").queue == "annotators"


def test_a_name_that_cannot_be_one_is_refused(qtbot, pane) -> None:
    qtbot.keyClicks(pane.start.name, "   ")
    assert not pane.start.begin.isEnabled()
    pane.start.name.setText("A\u202eda")
    qtbot.mouseClick(pane.start.begin, Qt.MouseButton.LeftButton)
    assert pane.start.problem.isVisible()
    assert pane.pages.currentWidget() is pane.start


def test_a_queue_that_is_done_says_what_to_do(qtbot, pane) -> None:
    begin(qtbot, pane, dataset="four")
    press(qtbot, "s", "s", "s")
    qtbot.waitUntil(lambda: pane.empty.title.text() == "All done")
    assert set(pane.empty.buttons) == {"agreement", "repeats", "fresh"}

    qtbot.mouseClick(pane.empty.buttons["repeats"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: pane.empty.title.text() == "Nothing to repeat")
    qtbot.keyClick(pane, "z", CTRL)
    assert pane.bench.isVisible()


def test_without_data_the_way_to_it_is_shown(qtbot, pane, lab, project) -> None:
    for name in ("two", "four", "talks"):
        project.store.delete_dataset(name)
    lab.datasets_changed.emit()
    qtbot.keyClicks(pane.start.name, "Ada")
    qtbot.keyClick(pane.start.name, Qt.Key.Key_Return)

    assert pane.empty.title.text() == "Nothing to rank yet"
    with qtbot.waitSignal(lab.pane_asked, check_params_cb=lambda name, fields: name == "data"):
        qtbot.mouseClick(pane.empty.buttons["data"], Qt.MouseButton.LeftButton)


def test_a_scored_queue_without_a_reward_model_says_so(qtbot, pane) -> None:
    begin(qtbot, pane)
    choose(qtbot, pane.head.queue, "Reward model least sure")
    assert pane.empty.title.text() == "This queue needs a reward model"
    assert not pane.head.model.isVisible()


def test_a_record_removed_while_it_is_shown_is_said_and_the_next_comes(qtbot, pane, project) -> None:
    begin(qtbot, pane)
    shown = pane.desk.current.id
    project.store.remove("two", [shown])

    press(qtbot, "1")

    assert pane.desk.current.id != shown
    assert pane.bench.prompt.view.toPlainText() == pane.desk.current.record.prompt.text
    assert "removed meanwhile" in pane.bench.foot.last.text()


def test_another_pane_can_send_a_data_set_here(qtbot, pane) -> None:
    begin(qtbot, pane)
    pane.fill_in({"dataset": "four"})
    qtbot.waitUntil(pane.bench.several.isVisible)
    assert pane.head.dataset.currentText() == "four"


def test_the_name_of_a_data_set_has_more_room_where_there_is_some_and_is_whole_in_its_tip(qtbot, pane) -> None:
    head, name = pane.head, "fresh answers of Base model, PPO 1 and 1 more"
    head.offer_datasets([name, "two"], name)
    qtbot.wait(1)
    assert head.dataset.toolTip() == f"<qt>{name}</qt>"
    assert head.dataset.width() > head.dataset.fontMetrics().horizontalAdvance(name)
    assert head.dataset.width() <= head.dataset.maximumWidth()
