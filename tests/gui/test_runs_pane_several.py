"""The Runs pane with many runs: filters, curves over each other, settings, lineage, labels, the trash."""

import threading
from typing import Any

import pytest
from PySide6.QtCore import QItemSelectionModel, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Metrics, Started
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models import overlay
from rlhf_lab.gui.models.runs_table import COLUMNS, size_in_words
from rlhf_lab.gui.panes.runs import RunsPane
from rlhf_lab.gui.widgets.run_header import RunHeader
from rlhf_lab.runs.disk import disk_use
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.labels import labels_of
from rlhf_lab.runs.project import Project
from rlhf_lab.store import RunRow, Store
from tests.gui.runs_made import made_run


@pytest.fixture
def pane(qtbot: QtBot, lab: Lab, project: Project) -> RunsPane:
    made_run(project, "sft-1", {"eval/loss": [2.0, 1.0]}, created=1.0)
    made_run(project, "reward-1", {"eval/accuracy": [0.5, 0.7]}, created=2.0, start_from="sft-1", dataset="pairs")
    made_run(
        project, "ppo-1", {"eval/score": [0.1, 0.2, 0.3]}, created=3.0, start_from="sft-1", reward_model="reward-1"
    )
    made_run(
        project,
        "ppo-2",
        {"eval/score": [0.5], "objective/kl": [7.0]},
        created=4.0,
        outcome="failed",
        kl_coef=0.2,
        start_from="sft-1",
        reward_model="reward-1",
    )
    made = RunsPane(lab)
    qtbot.addWidget(made, before_close_func=lambda widget: lab.let_go())
    made.resize(1100, 740)
    with qtbot.waitExposed(made):
        made.show()
    return made


def listed(pane: RunsPane) -> list[str]:
    return list(pane.model.runs())


def cell(pane: RunsPane, run: str, column: str) -> str:
    return pane.model.index(pane.model.row_of(run), COLUMNS.index(column)).data()


def choose(pane: RunsPane, *runs: str) -> None:
    pane.table.clearSelection()
    for run in runs:
        pane.table.selectionModel().select(
            pane.model.index(pane.model.row_of(run), 0),
            QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows,
        )


def legend(pane: RunsPane) -> list[str]:
    buttons = pane.overlay.card.legend.findChildren(QPushButton) or pane.overlay.card.legend.children()
    return [b.text() for b in buttons if hasattr(b, "text") and b.isVisible()]


def test_words_stage_and_status_narrow_the_list(qtbot, pane) -> None:
    assert listed(pane) == ["ppo-2", "ppo-1", "reward-1", "sft-1"]

    qtbot.keyClicks(pane.filter.search, "PPO talks")
    assert listed(pane) == ["ppo-2", "ppo-1"]
    assert pane.filter.found.text().startswith("2 of 4")
    pane.filter.outcome.setCurrentText("✕ failed")
    pane.filter.outcome.activated.emit(pane.filter.outcome.currentIndex())
    assert listed(pane) == ["ppo-2"]

    qtbot.keyClick(pane.filter.search, Qt.Key.Key_Escape)
    assert len(listed(pane)) == 4


def test_a_filter_that_nothing_passes_can_be_taken_back(qtbot, pane) -> None:
    qtbot.keyClicks(pane.filter.search, "nobody wrote this")
    assert listed(pane) == []
    assert pane.filter.isVisible()
    pane.filter.search.clear()
    assert len(listed(pane)) == 4


@pytest.fixture
def all_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """For each time that runs are read, how many."""
    reads: list[int] = []
    runs = Store.runs

    def noted(store: Store, **which: Any) -> list[RunRow]:
        found = runs(store, **which)
        reads.append(len(found))
        return found

    monkeypatch.setattr(Store, "runs", noted)
    return reads


def test_a_status_is_looked_for_without_reading_all_runs_for_each(pane, lab, all_read) -> None:
    lab._states.clear()  # as after a start: the window has seen none of them yet
    pane.filter.outcome.setCurrentText("✕ failed")
    pane.filter.outcome.activated.emit(pane.filter.outcome.currentIndex())
    assert listed(pane) == ["ppo-2"]
    assert all_read == []


def test_a_header_lists_its_runs_from_one_reading(qtbot, pane, lab, all_read) -> None:
    lab._states.clear()
    header = RunHeader(lab, {"ppo": ()})
    qtbot.addWidget(header)
    header.list_runs()
    assert [header.picker.itemText(n) for n in range(2)] == ["PPO 2 · failed", "PPO 1 · done"]
    assert all_read == [2]


def test_many_chosen_runs_are_chosen_again_at_once(qtbot, pane, lab, monkeypatch) -> None:
    pane.table.selectAll()
    assert len(pane.selected()) == 4
    shown = []
    monkeypatch.setattr(pane.overlay, "show_runs", shown.append)

    lab.runs_changed.emit()

    assert [row.run for row in pane.selected()] == ["ppo-2", "ppo-1", "reward-1", "sft-1"]
    assert {len(runs) for runs in shown} == {4}  # never a part of them


def test_curves_of_the_selected_runs_lie_over_each_other(qtbot, pane) -> None:
    choose(pane, "ppo-1", "ppo-2")

    assert pane.overlay.overlay.metric == "eval/score"
    assert pane.overlay.names == ["eval/score", "objective/kl"]
    curves = pane.overlay.card.plot.history.curves
    assert {place: list(curve.values) for place, curve in curves.items()} == {"0": [0.5], "1": [0.1, 0.2, 0.3]}
    qtbot.waitUntil(lambda: legend(pane) == ["PPO 2  0.50", "PPO 1  0.30"])

    pane.overlay.choose("objective/kl")
    qtbot.waitUntil(lambda: legend(pane) == ["PPO 2  7.00"])
    assert pane.overlay.card._heading.text() == "KL"


def test_a_curve_whose_sketch_is_rough_is_drawn_at_once_and_then_read_whole(qtbot, pane, lab, project) -> None:
    values = [float(n % 100) for n in range(6000)]
    made_run(project, "sft-2", {"train/loss": values}, created=9.0)
    lab.runs_changed.emit()

    choose(pane, "sft-2")

    curve = pane.overlay.card.plot.history.curves["0"]
    assert 0 < len(curve) < 300
    assert curve.newest == values[-1]
    assert (curve.values.min(), curve.values.max()) == (0, 99)
    qtbot.waitUntil(lambda: len(pane.overlay.card.plot.history.curves["0"]) == 6000)
    assert list(pane.overlay.card.plot.history.curves["0"].values) == values


@pytest.fixture
def sketched(qtbot: QtBot, pane: RunsPane, lab: Lab, project: Project, monkeypatch: pytest.MonkeyPatch) -> RunsPane:
    """A run whose curve is drawn from a sketch that is fine enough."""
    monkeypatch.setattr(overlay, "FINE", 40)
    made_run(project, "sft-2", {"train/loss": [float(n * n % 101) for n in range(6000)]}, created=9.0)
    lab.runs_changed.emit()
    choose(pane, "sft-2")
    assert pane.overlay.overlay.rough() == []
    plot = pane.overlay.card.plot
    assert len(plot.history.curves["0"]) < 300
    qtbot.waitUntil(lambda: plot.getPlotItem().getViewBox().viewRange()[0][1] > 5000)  # it is drawn
    return pane


def test_of_a_sketched_curve_that_part_is_read_that_somebody_looks_at(qtbot, sketched) -> None:
    plot = sketched.overlay.card.plot
    sketch = plot.history.curves["0"]
    for _ in range(3):
        qtbot.keyClick(plot, Qt.Key.Key_Plus)
    qtbot.waitUntil(lambda: len(plot.history.curves["0"]) > 1700)

    low, high = plot.getPlotItem().getViewBox().viewRange()[0]
    curve = plot.history.curves["0"]
    seen = [step for step in curve.steps if low <= step <= high]
    assert seen == [step for step in range(6001) if low <= step <= high]
    assert [curve.at(step)[1] for step in seen] == [float((step - 1) ** 2 % 101) for step in seen]
    outside = [(step, value) for step, value in zip(curve.steps, curve.values, strict=True) if step < low - 1]
    assert outside == list(zip(sketch.steps, sketch.values, strict=True))[: len(outside)]
    assert sorted(set(curve.steps)) == list(curve.steps)

    qtbot.keyClick(plot, Qt.Key.Key_Home)
    for _ in range(2):
        qtbot.keyClick(plot, Qt.Key.Key_Minus)
    assert len(plot.history.curves["0"]) < 6000


def test_what_is_smoothed_is_read_whole(qtbot, sketched) -> None:
    sketched.overlay.controls.slider.setValue(50)
    qtbot.waitUntil(lambda: len(sketched.overlay.card.plot.history.curves["0"]) == 6000)
    assert sketched.overlay.overlay.unread() == []


def test_what_a_run_says_while_its_curve_is_read_is_kept(project) -> None:
    run = made_run(project, "sft-2", {"train/loss": [float(n % 100) for n in range(6000)]})
    laid = overlay.Overlay()
    laid.choose(project.store, [run], "train/loss")
    whole = overlay.curve_of(project.store.curves(run)["train/loss"])
    laid.take(run, [Metrics(step=6001, values={"train/loss": 7.0})])

    laid.take_whole((run, "train/loss"), whole)

    curve = laid.history().curves["0"]
    assert (len(curve), curve.steps[-1], curve.newest) == (6001, 6001, 7.0)
    assert laid.unread() == []


def test_a_living_run_goes_on_in_the_overlay(qtbot, pane, lab, fakes, begun_run) -> None:
    run = begun_run()
    fakes.runs[run].feed(Started(device="cpu", total_steps=9), Metrics(step=1, values={"eval/loss": 3.0}))
    qtbot.waitUntil(lambda: lab.state(run).values == {"eval/loss": 3.0})
    choose(pane, run, "sft-1")
    assert len(pane.overlay.card.plot.history.curves["0"]) == 1

    fakes.runs[run].feed(Metrics(step=2, values={"eval/loss": 2.5}))

    qtbot.waitUntil(lambda: legend(pane) == ["SFT 2  2.50", "SFT 1  1.00"])
    lab.stop(run)
    qtbot.waitUntil(lambda: not lab.live())


def test_settings_that_differ_are_held_against_each_other(pane) -> None:
    pane.tabs.setCurrentWidget(pane.differences)
    choose(pane, "ppo-1", "ppo-2")
    model = pane.differences.model

    rows = {model.index(row, 0).data(): [model.index(row, c).data() for c in (1, 2)] for row in range(model.rowCount())}
    assert rows == {"KL penalty (β)": ["0.20", "0.05"]}
    assert [model.headerData(c, Qt.Orientation.Horizontal) for c in range(3)] == ["Setting", "PPO 2", "PPO 1"]

    choose(pane, "ppo-2")
    rows = {model.index(row, 0).data(): model.index(row, 1).data() for row in range(model.rowCount())}
    assert rows == {"KL penalty (β)": "0.20", "Data set": "talks", "Start from": "SFT 1", "Reward model": "Reward 1"}
    assert model.headerData(2, Qt.Orientation.Horizontal) == "Default"


def test_the_lineage_leads_from_run_to_run(qtbot, pane, lab) -> None:
    pane.tabs.setCurrentWidget(pane.lineage)
    choose(pane, "ppo-1")
    buttons = pane.lineage.graph.buttons
    assert set(buttons) == {"data:talks", "data:pairs", "sft-1", "reward-1", "ppo-1"}
    assert buttons["ppo-1"].font().bold()
    pane.lineage.graph.grab()  # its lines are drawn without a complaint

    qtbot.mouseClick(buttons["reward-1"], Qt.MouseButton.LeftButton)
    assert [row.run for row in pane.selected()] == ["reward-1"]
    assert "ppo-2" in pane.lineage.graph.buttons

    with qtbot.waitSignal(lab.pane_asked) as asked:
        qtbot.mouseClick(pane.lineage.graph.buttons["data:pairs"], Qt.MouseButton.LeftButton)
    assert asked.args == ["data", {"dataset": "pairs"}]


def test_tags_and_notes_are_kept_on_leaving_the_field(qtbot, pane, project) -> None:
    pane.tabs.setCurrentWidget(pane.notes)
    choose(pane, "ppo-1", "ppo-2")
    qtbot.keyClicks(pane.notes.tags, "good,  to compare")
    qtbot.keyClick(pane.notes.tags, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: cell(pane, "ppo-1", "Tags") == cell(pane, "ppo-2", "Tags") == "good, to compare")
    assert not pane.notes.note.isEnabled()

    choose(pane, "ppo-2")
    pane.notes.tags.selectAll()
    qtbot.keyClicks(pane.notes.tags, "good")
    qtbot.keyClicks(pane.notes.note, "<b>too high")
    choose(pane, "ppo-1")  # leaves both fields

    qtbot.waitUntil(lambda: cell(pane, "ppo-2", "Note") == "<b>too high")
    assert cell(pane, "ppo-2", "Tags") == "good"
    assert cell(pane, "ppo-1", "Tags") == "good, to compare"
    assert pane.notes.tags.text() == "good, to compare"
    assert labels_of(RunFolder(project.runs_folder / "ppo-2")).note == "<b>too high"
    assert [row.run for row in pane.selected()] == ["ppo-1"]


def test_what_was_thrown_away_can_be_had_again(qtbot, pane, project) -> None:
    choose(pane, "ppo-1", "ppo-2")
    pane.table.setFocus()
    QTest.keyClick(pane.table, Qt.Key.Key_Delete)
    assert listed(pane) == ["reward-1", "sft-1"]
    assert (project.runs_folder / "ppo-1" / "config.json").is_file()

    qtbot.mouseClick(pane.filter.trash, Qt.MouseButton.LeftButton)
    assert listed(pane) == ["ppo-2", "ppo-1"]
    assert not pane.open.isEnabled()
    choose(pane, "ppo-1")
    qtbot.mouseClick(pane.trash.restore, Qt.MouseButton.LeftButton)
    assert listed(pane) == ["ppo-2"]

    choose(pane, "ppo-2")
    qtbot.mouseClick(pane.trash.remove, Qt.MouseButton.LeftButton)
    assert pane.trash.remove.text() == "Delete 1 for good?"
    assert listed(pane) == ["ppo-2"]
    qtbot.mouseClick(pane.trash.remove, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: listed(pane) == [])
    assert list((project.runs_folder / "ppo-2").iterdir()) == []
    qtbot.mouseClick(pane.filter.trash, Qt.MouseButton.LeftButton)
    assert listed(pane) == ["ppo-1", "reward-1", "sft-1"]


def test_what_others_stand_on_is_not_deleted(qtbot, pane, lab, project) -> None:
    choose(pane, "reward-1")
    qtbot.mouseClick(pane.trash.trash, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(pane.filter.trash, Qt.MouseButton.LeftButton)
    choose(pane, "reward-1")

    with qtbot.waitSignal(lab.message) as said:
        for _ in range(2):
            qtbot.mouseClick(pane.trash.remove, Qt.MouseButton.LeftButton)

    assert said.args == ["Reward 1 was not deleted: PPO 1, PPO 2 cannot go on without it."]
    assert (project.runs_folder / "reward-1" / "config.json").is_file()


def test_runs_are_deleted_beside_the_window_which_says_so_and_asks_before_it_closes(
    qtbot, pane, lab, project, monkeypatch
) -> None:
    begun, go_on, where, read = threading.Event(), threading.Event(), list[int](), list[str]()
    delete, config = Store.delete_run, Store.run_config

    def slow(store: Store, run: str) -> None:
        where.append(threading.get_ident())
        begun.set()
        go_on.wait(10)
        delete(store, run)

    choose(pane, "ppo-1", "ppo-2")
    qtbot.mouseClick(pane.trash.trash, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(pane.filter.trash, Qt.MouseButton.LeftButton)
    choose(pane, "ppo-1", "ppo-2")
    monkeypatch.setattr(Store, "delete_run", slow)
    monkeypatch.setattr(Store, "run_config", lambda store, run: read.append(run) or config(store, run))
    for _ in range(2):
        qtbot.mouseClick(pane.trash.remove, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(begun.is_set)
    assert pane.trash.remove.text() == "Deleting…"
    assert not pane.trash.remove.isEnabled()
    assert not pane.trash.restore.isEnabled()
    assert lab.under_way() == ["Deleting 2 runs for good: what is not deleted yet stays in the trash."]

    go_on.set()
    qtbot.waitUntil(lambda: listed(pane) == [])
    assert threading.get_ident() not in where
    assert sorted(read) == ["reward-1", "sft-1"], "what stands on what is read once, however many are deleted"
    assert project.store.runs(trashed=True) == []
    assert pane.trash.remove.text() == "Delete for good"
    assert pane.trash.restore.isEnabled()


def test_a_run_that_cannot_be_deleted_stays_says_why_and_is_deleted_later(qtbot, pane, lab, monkeypatch) -> None:
    def refuse(store: Store, run: str) -> None:
        raise LabError("The database is locked.")

    choose(pane, "ppo-1")
    qtbot.mouseClick(pane.trash.trash, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(pane.filter.trash, Qt.MouseButton.LeftButton)
    delete = Store.delete_run
    monkeypatch.setattr(Store, "delete_run", refuse)
    with qtbot.waitSignal(lab.message) as said:
        for _ in range(2):
            qtbot.mouseClick(pane.trash.remove, Qt.MouseButton.LeftButton)
    assert said.args == ["The database is locked."]
    qtbot.waitUntil(pane.trash.remove.isEnabled)
    assert listed(pane) == ["ppo-1"]
    assert pane.trash.remove.text() == "Delete for good"

    monkeypatch.setattr(Store, "delete_run", delete)
    for _ in range(2):
        qtbot.mouseClick(pane.trash.remove, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: listed(pane) == [])


def test_a_run_that_trains_is_not_thrown_away(qtbot, pane, lab, fakes, begun_run) -> None:
    run = begun_run()
    fakes.runs[run].feed(Started(device="cpu", total_steps=9))
    qtbot.waitUntil(lambda: lab.state(run).outcome == "running")
    choose(pane, run)
    assert not pane.trash.trash.isEnabled()
    lab.stop(run)
    qtbot.waitUntil(lambda: not lab.live())


def test_a_duplicate_fills_the_form_of_its_stage(qtbot, pane, lab) -> None:
    choose(pane, "ppo-2")
    with qtbot.waitSignal(lab.pane_asked) as asked:
        qtbot.mouseClick(pane.duplicate, Qt.MouseButton.LeftButton)

    name, fields = asked.args
    assert name == "policy"
    assert (fields["stage"], fields["kl_coef"], fields["reward_model"]) == ("ppo", 0.2, "reward-1")


def test_the_room_that_each_run_takes_is_counted(qtbot, pane, project) -> None:
    qtbot.waitUntil(lambda: cell(pane, "ppo-1", "Size") != "")
    assert cell(pane, "ppo-1", "Size").endswith(" B")
    qtbot.waitUntil(lambda: " · " in pane.filter.found.text())
    sizes = [disk_use(project.runs_folder / run) for run in ("sft-1", "reward-1", "ppo-1", "ppo-2")]
    assert pane.filter.found.text() == f"4 · {size_in_words(sum(sizes))}"
    qtbot.keyClicks(pane.filter.search, "reward 1")
    assert pane.filter.found.text() == f"1 of 4 · {size_in_words(sizes[1])}"


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (999, "999 B"), (1400, "1.4 kB"), (999_600, "1.0 MB"), (52_000_000_000, "52 GB")]
)
def test_sizes_are_said_as_people_say_them(size: int, words: str) -> None:
    assert size_in_words(size) == words
