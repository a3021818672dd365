"""Plots as a person uses them: look, point, zoom, smooth, switch lines."""

from collections.abc import Callable

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtWidgets import QToolButton
from pytestqt.qtbot import QtBot
from shiboken6 import delete

from rlhf_lab.core.events import Changed, Finished, Histogram, Metrics
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.models.plot_spec import PlotSpec, number
from rlhf_lab.gui.panes.policy_plots import REWARD
from rlhf_lab.gui.plots.board import PlotBoard
from rlhf_lab.gui.plots.card import CurveCard, HistogramCard, TradeoffCard
from rlhf_lab.gui.plots.curve_plot import CurvePlot
from rlhf_lab.gui.plots.redraw import redraw_clock
from rlhf_lab.gui.theme import DARK, LIGHT, theme

LOSS = PlotSpec("Loss", {"train/loss": "Training", "eval/loss": "Held-out"}, dashed=frozenset({"eval/loss"}))
KL = PlotSpec("KL", {"objective/kl": "Sampled"})


@pytest.fixture
def history() -> RunHistory:
    made = RunHistory("sft-1")
    made.feed(Metrics(step=s, values={"train/loss": 3.0 - 0.02 * s}) for s in range(101))
    made.feed(Metrics(step=s, values={"eval/loss": 3.1 - 0.02 * s}) for s in range(0, 101, 20))
    made.feed(Metrics(step=s, values={"objective/kl": 0.1 * s}) for s in range(101))
    return made


@pytest.fixture
def shown(qtbot: QtBot, history: RunHistory) -> Callable[..., PlotBoard]:
    kept = []  # qtbot holds its widgets weakly

    def show(*specs: PlotSpec) -> PlotBoard:
        board = PlotBoard()
        kept.append(board)
        qtbot.addWidget(board)
        board.resize(800, 500)
        board.add_plots("Curves", lambda: [CurveCard(spec) for spec in specs])
        with qtbot.waitExposed(board):
            board.show()
        board.show_history(history)
        qtbot.waitUntil(lambda: all(view(card.plot)[1] > 50 for card in board.curve_cards()))
        return board

    return show


def view(plot: CurvePlot) -> tuple[float, float]:
    low, high = plot.getPlotItem().getViewBox().viewRange()[0]
    return low, high


def heights(plot: CurvePlot) -> tuple[float, float]:
    low, high = plot.getPlotItem().getViewBox().viewRange()[1]
    return low, high


def place(plot: CurvePlot, step: float) -> QPoint:
    box = plot.getPlotItem().getViewBox()
    middle = sum(box.viewRange()[1]) / 2
    return plot.mapFromScene(box.mapViewToScene(QPointF(step, middle)))


def entry(card: CurveCard, key: str) -> QToolButton:
    return card.legend.button(key)


def test_everything_is_in_view_and_the_legend_has_the_newest_values(shown) -> None:
    card = shown(LOSS).curve_cards()[0]

    assert view(card.plot) == pytest.approx((-2, 102))
    assert heights(card.plot)[0] < 1.0
    assert heights(card.plot)[1] > 3.1
    assert entry(card, "train/loss").text() == "Training  1.00"


def test_pointing_at_a_step_shows_its_values_in_every_plot(qtbot, shown) -> None:
    first, second = shown(LOSS, KL).curve_cards()

    qtbot.mouseMove(first.plot.viewport(), place(first.plot, 50))
    qtbot.waitUntil(lambda: first.plot.cursor_step == 50)

    assert entry(first, "train/loss").text() == "Training  2.00"
    assert entry(second, "objective/kl").text() == "Sampled  5.00"


def test_the_arrow_keys_walk_from_point_to_point_and_escape_ends_it(qtbot, shown) -> None:
    plot = shown(LOSS).curve_cards()[0].plot

    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Left):
        qtbot.keyClick(plot, key)
    assert plot.cursor_step == 1

    qtbot.keyClick(plot, Qt.Key.Key_Escape)
    assert plot.cursor_step is None


def test_a_plot_that_qt_has_deleted_is_not_redrawn(qtbot, shown) -> None:
    gone, stays = shown(LOSS).curve_cards()[0].plot, shown(KL).curve_cards()[0].plot
    redrawn = []
    stays.redraw = lambda: redrawn.append(True)
    for plot in (gone, stays):
        redraw_clock().ask(plot)
    delete(gone)
    qtbot.waitUntil(lambda: bool(redrawn))  # an exception in the clock's slot would fail the test


def test_zooming_one_plot_zooms_all_and_a_double_click_shows_everything_again(qtbot, shown) -> None:
    first, second = shown(LOSS, KL).curve_cards()

    qtbot.keyClick(first.plot, Qt.Key.Key_Plus)
    qtbot.waitUntil(lambda: view(second.plot) == pytest.approx(view(first.plot)) and view(second.plot)[0] > 10)
    assert heights(second.plot)[1] < 9  # the height follows what is in view

    qtbot.mouseDClick(second.plot.viewport(), Qt.MouseButton.LeftButton, pos=second.plot.viewport().rect().center())
    qtbot.waitUntil(lambda: view(first.plot) == pytest.approx((-2, 102)))


def test_new_points_are_drawn_and_a_zoomed_view_stays(qtbot, shown, history) -> None:
    board = shown(LOSS)
    plot = board.curve_cards()[0].plot

    board.take_changes(history.feed([Metrics(step=150, values={"train/loss": 0.5})]))
    qtbot.waitUntil(lambda: view(plot)[1] > 150)

    qtbot.keyClick(plot, Qt.Key.Key_Plus)
    before = view(plot)
    board.take_changes(history.feed([Metrics(step=300, values={"train/loss": 0.4})]))
    qtbot.waitUntil(lambda: entry(board.curve_cards()[0], "train/loss").text() == "Training  0.40")
    assert view(plot) == pytest.approx(before)


def test_a_hidden_plot_is_not_redrawn_until_it_is_shown(qtbot, shown, history) -> None:
    board = shown(LOSS)
    board.add_plots("More", lambda: [CurveCard(KL)])
    board.setCurrentIndex(1)
    plot = board.curve_cards()[0].plot

    board.take_changes(history.feed([Metrics(step=400, values={"train/loss": 0.5, "objective/kl": 1.0})]))
    qtbot.waitUntil(lambda: view(board.curve_cards()[1].plot)[1] > 400)
    assert view(plot)[1] < 400

    board.setCurrentIndex(0)
    qtbot.waitUntil(lambda: view(plot)[1] > 400)


def test_a_legend_entry_switches_its_line(qtbot, shown) -> None:
    card = shown(LOSS).curve_cards()[0]
    before = heights(card.plot)[1]

    qtbot.mouseClick(entry(card, "eval/loss"), Qt.MouseButton.LeftButton)

    qtbot.waitUntil(lambda: heights(card.plot)[1] < before)


def test_smoothing_and_log_come_from_the_controls_and_reach_later_tabs_too(qtbot, shown) -> None:
    board = shown(LOSS)
    board.controls.slider.setValue(90)
    board.controls.log.setChecked(True)
    board.add_plots("More", lambda: [CurveCard(KL)])
    board.setCurrentIndex(1)

    plots = [card.plot for card in board.curve_cards()]
    # log10 of 3.1 and of 10: step 0 of KL is 0, which a logarithm does not have
    qtbot.waitUntil(lambda: heights(plots[1])[1] == pytest.approx(1.0, abs=0.2))
    assert np.isfinite(heights(plots[1])[0])


def test_nothing_but_nan_draws_an_empty_plot(qtbot, shown, history) -> None:
    history.feed(Metrics(step=s, values={"eval/gold": float("nan")}) for s in range(3000))
    board = shown(LOSS)
    board.add_plots("Gold", lambda: [CurveCard(PlotSpec("Gold", {"eval/gold": "Gold"}))])
    board.setCurrentIndex(1)

    card = board.curve_cards()[1]
    qtbot.waitUntil(lambda: entry(card, "eval/gold").text() == "Gold  NaN")
    assert np.all(np.isfinite(heights(card.plot)))


def test_a_change_made_by_hand_is_marked_on_the_curves(qtbot, shown, history) -> None:
    board = shown(KL)
    board.take_changes(history.feed([Changed(step=30, field="kl_coef", value=0.1)]))

    plot = board.curve_cards()[0].plot
    qtbot.waitUntil(lambda: plot.marks.texts == [(30.0, "β → 0.10")])


def test_names_from_data_are_shown_as_they_are(qtbot) -> None:
    name = "<b>&{x}"
    card = CurveCard(PlotSpec(name, {name: name}))
    qtbot.addWidget(card)

    assert entry(card, name).text() == "<b>&&{x}"  # a lone ampersand would be a shortcut's mark
    assert "&lt;b&gt;" in entry(card, name).toolTip()


def test_colours_follow_the_theme(qtbot, shown) -> None:
    plot = shown(LOSS).curve_cards()[0].plot
    try:
        theme().choose("dark")
        assert plot.colour("train/loss") == DARK.series[0]
        assert plot.backgroundBrush().color().name() == DARK.surface
        theme().choose("light")
        assert plot.colour("train/loss") == LIGHT.series[0]
    finally:
        theme().choose("system")


def test_a_histogram_shows_the_newest_or_that_of_a_step(qtbot) -> None:
    card = HistogramCard("Scores", "Of pairs.", {"chosen": "Chosen", "rejected": "Rejected"})
    qtbot.addWidget(card)
    history = RunHistory("reward-1")
    history.feed(Histogram(step=s, name="chosen", edges=(0.0, 1.0, 2.0), counts=(s, 1)) for s in (5, 10))

    card.show_history(history)
    assert card.plot.shown("chosen").step == 10
    assert card.plot.shown("rejected") is None

    card.plot.set_step(7)
    assert card.plot.shown("chosen").step == 5


def test_score_stands_against_the_root_of_the_kl_of_the_same_answers(qtbot) -> None:
    card = TradeoffCard("Score against √KL", "")
    qtbot.addWidget(card)
    history = RunHistory("ppo-1")
    history.feed(Metrics(step=s, values={"objective/scores": s, "objective/kl": s * s - 0.5}) for s in range(4))
    history.feed([Metrics(step=0, values={"eval/gold": 0.5, "eval/kl": 0.0}), Metrics(step=2, values={"eval/gold": 1})])

    card.show_history(history)

    x, y = card.plot.trail("objective/scores")
    assert x == pytest.approx(np.sqrt([0.0, 0.5, 3.5, 8.5]))
    assert y.tolist() == [0, 1, 2, 3]
    assert card.plot.trail("eval/gold")[1].tolist() == [0.5]
    card.plot.redraw()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "NaN"),
        (float("-inf"), "−∞"),
        (0.0, "0"),
        (-0.5, "−0.50"),
        (12.345, "12.3"),
        (1234.5, "1,234"),
        (0.01234, "0.012"),
        (3e-6, "3.0e-6"),
        (2.5e7, "2.5e7"),
    ],
)
def test_numbers_are_written_for_people(value, text) -> None:
    assert number(value) == text


def test_an_empty_tradeoff_says_what_is_missing(qtbot) -> None:
    card = TradeoffCard("Score against √KL", "")
    qtbot.addWidget(card)
    with qtbot.waitExposed(card):
        card.show()
    history = RunHistory("ppo-1")
    card.show_history(history)
    qtbot.waitUntil(lambda: "score and KL are known" in card.plot.words)

    history.feed([Finished(outcome="stopped")])
    card.show_history(history)
    qtbot.waitUntil(lambda: "no score and KL" in card.plot.words)

    history.feed([Metrics(step=1, values={"eval/score": 1.0, "eval/kl": 2.0})])
    card.show_history(history)
    qtbot.waitUntil(lambda: not card.plot.words)


def test_a_legend_names_sources_of_the_reward_only_where_they_are_measured(shown, history) -> None:
    history.feed(Metrics(step=s, values={"objective/rlhf_reward": 0.5}) for s in range(101))
    card = shown(REWARD).curve_cards()[0]
    assert not entry(card, "objective/scores_length").isVisible()

    history.feed([Metrics(step=101, values={"objective/scores_model": 1.0, "objective/scores_length": -0.25})])
    card.plot.redraw()

    assert entry(card, "objective/scores_length").text() == "Length  −0.25"
    assert entry(card, "objective/scores_length").isVisible()
    assert not entry(card, "objective/scores_function").isVisible()
