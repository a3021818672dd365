"""Distributions over time: one grid for histograms whose edges differ."""

import numpy as np
import pytest

from rlhf_lab.core.events import Histogram
from rlhf_lab.gui.models.heat import COLUMNS, ROWS, heat_of
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.models.plot_spec import PlotSpec
from rlhf_lab.gui.plots.board import PlotBoard
from rlhf_lab.gui.plots.card import CurveCard, HeatCard


def histogram(step: int, edges: tuple[float, ...], counts: tuple[int, ...], name: str = "rollout/scores") -> Histogram:
    return Histogram(step=step, name=name, edges=edges, counts=counts)


def test_every_column_holds_all_of_its_step() -> None:
    heat = heat_of({1: histogram(1, (0.0, 1.0, 2.0), (1, 3)), 2: histogram(2, (-5.0, 0.0, 5.0), (8, 2))})

    assert heat.steps.tolist() == [1, 2]
    assert heat.shares.shape == (2, ROWS)
    assert heat.shares.sum(axis=1) == pytest.approx([1.0, 1.0])


def test_the_middle_and_the_tails_are_read_off_the_histogram() -> None:
    heat = heat_of({3: histogram(3, (0.0, 10.0, 20.0), (5, 5))})

    assert heat.quantiles.tolist() == [pytest.approx([2.0, 10.0, 18.0])]


def test_mass_lies_where_the_values_lie() -> None:
    heat = heat_of({1: histogram(1, (0.0, 1.0), (9,)), 2: histogram(2, (3.0, 4.0), (9,))})
    heights = np.linspace(heat.low, heat.high, ROWS + 1)
    middles = (heights[1:] + heights[:-1]) / 2

    assert (heat.shares @ middles).tolist() == pytest.approx([0.5, 3.5], abs=0.1)


def test_steps_without_a_histogram_show_the_one_before() -> None:
    heat = heat_of({0: histogram(0, (0.0, 1.0), (1,)), 3: histogram(3, (4.0, 5.0), (1,))})

    assert heat.steps.tolist() == [0, 1, 2, 3]
    assert heat.quantiles[:, 1].tolist() == pytest.approx([0.5, 0.5, 0.5, 4.5])


@pytest.mark.parametrize("edges", [(2.0, 2.0), (0.0, 0.0, 0.0)])
def test_all_values_alike_still_give_a_picture(edges) -> None:
    heat = heat_of({1: histogram(1, edges, (4,) * (len(edges) - 1))})

    assert heat.low < edges[0] < heat.high
    assert np.isfinite(heat.shares).all()
    assert heat.shares.sum() == pytest.approx(1.0)


def test_empty_histograms_are_nothing() -> None:
    assert heat_of({}) is None
    assert heat_of({1: histogram(1, (0.0, 1.0), (0,))}) is None


def test_a_long_run_is_thinned_and_its_ends_stay() -> None:
    heat = heat_of({step: histogram(step, (float(step), step + 1.0), (1,)) for step in range(5000)})

    assert len(heat.steps) == COLUMNS
    assert (heat.steps[0], heat.steps[-1]) == (0, 4999)
    assert heat.quantiles[-1, 1] == pytest.approx(4999.5)


def test_pointing_at_a_curve_reads_the_distribution_of_that_step_too(qtbot) -> None:
    board = PlotBoard()
    qtbot.addWidget(board)
    board.resize(900, 400)
    history = RunHistory("ppo-1")
    for step in range(1, 9):
        history.feed([histogram(step, (0.0, float(step), 2.0 * step), (1, 1))])
    heat = HeatCard("Scores", "rollout/scores", "Of answers.")
    curve = CurveCard(PlotSpec("KL", {"objective/kl": "Sampled"}))
    board.add_plots("Both", lambda: [curve, heat])
    with qtbot.waitExposed(board):
        board.show()
    board.show_history(history)
    qtbot.waitUntil(lambda: heat.legend.button("median").text() == "Median  8.00")
    assert heat.legend.button("spread").text() == "80%  1.60 to 14.4"

    curve.plot.hovered.emit(3.2)
    assert heat.plot.cursor_step == 3
    assert heat.legend.button("median").text() == "Median  3.00"

    board.take_changes(history.feed([histogram(9, (0.0, 9.0, 18.0), (1, 1))]))
    curve.plot.hovered.emit(None)
    qtbot.waitUntil(lambda: heat.legend.button("median").text() == "Median  9.00")
