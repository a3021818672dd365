"""What came of a sweep: grouped, pooled over seeds, drawn and listed."""

import pytest

from rlhf_lab.core.recipe import Place
from rlhf_lab.gui.models.spread import spread
from rlhf_lab.gui.models.sweep_results import group_of, less_is_better, results, swept_fields, values_of
from rlhf_lab.gui.widgets.sweep_view import NONE, SweepView
from tests.gui.runs_made import made_run


def swept_run(project, run: str, values: list[float], *, group: str = "g", **varied: object) -> str:
    made_run(project, run, {"eval/score": values, "eval/loss": values}, created=float(run.rpartition("-")[2]))
    place = Place(group=group, recipe="SFT sweep", step=run, stage="sft", digest=run, varied=varied)
    project.store.place_run(run, place)
    return run


@pytest.fixture
def sweep(project):
    swept_run(project, "sft-1", [0.0, 1.0], lora_r=4, seed=0)
    swept_run(project, "sft-2", [5.0, 3.0], lora_r=4, seed=1)
    swept_run(project, "sft-3", [0.0, 5.0], lora_r=8, seed=0)
    swept_run(project, "sft-4", [0.0, 9.0], lora_r=8, seed=1)
    swept_run(project, "sft-5", [1.0, 1.0], group="other", lora_r=2)
    made_run(project, "sft-6", {"eval/score": [1.0]}, created=6.0)
    return project


@pytest.fixture
def view(lab, shown, sweep):
    return shown(SweepView(lab), 1000, 340)


def rows(view: SweepView) -> list[tuple[str, ...]]:
    model = view.model
    return [
        tuple(model.index(row, column).data() for column in range(model.columnCount()))
        for row in range(model.rowCount())
    ]


def test_runs_that_differ_in_their_seed_alone_are_one_cell(sweep) -> None:
    found = group_of(sweep.store.runs(), "sft-2")
    assert [row.run for row in found] == ["sft-1", "sft-2", "sft-3", "sft-4"]
    assert swept_fields(found) == ["lora_r", "seed"]
    values = values_of(sweep.store, [row.run for row in found], "eval/score", "last")
    [series] = results(found, values, "lora_r", "range")
    assert [(cell.x, cell.spread.mean, cell.spread.low, cell.spread.high) for cell in series.cells] == [
        (4, 2.0, 1.0, 3.0),
        (8, 7.0, 5.0, 9.0),
    ]
    assert len(series.points) == 4
    over_seeds = results(found, values, "seed", "range")
    assert [(one.title, len(one.cells)) for one in over_seeds] == [("LoRA rank 4", 2), ("LoRA rank 8", 2)]
    assert group_of(sweep.store.runs(), "sft-6") == []


def test_the_best_is_the_lowest_of_a_loss_and_the_highest_of_a_score(sweep) -> None:
    assert values_of(sweep.store, ["sft-2"], "eval/score", "best") == {"sft-2": 5.0}
    assert values_of(sweep.store, ["sft-2"], "eval/loss", "best") == {"sft-2": 3.0}
    assert values_of(sweep.store, ["sft-2", "sft-6"], "eval/loss", "last") == {"sft-2": 3.0}


def test_an_interval_is_students(sweep) -> None:
    found = spread([1.0, 2.0, 3.0], "interval")
    assert (found.mean, found.low, found.high) == pytest.approx((2.0, 2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5))
    assert spread([1.0], "interval") == spread([1.0], "range")


def test_it_draws_and_lists_the_sweep_of_the_selected_run(qtbot, view: SweepView) -> None:
    view.show_runs(["sft-6"])
    assert view.empty.isVisible()
    assert view.empty.text() == NONE
    view.show_runs(["sft-6", "sft-3"])
    assert not view.empty.isVisible()
    assert view.note.text() == "SFT sweep: 4 runs"
    assert view.metric_box.currentData() == "eval/score"
    assert rows(view) == [("4", "2.00", "1.00 to 3.00", "SFT 1, SFT 2"), ("8", "7.00", "5.00 to 9.00", "SFT 3, SFT 4")]
    qtbot.waitUntil(lambda: len(view.plot._items) == 4)
    assert view.plot.accessibleDescription() == "4: 2; 8: 7"
    view.over.setCurrentIndex(view.over.findData("seed"))
    view.over.activated.emit(view.over.currentIndex())
    assert rows(view)[0] == ("0", "LoRA rank 4", "1.00", "", "SFT 1")
    with qtbot.waitSignal(view.chosen, check_params_cb=lambda run: run == "sft-1"):
        view.table.activated.emit(view.model.index(0, 0))


def test_the_tab_of_the_runs_pane_follows_the_selection(qtbot, window, sweep, lab) -> None:
    window.show_pane("runs")
    pane = window.pane("runs")
    pane.tabs.setCurrentWidget(pane.sweep)
    pane.select("sft-6")
    assert pane.sweep.empty.isVisible()
    pane.select("sft-5")
    assert pane.sweep.note.text() == "SFT sweep: 1 run"
    assert "All runs have one value" in pane.sweep.plot._empty


def test_the_catalogue_says_which_value_is_the_best_one(project) -> None:
    worse = {
        "loss/value_avg": [0.5, 0.1],
        "eval/bad_refused": [0.9, 0.4],
        "eval/rude": [0.3, 0.0],
        "time/step": [2.0, 1.0],
    }
    made_run(project, "ppo-1", worse, created=1.0)
    best = {name: values_of(project.store, ["ppo-1"], name, "best")["ppo-1"] for name in worse}
    assert best == {"loss/value_avg": 0.1, "eval/bad_refused": 0.9, "eval/rude": 0.0, "time/step": 1.0}
    assert less_is_better("eval/loss")
    assert not less_is_better("eval/unheard_of_loss")
