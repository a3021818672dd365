"""Painted text: where it is broken, and what of it is seen."""

import pytest
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.widgets.still_text import StillLines


@pytest.mark.parametrize("word", ["word ", "🙂🙂🙂 "])
def test_a_text_is_broken_where_the_width_ends(qtbot: QtBot, shown, word: str) -> None:
    text = (word * 24).strip()
    lines = StillLines(text, 20)
    shown(lines, 200, 400)
    assert "".join(lines.shown()) == text
    widths = [lines.fontMetrics().horizontalAdvance(line.rstrip()) for line in lines.shown()]
    assert max(widths) <= 200
    assert min(widths[:-1]) > 200 / 3, "no line ends before it is full"
