"""Repeats over seeds as one curve with a band: which runs, which numbers, and the choice in the Runs pane."""

import numpy as np
import pytest
from PySide6.QtCore import Qt

from rlhf_lab.core.events import Metrics
from rlhf_lab.core.recipe import Place
from rlhf_lab.gui.models import overlay as overlay_model
from rlhf_lab.gui.models.bands import band_of, repeats_of
from rlhf_lab.gui.widgets.run_overlay import RunOverlay
from tests.gui.runs_made import made_run

NAN = float("nan")


@pytest.fixture
def sweep(project):
    number = 0
    for rank in (4, 8):
        for seed in (0, 1, 2):
            number += 1
            run = made_run(project, f"sft-{number}", {"eval/loss": [rank + seed, 2.0 * seed]}, created=float(number))
            varied = {"lora_r": rank, "seed": seed}
            place = Place(group="g", recipe="r", step=run, stage="sft", digest=run, varied=varied)
            project.store.place_run(run, place)
    made_run(project, "sft-7", {"eval/loss": [1.0, 1.0]}, created=7.0)
    return [f"sft-{n}" for n in range(1, 8)]


@pytest.fixture
def overlay(lab, shown, sweep):
    return shown(RunOverlay(lab), 1000, 340)


def test_only_what_differs_in_its_seed_alone_is_put_together(project, sweep) -> None:
    found = repeats_of(project.store.runs(), ["sft-4", "sft-1", "sft-2", "sft-7", "sft-3"])
    assert [(one.title, one.runs) for one in found] == [
        ("SFT 4", ("sft-4",)),
        ("SFT, LoRA rank 4 (3 seeds)", ("sft-1", "sft-2", "sft-3")),
        ("SFT 7", ("sft-7",)),
    ]


def test_a_band_goes_from_the_lowest_to_the_highest_of_those_that_got_so_far() -> None:
    band = band_of([([1, 2, 3], [1.0, 2.0, 3.0]), ([1, 3], [3.0, 7.0]), ([1], [NAN])], "range")
    assert band.steps.tolist() == [1, 2, 3]
    assert band.mean.tolist() == [2.0, 3.5, 5.0]  # at step 2 the second run is taken to be at 5
    assert (band.low.tolist(), band.high.tolist()) == ([1.0, 2.0, 3.0], [3.0, 5.0, 7.0])
    behind = band_of([([1, 2], [1.0, 2.0]), ([1], [3.0])], "range")
    assert (behind.mean.tolist(), behind.low.tolist(), behind.high.tolist()) == ([2.0, 2.0], [1.0, 2.0], [3.0, 2.0])
    assert len(band_of([([], [])], "range").steps) == 0


def test_or_is_students_interval_of_the_mean() -> None:
    band = band_of([([1, 2], [1.0, 5.0]), ([1], [2.0]), ([1], [3.0])], "interval")
    half = 4.303 / 3**0.5
    assert band.low == pytest.approx([2 - half, 5.0])
    assert band.high == pytest.approx([2 + half, 5.0])


def test_the_choice_is_there_where_runs_repeat_and_draws_bands(qtbot, overlay: RunOverlay, sweep) -> None:
    overlay.show_runs(["sft-1", "sft-4"])
    assert overlay.seeds.isHidden()
    assert overlay.metric_box.completer().popup().styleSheet(), "its list is a window of its own"
    overlay.show_runs(sweep)
    assert not overlay.seeds.isHidden()
    assert len(overlay.card.plot.history.curves) == 7
    assert not overlay.card.plot.bands
    overlay.seeds.setCurrentIndex(1)
    overlay.seeds.activated.emit(1)
    plot = overlay.card.plot
    assert {name: curve.values.tolist() for name, curve in plot.history.curves.items()} == {
        "0": [5.0, 2.0],
        "1": [9.0, 2.0],
        "2": [1.0, 1.0],
    }
    assert {name: (band.low[0], band.high[0]) for name, band in plot.bands.items()} == {
        "0": (4.0, 6.0),
        "1": (8.0, 10.0),
    }
    assert overlay.card.legend.button("1").accessibleName() == "SFT, LoRA rank 8 (3 seeds)"
    qtbot.waitUntil(lambda: len(plot._items) == 6)
    low, high = plot.getPlotItem().getViewBox().viewRange()[1]
    assert low < 0.0
    assert high > 10.0
    overlay.seeds.setCurrentIndex(0)
    overlay.seeds.activated.emit(0)
    qtbot.waitUntil(lambda: not plot._items)
    assert len(plot.history.curves) == 7


def test_a_band_follows_its_runs(qtbot, overlay: RunOverlay, sweep, project, lab) -> None:
    overlay.show_runs(sweep[:3])
    overlay.seeds.setCurrentIndex(1)
    overlay.seeds.activated.emit(1)
    said = Metrics(step=3, attempt=1, seq=99, time=1.0, values={"eval/loss": 8.0})
    project.store.record_events("sft-1", [(said, 99)])
    lab.events_arrived.emit("sft-1", [said])
    assert np.array_equal(overlay.card.plot.history.curves["0"].values, [5.0, 2.0, 8.0])


def test_a_zoom_into_bands_leaves_them_as_they_are(qtbot, lab, shown, project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay_model, "FINE", 1)
    for number in (1, 2):
        run = made_run(project, f"sft-{number}", {"eval/loss": [float(n % 50 + number) for n in range(2500)]})
        varied = {"lora_r": 4, "seed": number}
        place = Place(group="g", recipe="r", step=run, stage="sft", digest=run, varied=varied)
        project.store.place_run(run, place)
    overlay = shown(RunOverlay(lab), 1000, 340)
    overlay.show_runs(["sft-1", "sft-2"])
    plot = overlay.card.plot
    qtbot.waitUntil(lambda: plot.getPlotItem().getViewBox().viewRange()[0][1] > 2000)
    overlay.seeds.setCurrentIndex(1)
    overlay.seeds.activated.emit(1)
    bands = plot.history
    assert bands.curves["0"].values[:4].tolist() == [1.5, 3.0, 5.0, 7.0], "means, not the extremes of a sketch in turn"
    assert len(overlay.overlay.unread()) == 2

    qtbot.keyClick(plot, Qt.Key.Key_Plus)

    assert plot.getPlotItem().getViewBox().viewRange()[0][1] < 2400
    assert not overlay._closer.isActive()
    assert plot.history is bands
    overlay.seeds.setCurrentIndex(0)
    overlay.seeds.activated.emit(0)
    qtbot.keyClick(plot, Qt.Key.Key_Plus)
    qtbot.waitUntil(
        lambda: len(plot.history.curves) == 2 and overlay._looking is None and not overlay._closer.isActive()
    )
