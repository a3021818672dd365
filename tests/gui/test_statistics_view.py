"""A data set in pictures: counted when it is looked at, anew when it changed, and a warning where length tells all."""

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.core.records import Completion, Pair, Ranking
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.panes.data import DataPane
from rlhf_lab.gui.widgets.share_bars import MOST_ROWS, ShareBars
from rlhf_lab.gui.widgets.statistics_view import StatisticsView
from tests.gui.conftest import prompt, split


@pytest.fixture
def pane(qtbot: QtBot, lab: Lab) -> Iterator[DataPane]:
    with lab.project.store.new_dataset("long ones", "lab", "pair") as writer:
        writer.add(
            Pair(
                prompt=prompt(n // 2),
                chosen=Completion(text="word " * (20 + n), source="ann"),
                rejected=Completion(text=f"no {n}", source="bob"),
                split=split(n),
                tags={"language": "en" if n % 4 else "de"},
            )
            for n in range(100)
        )
    with lab.project.store.new_dataset("ranked", "lab", "ranking") as writer:
        texts = tuple(Completion(text=text) for text in ("meh", "best", "worst"))
        writer.add(Ranking(prompt=prompt(n), completions=texts, ranks=(2, 1, 3)) for n in range(8))
    made = DataPane(lab)
    qtbot.addWidget(made, before_close_func=lambda widget: lab.let_go())
    made.resize(1100, 720)
    with qtbot.waitExposed(made):
        made.show()
    return made


def open_statistics(qtbot: QtBot, pane: DataPane, name: str) -> StatisticsView:
    pane.select(name)
    pane.view.tabs.setCurrentIndex(1)
    qtbot.waitUntil(pane.view.statistics.numbers["records"].isVisible)
    return pane.view.statistics


def test_length_that_predicts_the_label_is_warned_of(qtbot: QtBot, pane: DataPane) -> None:
    view = open_statistics(qtbot, pane, "long ones")
    assert view.warnings.isVisible()
    assert "Length alone predicts the label" in view.warnings.text()
    assert view.numbers["longer"].value.text() == "100%"
    assert view.numbers["records"].detail.text() == "10 held out"
    assert view.numbers["repeated"].detail.text() == "50 repeat a prompt"
    assert view.lengths["answers"].legend["rejected"].text() == "rejected, median 5"
    assert view.bars["sources"].content.rows == [("ann", 100), ("bob", 100)]
    assert view.bars["languages"].content.rows == [("en", 75), ("de", 25)]
    assert not view.bars["places"].isVisible(), "a stored pair has no places"


def test_pictures_show_what_was_counted(qtbot: QtBot, pane: DataPane) -> None:
    view = open_statistics(qtbot, pane, "long ones")
    plot = view.lengths["answers"].plot
    assert sum(plot.shown("chosen").counts) == 100
    view = open_statistics(qtbot, pane, "talks")
    assert plot.shown("chosen") is None
    assert sum(plot.shown("answer").counts) == 40
    assert not view.numbers["longer"].isVisible()
    assert not view.lengths["answers"].legend["chosen"].isVisible()


def test_places_of_the_best_of_several(qtbot: QtBot, pane: DataPane) -> None:
    view = open_statistics(qtbot, pane, "ranked")
    assert view.bars["places"].isVisible()
    assert view.bars["places"].content.rows == [("first", 0), ("second", 8)]


def test_a_deleted_record_is_not_counted_any_more(qtbot: QtBot, pane: DataPane) -> None:
    view = open_statistics(qtbot, pane, "long ones")
    pane.view.tabs.setCurrentWidget(pane.view.records)
    pane.view.records.table.setFocus()
    qtbot.keyClick(pane.view.records.table, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: pane.view.records.table.model().rowCount() == 99)
    open_statistics(qtbot, pane, "long ones")
    qtbot.waitUntil(lambda: view.numbers["records"].value.text() == "99")


def test_bars_say_in_words_what_they_show(qtbot: QtBot) -> None:
    bars = ShareBars("Sources")
    qtbot.addWidget(bars)
    bars.show_counts([(f"<b>{n}", 100 - n) for n in range(MOST_ROWS + 5)])
    assert bars.rows[-1][0] == "5 others"
    assert "<b>0: 100 (" in bars.accessibleDescription()
    assert "&lt;b&gt;0" in bars.toolTip()
    bars.resize(bars.sizeHint())
    assert not bars.grab().isNull()
