"""Text from data is shown as it is: no markup, nothing hidden, long lines cheap."""

import time

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.widgets.plain_text import MOST_SHOWN, PlainLabel, PlainView, one_line, plain_tip, visible


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("if a<b> then", "if a<b> then"),
        ("safe\u202egnp.exe", "safe⟦RLO⟧gnp.exe"),
        ("nul\x00 and bell\x07", "nul␀ and bell␇"),
        ("half \ud800 of a pair", "half \ufffd of a pair"),
        ("two\r\nlines\u2028three", "two\nlines\nthree"),
    ],
)
def test_what_would_deceive_is_spelled_out(given: str, seen: str) -> None:
    assert visible(given) == seen


def test_a_label_takes_no_markup(qtbot: QtBot) -> None:
    label = PlainLabel("<img src='file:///etc/passwd'><b>bold</b>")
    qtbot.addWidget(label)
    assert label.textFormat() == Qt.TextFormat.PlainText
    assert label.text() == "<img src='file:///etc/passwd'><b>bold</b>"


def test_a_tooltip_shows_markup_as_text() -> None:
    assert "<b>" not in plain_tip("<b>bold</b>")
    assert "&lt;b&gt;" in plain_tip("<b>bold</b>")


def test_one_line_is_short_and_says_so() -> None:
    assert one_line("a\nb\tc") == "a b c"
    assert one_line("x" * 20, 5) == "xxxxx…"


def test_a_hundred_thousand_characters_in_one_line_are_shown_at_once(qtbot: QtBot) -> None:
    view = PlainView()
    qtbot.addWidget(view)
    view.resize(600, 400)
    view.show()
    began = time.perf_counter()
    view.set_text("word " * 20_000)
    view.grab()
    assert time.perf_counter() - began < 0.5


def test_beyond_the_limit_the_rest_is_counted(qtbot: QtBot) -> None:
    view = PlainView("x" * (MOST_SHOWN + 7))
    qtbot.addWidget(view)
    assert view.toPlainText().endswith("… 7 more characters are not shown.")


def test_spans_keep_their_background(qtbot: QtBot) -> None:
    view = PlainView()
    qtbot.addWidget(view)
    view.set_spans([("plain ", None), ("<i>marked</i>", QColor("#ff0000"))])
    assert view.toPlainText() == "plain <i>marked</i>"
    cursor = view.textCursor()
    cursor.setPosition(8)
    assert cursor.charFormat().background().color() == QColor("#ff0000")


def test_marks_of_one_text_do_not_stay_for_the_next(qtbot: QtBot) -> None:
    view = PlainView()
    qtbot.addWidget(view)
    view.set_spans([("marked", QColor("red"))])
    view.set_text("plain")
    block = view.document().begin()
    formats = [piece.format.background().style() for piece in block.textFormats()]
    assert formats == [Qt.BrushStyle.NoBrush]
