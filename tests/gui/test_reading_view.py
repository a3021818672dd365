"""Reading one record: what differs is marked, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st
from pytestqt.qtbot import QtBot

from rlhf_lab.core.records import Candidates, Completion, Pair, PromptOnly, Ranking, Rated, Unpaired
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


def test_long_answers_are_compared_by_sentences_and_very_long_ones_not_at_all() -> None:
    same = "The cat sat. " * 400
    left, right = differences(same + "Yes.", same + "No.")
    assert left == [(same, False), ("Yes.", True)]
    assert right == [(same, False), ("No.", True)]
    assert differences("a " * 200_000, "b ")[0] == [("a " * 200_000, False)]


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


def test_several_answers_stand_best_first_with_their_ranks(qtbot: QtBot) -> None:
    view = ReadingView()
    qtbot.addWidget(view)
    view.show()
    texts = tuple(Completion(text=text, source=f"m{text}") for text in "abcd")
    view.show_record(Ranking(prompt=prompt(1), completions=texts, ranks=(3, 1, 3, 2), tags={"annotator": "ann"}))
    assert headings(view) == ["Rank 1 · mb", "Rank 2 · md", "Rank 3 (shared) · ma", "Rank 3 (shared) · mc"]
    assert [part.view.toPlainText() for part in view.parts] == ["b", "d", "a", "c"]
    assert view.tags.text() == "annotator: ann"
    view.show_record(Rated(prompt=prompt(1), completions=texts[:3], ratings=(2, 4.5, -1)))
    assert headings(view) == ["Rating 4.5 · mb", "Rating 2 · ma", "Rating -1 · mc"]
    view.show_record(Candidates(prompt=prompt(1), completions=texts[:2]))
    assert headings(view) == ["Answer 1 · ma", "Answer 2 · mb"]
    view.show_record(None)
    assert headings(view) == []


def headings(view: ReadingView) -> list[str]:
    return [part.heading.text() for part in view.parts if part.isVisible()]
