"""Reading one record: what differs is marked, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st
from pytestqt.qtbot import QtBot

from rlhf_lab.core.records import Completion, Pair, PromptOnly, Unpaired
from rlhf_lab.gui.widgets.reading_view import ReadingView, differences
from tests.gui.conftest import prompt


def test_differing_words_are_marked() -> None:
    left, right = differences("Yes, it is one.", "No, it is one.")
    assert left == [("Yes", True), (", it is one.", False)]
    assert right == [("No", True), (", it is one.", False)]


@given(st.text(max_size=80), st.text(max_size=80))
def test_the_pieces_make_up_the_texts(one: str, other: str) -> None:
    left, right = differences(one, other)
    assert "".join(text for text, _ in left) == one
    assert "".join(text for text, _ in right) == other
    assert [t for t, differs in left if not differs] == [t for t, differs in right if not differs]


def test_very_long_answers_are_shown_unmarked() -> None:
    assert differences("a " * 2000, "b")[0] == [("a " * 2000, False)]


def test_each_kind_shows_what_it_has(qtbot: QtBot) -> None:
    view = ReadingView()
    qtbot.addWidget(view)
    view.show()
    view.show_record(
        Pair(prompt=prompt(1), chosen=Completion(text="good", source="ann"), rejected=Completion(text="bad"), tie=True)
    )
    assert view.left.view.toPlainText() == "good"
    assert view.right.view.toPlainText() == "bad"
    assert view.left.heading.text() == "Chosen (a tie: neither is better) · ann"
    view.show_record(Unpaired(prompt=prompt(2), completion=Completion(text="meh"), label=False))
    assert view.left.heading.text() == "Answer, not liked"
    assert not view.right.isVisible()
    view.show_record(PromptOnly(prompt=prompt(3)))
    assert view.prompt.view.toPlainText() == "Is 3 a number?"
    assert not view.left.isVisible()
