"""A sweep from the form to the queue, as a person does it; its runs are fakes."""

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QComboBox

from rlhf_lab.core.config import PpoConfig, SftConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.recipe import expand
from rlhf_lab.gui.models.sweep import estimate, parse_values, sweep_recipe, sweepable
from rlhf_lab.gui.widgets.sweep_dialog import SweepDialog
from tests.gui.runs_made import made_run

LEFT = Qt.MouseButton.LeftButton
WAIT = 30_000
"""Milliseconds: each run's data is copied first."""


@pytest.fixture
def pane(qtbot, window, model):
    window.show_pane("sft")
    shown = window.pane("sft")
    shown.fill_in({"dataset": "talks", "model": model, "max_steps": 10})
    qtbot.waitUntil(shown.launcher.start.isEnabled, timeout=WAIT)
    return shown


@pytest.fixture
def dialog(qtbot, window, pane) -> SweepDialog:
    qtbot.mouseClick(pane.launcher.sweep, LEFT)
    return window.findChild(SweepDialog)


def choose(box: QComboBox, words: str) -> None:
    box.setCurrentIndex(box.findText(words))


def retype(qtbot, line, text: str) -> None:
    line.selectAll()
    qtbot.keyClicks(line, text)


def test_values_and_seeds_become_runs_in_the_queue(qtbot, lab, fakes, pane, dialog, project) -> None:
    assert not dialog.start.isEnabled()
    assert "Choose a setting" in dialog.told.text()
    choose(dialog.fields[0], "LoRA rank")
    assert dialog.values[0].text() == "16"
    retype(qtbot, dialog.values[0], "4, 8")
    dialog.seeds.setValue(2)
    qtbot.waitUntil(lambda: dialog.start.text() == "Add 4 runs to the queue", timeout=WAIT)
    assert dialog.start.isEnabled()
    assert dialog.told.text().startswith("4 runs. How long one takes is not known yet")
    qtbot.mouseClick(dialog.start, LEFT)
    assert pane.run == "sft-1"
    qtbot.waitUntil(lambda: len(lab.queued()) == 3 and not lab.being_copied(), timeout=WAIT)
    rows = project.store.runs()
    assert [dict(row.place.varied) for row in rows] == [
        {"lora_r": 4, "seed": 0},
        {"lora_r": 4, "seed": 1},
        {"lora_r": 8, "seed": 0},
        {"lora_r": 8, "seed": 1},
    ]
    assert {(row.place.group, row.tags) for row in rows} == {(rows[0].place.group, ("SFT lora_r, 2 seeds",))}
    assert [project.run(row.run).config.lora_r for row in rows] == [4, 4, 8, 8]
    lab.stop("sft-3")
    assert lab.queued() == ["sft-2", "sft-4"]
    for run in ("sft-4", "sft-2", "sft-1"):
        lab.stop(run)
    qtbot.waitUntil(lambda: not lab.live() and not lab.recipes.walks(), timeout=WAIT)


def test_two_settings_side_by_side_or_every_combination(qtbot, dialog) -> None:
    choose(dialog.fields[0], "LoRA rank")
    choose(dialog.fields[1], "LoRA alpha")
    retype(qtbot, dialog.values[0], "4,8")
    retype(qtbot, dialog.values[1], "8,16")
    dialog.check()
    assert "4 runs" in dialog.told.text()
    qtbot.mouseClick(dialog.paired, LEFT, pos=QPoint(8, dialog.paired.height() // 2))
    dialog.check()
    assert "2 runs" in dialog.told.text()
    retype(qtbot, dialog.values[1], "8")
    dialog.check()
    assert "lora_r has 2, lora_alpha has 1" in dialog.problem.text()
    assert not dialog.start.isEnabled()


@pytest.mark.parametrize(
    ("typed", "words"),
    [("", "enter values with commas"), ("4, many", "“many” is no number"), ("4, 0", "greater than or equal to 1")],
)
def test_what_is_no_value_is_said(qtbot, dialog, typed: str, words: str) -> None:
    choose(dialog.fields[0], "LoRA rank")
    dialog.values[0].clear()
    retype(qtbot, dialog.values[0], typed)
    dialog.check()
    assert words in dialog.problem.text()
    assert not dialog.start.isEnabled()


def test_a_switch_and_a_choice_have_their_words() -> None:
    by_name = {question.name: question for question in sweepable("ppo")}
    assert "seed" not in by_name
    assert parse_values(by_name["adaptive_kl"], "yes, no") == (True, False)
    assert parse_values(by_name["missing_eos"], "none,replace") == ("none", "replace")
    assert parse_values(by_name["kl_coef"], "0.1, 1e-2") == (0.1, 0.01)
    for name, text in (("adaptive_kl", "maybe"), ("missing_eos", "nothing")):
        with pytest.raises(LabError):
            parse_values(by_name[name], text)
    for typed, said in (("nan", "KL penalty (β): “nan” is no number."), ("9" * 5000, "KL penalty (β): “99")):
        with pytest.raises(LabError) as caught:
            parse_values(by_name["kl_coef"], typed)
        assert str(caught.value).startswith(said)
        assert len(str(caught.value)) < 100
    assert parse_values(by_name["lora_r"], "1e300") == (1e300,), "which is refused in few digits"


def test_pairs_are_repeated_for_each_seed() -> None:
    config = PpoConfig(dataset="talks", seed=5)
    made = sweep_recipe(config, {"lora_r": (4, 8), "lora_alpha": (8, 16)}, 2, paired=True)
    assert [tuple(step.varied.values()) for step in expand(made)] == [(4, 8, 5), (4, 8, 6), (8, 16, 5), (8, 16, 6)]
    assert [step.varied["seed"] for step in expand(sweep_recipe(config, {}, 3, paired=False))] == [5, 6, 7]
    with pytest.raises(LabError, match="lora_r has 2, lora_alpha has 3"):
        sweep_recipe(config, {"lora_r": (4, 8), "lora_alpha": (8, 16, 32)}, 3, paired=True)


def test_how_long_is_reckoned_from_the_last_run_that_is_done(project) -> None:
    made = sweep_recipe(SftConfig(dataset="talks", max_steps=100), {}, 2, paired=False)
    assert estimate(project.store, made) is None
    made_run(project, "sft-1", {"train/loss": [1.0] * 10})
    found = estimate(project.store, made)
    assert found.after == "sft-1"
    assert found.seconds == pytest.approx(project.store.run_seconds("sft-1") / 10 * 200)


def test_one_sweep_is_asked_for_at_a_time_and_it_ends_with_the_window(qtbot, window, lab, pane, dialog) -> None:
    pane.fill_in({"max_steps": 20})
    qtbot.mouseClick(pane.launcher.sweep, LEFT)
    assert not dialog.isVisible(), "it was about the form as it stood then"
    [shown] = [found for found in window.findChildren(SweepDialog) if found.isVisible()]
    assert shown._config.max_steps == 20
    shown.seeds.setValue(2)
    lab.let_go()
    assert not shown.isVisible()
    assert not shown._timer.isActive()
