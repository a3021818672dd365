"""Tokens tinted by their numbers: what is shaded, what is said, and that no text can hide or reorder anything."""

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.core.events import SampleRow, Samples
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.models.token_tint import full_shade, in_words, names_of, piece_shown, shade, starts_of
from rlhf_lab.gui.widgets.sample_viewer import SampleViewer
from rlhf_lab.gui.widgets.token_view import TokenView

PARIS = SampleRow(
    prompt="Capital?",
    completion="It is Paris",
    pieces=("It", " is", " Paris", "<end>"),
    per_token={"advantage": (0.1, 0.0, -2.0, 1.0), "kl": (0.5, 0.0, 1.5, -0.5), "odd": (1.0, 2.0, 3.0, 4.0)},
)
PLAIN = SampleRow(prompt="Colour?", completion="Blue.")


@pytest.fixture
def view(qtbot: QtBot) -> TokenView:
    made = TokenView()
    qtbot.addWidget(made)
    made.resize(400, 200)
    with qtbot.waitExposed(made):
        made.show()
    return made


def formats(view: TokenView) -> list[tuple[str, bool, bool]]:
    """Each stretch of text with whether it is shaded and underlined."""
    found, block = [], view.document().begin()
    while block.isValid():
        for fragment in block:
            look = fragment.fragment().charFormat()
            shaded = look.background().style() != Qt.BrushStyle.NoBrush
            underlined = look.underlineStyle() != look.UnderlineStyle.NoUnderline
            found.append((fragment.fragment().text(), shaded, underlined))
        block = block.next()
    return found


def test_known_numbers_come_first_and_rows_without_tokens_offer_none() -> None:
    assert names_of([PLAIN, PARIS]) == ["kl", "advantage", "odd"]
    assert names_of([PLAIN]) == []


def test_shades_are_comparable_over_rows_and_ignore_what_is_no_number() -> None:
    wild = PARIS.model_copy(update={"per_token": {"kl": (float("nan"), float("inf"), -3.0, 3.0)}})

    assert full_shade([wild], "kl") == 3.0
    assert [shade(v, 3.0) for v in (3.0, -6.0, 0.01, float("nan"))] == [1.0, -1.0, 0.0, 0.0]
    assert full_shade([PLAIN], "kl") == 1.0


def test_tokens_are_shaded_and_the_lower_side_is_underlined_too(view) -> None:
    view.show_row(PARIS, "kl", 1.5)

    assert formats(view) == [("It", True, False), (" is", False, False), (" Paris", True, False), ("<end>", True, True)]


def test_without_a_tint_the_answer_is_plain_text(view) -> None:
    view.show_row(PARIS, None, 1.0)
    assert view.toPlainText() == "It is Paris"

    view.show_row(PLAIN, "kl", 1.0)
    assert view.toPlainText() == "Blue."
    assert view.words_at(0) == ""


def test_the_text_cursor_walks_over_tokens_and_tells_their_numbers(qtbot, view) -> None:
    said = []
    view.pointed.connect(said.append)
    view.show_row(PARIS, "kl", 1.5)
    view.setFocus()

    for _ in range(6):
        qtbot.keyClick(view, Qt.Key.Key_Right)

    assert said[-1] == "Token 3 of 4 “ Paris”: KL 1.50 · Advantage −2.00 · odd 3.00"
    assert view.accessibleDescription() == said[-1]


def test_pieces_outside_the_first_plane_are_counted_as_qt_counts(view) -> None:
    row = PARIS.model_copy(update={"pieces": ("🙂🙂", "b", "c", "d")})
    view.show_row(row, "kl", 1.5)

    assert starts_of(["🙂🙂", "b", "c", "d"]) == [0, 4, 5, 6]
    assert view.words_at(3).startswith("Token 1 of 4")
    assert view.words_at(4).startswith("Token 2 of 4 “b”")


@pytest.mark.parametrize(("piece", "shown"), [("", "∅"), ("\n", "↵\n"), ("a\u202eb", "a⟦RLO⟧b"), ("\x00", "␀")])
def test_no_token_can_hide_or_turn_the_text(piece, shown) -> None:
    assert piece_shown(piece) == shown


def test_tokens_without_a_number_are_shown_too(view) -> None:
    row = SampleRow(prompt="", completion="ab", pieces=("a", "b"), per_token={"kl": (1.0,)})
    view.show_row(row, "kl", 1.0)

    assert in_words(row, 0) == "Token 1 of 2 “a”: KL 1.00"
    assert formats(view) == [("a", True, False), ("b", False, False)]
    assert view.words_at(1) == "Token 2 of 2 “b”"


def test_the_choice_of_a_tint_appears_with_tokens_and_stays_over_steps(qtbot) -> None:
    viewer = SampleViewer("None yet.")
    qtbot.addWidget(viewer)
    viewer.resize(900, 500)
    with qtbot.waitExposed(viewer):
        viewer.show()
    history = RunHistory("ppo-1")
    history.feed([Samples(step=0, name="heldout", rows=(PLAIN,))])
    viewer.show_history(history)
    assert viewer.tint.isHidden()

    viewer.take_changes(history, history.feed([Samples(step=5, name="heldout", rows=(PARIS,))]))
    assert [viewer.tint.itemText(n) for n in range(viewer.tint.count())] == [
        "Plain text",
        "Tint: KL",
        "Tint: Advantage",
        "Tint: odd",
    ]
    assert viewer.after.toPlainText() == "It is Paris"
    assert not viewer.legend.isVisible()

    viewer.tint.setFocus()
    qtbot.keyClick(viewer.tint, Qt.Key.Key_Down)
    qtbot.waitUntil(viewer.legend.isVisible)
    assert viewer.after.toPlainText() == "It is Paris<end>"
    assert "Orange: likelier than at the start" in viewer.legend.accessibleName()

    viewer.take_changes(history, history.feed([Samples(step=9, name="heldout", rows=(PARIS,))]))
    assert viewer.tint.currentText() == "Tint: KL"
