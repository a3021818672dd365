"""Recipes in the window: written, opened, saved, run with fakes, stopped, taken up again; and the queue's menu."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog

from rlhf_lab.core.config_toml import read_toml
from rlhf_lab.core.events import Finished, Started
from rlhf_lab.core.recipe import expand
from rlhf_lab.core.recipe_toml import parse_recipe, render_recipe
from rlhf_lab.gui.closing import CloseDialog
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.gui.widgets.recipe_button import open_recipe
from rlhf_lab.gui.widgets.recipe_dialog import RecipeDialog
from rlhf_lab.runs.recipe_of import recipe_of
from tests.fakes import leave_adapter

LEFT = Qt.MouseButton.LeftButton
WAIT = 30_000
"""Milliseconds: each run's data is copied first."""

TEXT = """
name = "two ways"
on_failure = "{on_failure}"
[defaults]
model = '{model}'
[stages.sft]
dataset = "talks"
[stages.dpo]
start_from = "sft"
dataset = "pairs"
[stages.other]
stage = "sft"
dataset = "talks"
seed = 5
"""


@pytest.fixture
def dialog(window, lab, model) -> RecipeDialog:
    made = open_recipe(lab, window)
    made.text.setPlainText(TEXT.format(on_failure="continue", model=model))
    made.check()
    return made


def states(dialog: RecipeDialog) -> list[str]:
    model = dialog.model
    return [model.index(row, 1).data().partition(" ")[2] for row in range(model.rowCount())]


def end(qtbot, lab, fakes, run: str, outcome: str = "done") -> None:
    """As a real run ends: with an adapter where it is done."""
    qtbot.waitUntil(lambda: run in fakes.runs, timeout=WAIT)
    if outcome == "done":
        leave_adapter(lab.project.run(run))
    fakes.runs[run].feed(Started(device="cpu", total_steps=1), Finished(outcome=outcome, message="It broke."))
    qtbot.waitUntil(lambda: run not in lab.live(), timeout=WAIT)


def test_a_recipe_runs_from_its_text_to_its_end(qtbot, lab, fakes, dialog: RecipeDialog) -> None:
    assert [dialog.model.index(row, 3).data() for row in range(3)] == ["", "sft", ""]
    assert dialog.told.text() == "3 runs, in this order."
    qtbot.mouseClick(dialog.run, LEFT)
    qtbot.waitUntil(lambda: states(dialog) == ["in progress", "waiting", "in progress"], timeout=WAIT)
    assert dialog.stop.isVisible()
    assert not dialog.run.isVisible()
    end(qtbot, lab, fakes, "sft-1")
    qtbot.waitUntil(lambda: states(dialog)[1] == "in progress" and not lab.being_copied(), timeout=WAIT)
    assert lab.project.run("dpo-1").config.start_from == "sft-1"
    end(qtbot, lab, fakes, "sft-2")
    end(qtbot, lab, fakes, "dpo-1")
    qtbot.waitUntil(dialog.run.isVisible, timeout=WAIT)
    assert dialog.told.text() == "3 of 3 runs are done. Done."
    assert not lab.recipes.walks()
    with qtbot.waitSignal(lab.run_asked, check_params_cb=lambda run: run == "dpo-1"):
        dialog.table.activated.emit(dialog.model.index(1, 0))
    dialog.text.appendPlainText("[sweep]\nseed = [0, 1]")
    qtbot.waitUntil(lambda: dialog.told.text() == "6 runs, in this order.", timeout=WAIT)


def test_a_failure_skips_what_stands_on_it_and_the_rest_goes_on(qtbot, lab, fakes, dialog: RecipeDialog) -> None:
    qtbot.mouseClick(dialog.run, LEFT)
    end(qtbot, lab, fakes, "sft-1", "failed")
    qtbot.waitUntil(lambda: states(dialog)[:2] == ["failed", "skipped"], timeout=WAIT)
    end(qtbot, lab, fakes, "sft-2")
    qtbot.waitUntil(lambda: not lab.recipes.walks(), timeout=WAIT)
    assert states(dialog) == ["failed", "skipped", "done"]
    assert dialog.told.text() == "1 of 3 runs are done. It ended before all were done."
    assert dialog.again.isChecked()
    qtbot.mouseClick(dialog.run, LEFT)
    qtbot.waitUntil(lambda: fakes.begun[-1] == ("sft-1", "resume"), timeout=WAIT)
    assert states(dialog) == ["in progress", "waiting", "done"]
    qtbot.mouseClick(dialog.stop, LEFT)
    qtbot.waitUntil(lambda: not lab.live() and not lab.recipes.walks(), timeout=WAIT)


def test_or_ends_the_recipe_and_cancels_what_waits(qtbot, lab, fakes, dialog: RecipeDialog, model: str) -> None:
    dialog.text.setPlainText(TEXT.format(on_failure="stop", model=model))
    qtbot.mouseClick(dialog.run, LEFT)
    qtbot.waitUntil(lambda: lab.in_line() == ["sft-2"], timeout=WAIT)
    end(qtbot, lab, fakes, "sft-1", "failed")
    qtbot.waitUntil(lambda: not lab.recipes.walks() and not lab.live(), timeout=WAIT)
    assert states(dialog) == ["failed", "skipped", "stopped"]
    assert "sft-2" not in fakes.runs


def test_closing_the_window_names_the_runs_that_would_never_begin(
    qtbot, window, lab, fakes, dialog: RecipeDialog
) -> None:
    qtbot.mouseClick(dialog.run, LEFT)
    qtbot.waitUntil(lambda: lab.in_line() == ["sft-2"] and fakes.runs.keys() == {"sft-1"}, timeout=WAIT)
    window.close()
    asked = window.findChild(CloseDialog)
    told = "\n".join(label.text() for label in asked.findChildren(PlainLabel))
    assert "SFT 1 still trains" in told
    how = "to save one, “Cancel”, then “show…” in the menu of what waits."
    can = f"The recipe can be taken up later from a file: {how}"
    assert f"“two ways”: 1 of its 3 runs has not begun, and would not. {can}" in told
    qtbot.mouseClick(asked.stay, LEFT)
    menu = window.strip.queue.menu()
    menu.aboutToShow.emit()
    (show,) = (action for action in menu.actions() if action.text().endswith("show…"))
    show.trigger()
    shown = window.findChildren(RecipeDialog)[-1]
    assert shown is not dialog
    assert shown.save_file.isEnabled(), "as the question said"
    assert parse_recipe(read_toml(shown.text.toPlainText())) == dialog.recipe
    shown.close()
    end(qtbot, lab, fakes, "sft-1")
    qtbot.waitUntil(lambda: states(dialog) == ["done", "in progress", "in progress"], timeout=WAIT)
    assert lab.under_way() == []
    qtbot.mouseClick(dialog.stop, LEFT)
    qtbot.waitUntil(lambda: not lab.live() and not lab.recipes.walks(), timeout=WAIT)


def test_runs_are_called_by_their_titles_where_a_step_stands_on_one(dialog: RecipeDialog) -> None:
    dialog.text.setPlainText('[stages.reward]\nstart_from = "sft-3"\n[stages.ppo]\nreward_model = "reward"\n')
    dialog.check()
    assert [dialog.model.index(row, 3).data() for row in range(2)] == ["SFT 3", "reward"]


def test_what_is_done_anew_though_it_was_done_is_said(qtbot, lab, fakes, dialog: RecipeDialog, model: str) -> None:
    dialog.text.setPlainText(f"[stages.sft]\nmodel = '{model}'\ndataset = \"talks\"\n")
    qtbot.mouseClick(dialog.run, LEFT)
    end(qtbot, lab, fakes, "sft-1")
    qtbot.waitUntil(dialog.run.isVisible, timeout=WAIT)
    (Path(model) / "model.safetensors").write_bytes(b"other weights")
    dialog.again.setChecked(True)
    qtbot.mouseClick(dialog.run, LEFT)
    assert dialog.told.text().endswith("done. sft is done anew, since the files of its model have changed.")
    end(qtbot, lab, fakes, "sft-2")
    qtbot.waitUntil(dialog.run.isVisible, timeout=WAIT)
    assert dialog.told.text() == "1 of 1 runs are done. Done."


def test_text_that_is_nowhere_else_goes_at_the_second_try(qtbot, lab, window, dialog: RecipeDialog, model: str) -> None:
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert dialog.isVisible()
    assert "not saved" in dialog.told.text()
    dialog.text.appendPlainText("# more")
    dialog.close()
    assert dialog.isVisible(), "this text was not warned of"
    dialog.close()
    assert not dialog.isVisible()
    unchanged = open_recipe(lab, window)
    unchanged.close()
    assert not unchanged.isVisible()
    written = open_recipe(lab, window)
    written.text.clear()
    lab.closing.emit()
    assert not written.isVisible()


def test_what_cannot_run_is_said(qtbot, lab, dialog: RecipeDialog) -> None:
    dialog.text.setPlainText("[stages.sft]\nbatch_size = 0")
    qtbot.waitUntil(lambda: not dialog.run.isEnabled(), timeout=WAIT)
    assert "sft: batch_size: Input should be greater" in dialog.problem.text()
    dialog.text.setPlainText('[stages.sft]\ndataset = "nothing"')
    qtbot.waitUntil(dialog.run.isEnabled, timeout=WAIT)
    qtbot.mouseClick(dialog.run, LEFT)
    assert "sft: dataset: there is no data set 'nothing'" in dialog.problem.text()
    assert not lab.recipes.walks()


def test_it_is_saved_and_opened(qtbot, dialog: RecipeDialog, tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "recipe.toml"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(file), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(file), ""))
    qtbot.mouseClick(dialog.save_file, LEFT)
    assert file.read_text() == dialog.text.toPlainText()
    file.write_text('[stages.sft]\ndataset = "talks"\n')
    qtbot.mouseClick(dialog.open_file, LEFT)
    assert dialog.told.text() == "1 run, in this order."
    file.write_bytes(b"\xff\xfe")
    qtbot.mouseClick(dialog.open_file, LEFT)
    assert "it is not text" in dialog.problem.text()


def test_the_recipe_of_a_run_makes_it_again(qtbot, window, lab, fakes, dialog: RecipeDialog, project) -> None:
    qtbot.mouseClick(dialog.run, LEFT)
    for run in ("sft-1", "sft-2", "dpo-1"):
        end(qtbot, lab, fakes, run)
    qtbot.waitUntil(lambda: not lab.recipes.walks(), timeout=WAIT)
    made = recipe_of(project, "dpo-1")
    assert list(made.stages) == ["sft", "dpo"]
    assert parse_recipe(read_toml(render_recipe(made))) == made
    again = expand(made)[1].config({"sft": "sft-1"})
    assert again == project.run("dpo-1").config
    window.show_pane("runs")
    pane = window.pane("runs")
    pane.select("dpo-1")
    qtbot.mouseClick(pane.recipe, LEFT)
    assert [d.text.toPlainText() for d in window.findChildren(RecipeDialog)][-1] == render_recipe(made)


def test_the_queue_in_the_strip_cancels_one_or_all_or_the_recipe(qtbot, window, lab, fakes, dialog, project) -> None:
    dialog.text.setPlainText(dialog.text.toPlainText() + "[sweep]\nseed = [0, 1]\n")
    qtbot.mouseClick(dialog.run, LEFT)
    queue = window.strip.queue
    qtbot.waitUntil(lambda: queue.text() == "3 queued, 2 to come" and not lab.being_copied(), timeout=WAIT)

    def choose(words: str) -> None:
        queue.menu().aboutToShow.emit()
        next(action for action in queue.menu().actions() if action.text() == words).trigger()

    choose("Cancel SFT 3")
    assert queue.text() == "2 queued, 1 to come"
    assert project.run_row("sft-3").message == "Cancelled before it started."
    choose("two ways: 0 of 6 done: show…")
    assert window.findChildren(RecipeDialog)[-1].told.text() == "0 of 6 runs are done."
    choose("Cancel all 2 that wait")
    assert lab.queued() == []
    assert queue.text() == "Recipe"
    choose("Stop “two ways”")
    qtbot.waitUntil(lambda: not lab.live() and not queue.isVisible(), timeout=WAIT)
    assert [row.outcome for row in project.store.runs()] == ["stopped"] * 4
