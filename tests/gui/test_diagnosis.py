"""What is known of a reward model: its figures in words and pictures, step by step, and the pairs it gets wrong."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel

from rlhf_lab.core.diagnosis import CalibrationBin, RewardDiagnosis
from rlhf_lab.core.events import Diagnosis, Finished, Metrics, Resumed
from rlhf_lab.gui.models.diagnosis import (
    as_pair,
    calibration_points,
    length_rows,
    overall_rows,
    scale,
    trend,
)
from rlhf_lab.gui.models.diagnosis_tables import AccuracyTable
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.plots.diagnosis_cards import CalibrationCard, LengthCard
from rlhf_lab.gui.widgets.diagnosis_view import DiagnosisView
from tests.gui.diagnoses import WORST, accuracy, diagnosis


def history(*steps: int) -> RunHistory:
    made = RunHistory("reward-1")
    made.feed([Diagnosis(step=step, found=diagnosis(step / max(steps))) for step in steps])
    return made


@pytest.fixture
def view(qtbot) -> DiagnosisView:
    made = DiagnosisView()
    qtbot.addWidget(made)
    made.resize(840, 1100)
    with qtbot.waitExposed(made):
        made.show()
    return made


def test_length_alone_stands_beside_the_accuracies_and_what_strays_is_told() -> None:
    rows = overall_rows(diagnosis())

    assert [row.name for row in rows] == ["Training", "Held-out", "Longer wins", "careful", "hasty"]
    assert [row.strays for row in rows] == [False, False, False, False, True]
    assert rows[1].words.startswith("Held-out: 76.0% of 400 pairs, 95% interval 72–80%, mean margin 1.10.")
    assert rows[2].margin == "–"
    assert "margin" not in rows[2].words
    assert rows[4].words.endswith("worth a look.")


def test_where_shorter_answers_win_the_rule_is_turned_to_be_compared() -> None:
    found = RewardDiagnosis(longer_wins=accuracy("longer wins", 0.35, 256))

    (row,) = overall_rows(found)

    assert row.name == "Shorter wins"
    assert row.found.accuracy == pytest.approx(0.65)
    assert (row.found.low, row.found.high) == pytest.approx((1 - found.longer_wins.high, 1 - found.longer_wins.low))


def test_a_group_of_a_few_pairs_does_not_stretch_the_axis_of_all() -> None:
    found = RewardDiagnosis(
        accuracy=(accuracy("heldout", 0.7, 400),), by_length=(accuracy("of the same length", 0.4, 5),)
    )

    assert scale(length_rows(found) + overall_rows(found))[0] == pytest.approx(0.4)
    assert [row.name for row in length_rows(diagnosis())][:3] == [
        "shorter by > 20",
        "shorter by ≤ 20",
        "same length",
    ]


def test_without_a_held_out_accuracy_nothing_strays() -> None:
    found = RewardDiagnosis(by_length=(accuracy("above 20", 0.9, 1000),))

    assert [row.strays for row in length_rows(found)] == [False]
    assert overall_rows(found) == []


@pytest.mark.parametrize(("share", "low"), [(0.9, 0.4), (0.3, 0.2), (0.02, 0.0)])
def test_the_scale_holds_guessing_and_every_interval(share, low) -> None:
    found = RewardDiagnosis(accuracy=(accuracy("heldout", share, 400),))

    assert scale(overall_rows(found)) == (pytest.approx(low), 1.0)


def test_a_calibration_bin_has_the_wilson_interval_and_empty_ones_are_no_points() -> None:
    bins = (
        CalibrationBin(low=0.6, high=0.7, pairs=50, predicted=0.65, observed=0.6),
        CalibrationBin(low=0.7, high=0.8, pairs=0, predicted=0.75, observed=0.0),
    )

    (point,) = calibration_points(bins)

    # 30 of 50, worked by hand: centre (30 + 1.92) / 53.84, half width 1.96 / 53.84 · √(12 + 0.96).
    assert point.low == pytest.approx(0.4618, abs=1e-4)
    assert point.high == pytest.approx(0.7239, abs=1e-4)
    assert point.words == "predicted 65%, observed 60% of 50 pairs"


def test_the_trend_is_the_least_squares_line_and_none_where_length_does_not_vary() -> None:
    ends, heights = trend(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0]))

    assert ends.tolist() == [1.0, 3.0]
    assert heights.tolist() == pytest.approx([1.5, 2.5])
    assert trend(np.array([2.0, 2.0]), np.array([1.0, 3.0])) is None
    assert trend(np.array([]), np.array([])) is None


def test_the_newest_diagnosis_is_followed_until_somebody_looks_back(view) -> None:
    told = history(0, 50, 100)
    view.show_history(told)
    assert view.step() == 100
    assert view.verdict.headline.text() == "Look closer before you optimise against it"
    assert view.verdict.sentences.text().startswith("It is right on 76% of held-out pairs")

    view.slider.setFocus()
    QTest.keyClick(view.slider, Qt.Key.Key_Home)
    assert view.step() == 0
    assert view.verdict.headline.text() == "Not good enough to optimise against"

    view.take_changes(told, told.feed([Diagnosis(step=150, found=diagnosis())]))
    assert view.step() == 0

    QTest.keyClick(view.slider, Qt.Key.Key_End)
    view.take_changes(told, told.feed([Diagnosis(step=200, found=diagnosis(0.5))]))
    assert view.step() == 200


def test_a_resumed_run_shows_no_diagnosis_that_is_superseded(view) -> None:
    told = history(0, 100)
    view.show_history(told)
    view.take_changes(told, told.feed([Resumed(step=50, device="cpu")]))

    assert view.step() == 0


def test_a_run_without_a_diagnosis_says_why(view) -> None:
    view.show_history(RunHistory("reward-1"))

    assert view.nothing.isVisible()
    assert view.nothing.text().startswith("No diagnosis yet.")
    view.show_history(history(1))
    assert not view.nothing.isVisible()


def test_a_run_that_ended_without_a_diagnosis_says_why_and_what_to_do(view) -> None:
    old = RunHistory("reward-1")
    old.feed([Metrics(step=1, values={"reward/loss": 0.6})])
    view.show_history(old)
    assert view.nothing.text().startswith("No diagnosis yet.")

    view.take_changes(old, old.feed([Finished(step=1, outcome="done")]))

    assert "earlier version" in view.nothing.text()
    assert "train it again" in view.nothing.text()


def test_figures_are_read_out_where_the_eye_sees_a_bar(view) -> None:
    view.show_history(history(1))
    table = view.overall.table
    cell = table.index(1, AccuracyTable.INTERVAL)

    assert table.data(cell) == ""
    assert table.data(cell, Qt.ItemDataRole.AccessibleTextRole) == "72–80%"
    assert [table.data(table.index(1, c)) for c in range(5)] == ["Held-out", "400", "76.0%", "", "1.10"]


def test_an_interval_is_drawn_where_its_numbers_are(view) -> None:
    view.show_history(history(1))
    drawn = view.overall.grab().toImage()
    table = view.overall
    cell = table.visualRect(table.table.index(1, AccuracyTable.INTERVAL)).translated(table.viewport().pos())
    plain = view.overall.table.index(1, AccuracyTable.NAME)
    ground = drawn.pixelColor(table.visualRect(plain).translated(table.viewport().pos()).topRight() + QPoint(-2, 2))
    low, high = table.intervals.ends
    row = table.table.row(1).found
    middle = cell.center().y()

    def marked(share: float) -> bool:
        x = cell.left() + 10 + (share - low) / (high - low) * (cell.width() - 20)
        return drawn.pixelColor(round(x), middle) != ground

    assert marked(row.accuracy)
    assert marked(row.low + 0.01)
    assert not marked(row.low - 0.08)
    assert not marked(row.high + 0.08)


def test_worst_pairs_are_read_as_plain_text_and_sent_to_be_judged(qtbot, view) -> None:
    view.show_history(history(1))
    worst = view.worst
    assert worst.reading.prompt.view.toPlainText() == "Is 10 a number?"
    assert worst.reading.tags.text() == "label: noise: the world prefers the other"

    with qtbot.waitSignal(view.rank_asked) as asked:
        qtbot.mouseClick(worst.all, Qt.MouseButton.LeftButton)
    assert asked.args == [list(WORST)]

    worst.table.setFocus()
    QTest.keyClick(worst.table, Qt.Key.Key_Down)
    QTest.keyClick(worst.table, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert worst.reading.left.view.toPlainText() == "<b>No.</b>"
    assert worst.some.text() == "Judge the 2 selected"
    with qtbot.waitSignal(view.rank_asked) as asked:
        qtbot.mouseClick(worst.some, Qt.MouseButton.LeftButton)
    assert asked.args == [list(WORST[1:])]
    assert all(label.textFormat() == Qt.TextFormat.PlainText for label in view.findChildren(QLabel))


def test_whether_a_label_is_noise_is_a_column_only_where_it_is_known(view) -> None:
    view.show_history(history(1))
    assert view.worst.model.columnCount() == 5

    unknown = [pair.model_copy(update={"flipped": None}) for pair in WORST]
    view.worst.show_pairs(unknown)
    assert view.worst.model.columnCount() == 4
    assert as_pair(unknown[0]).tags == {}


def test_a_new_look_that_found_the_same_pairs_leaves_the_selection_alone(view) -> None:
    told = history(1)
    view.show_history(told)
    view.worst.table.selectRow(2)

    view.take_changes(told, told.feed([Diagnosis(step=2, found=diagnosis(0.9))]))

    assert view.worst.table.currentIndex().row() == 2


def test_points_of_the_calibration_are_told_one_by_one(qtbot) -> None:
    card = CalibrationCard()
    qtbot.addWidget(card)
    card.resize(400, 260)
    with qtbot.waitExposed(card):
        card.show()
    card.show_diagnosis(diagnosis())
    assert card._aside.text() == "ECE 0.041"

    QTest.keyClick(card.plot, Qt.Key.Key_Right)
    assert card._aside.text().startswith("predicted 5%, observed 13%")
    QTest.keyClick(card.plot, Qt.Key.Key_Left)
    assert card._aside.text().startswith("predicted 95%, observed 87%")
    QTest.keyClick(card.plot, Qt.Key.Key_Escape)
    assert card._aside.text() == "ECE 0.041"


def test_the_mouse_means_the_answer_that_it_is_over(qtbot) -> None:
    card = LengthCard()
    qtbot.addWidget(card)
    card.resize(400, 260)
    with qtbot.waitExposed(card):
        card.show()
    found = diagnosis()
    card.show_diagnosis(found)
    card.plot.redraw()
    assert card._aside.text() == "correlation 0.31"
    far = max(found.points, key=lambda point: point.score)
    box = card.plot.getPlotItem().getViewBox()
    place = card.plot.mapFromScene(box.mapViewToScene(QPointF(far.tokens, far.score)))

    QTest.mouseMove(card.plot.viewport(), place)
    qtbot.waitUntil(lambda: card._aside.text() == f"{far.tokens} tokens, score {far.score:.2f}, chosen")
