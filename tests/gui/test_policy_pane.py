"""The Policy pane's algorithms: one choice, a form and a board of its own for each stage."""

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.core.config import BestOfNConfig, DpoConfig, PpoConfig, RlooConfig, SftConfig
from rlhf_lab.core.control import Step
from rlhf_lab.core.events import Finished, Metrics, Paused, Progress, Started
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.algorithms import ALGORITHMS, GRPO, algorithm_of
from rlhf_lab.gui.models.contenders import contenders, opening
from rlhf_lab.gui.models.form import presets
from rlhf_lab.gui.models.offers import run_options
from rlhf_lab.gui.panes.policy import PolicyPane
from rlhf_lab.runs.project import Project
from tests.fakes import leave_adapter
from tests.gui.stories import ppo_story

NUMBERED = {"attempt": 1, "time": 1.0}


@pytest.fixture
def pane(qtbot: QtBot, lab: Lab) -> PolicyPane:
    made = PolicyPane(lab)
    qtbot.addWidget(made, before_close_func=lambda widget: lab.let_go())
    made.resize(1120, 740)
    with qtbot.waitExposed(made):
        made.show()
    return made


@pytest.fixture
def stored(project: Project, model: str) -> Callable[..., str]:
    """A run that was trained before this window was opened."""

    def store(config, story) -> str:
        folder = project.create_run(config.model_copy(update={"model": model}))
        events = [e.model_copy(update={"seq": n, **NUMBERED}) for n, e in enumerate(story, 1)]
        project.store.record_events(folder.run, [(event, event.seq) for event in events])
        return folder.run

    return store


def dpo_story(steps: int = 20) -> list:
    said = [Started(device="cpu", total_steps=steps)]
    for step in range(1, steps + 1):
        said.append(Metrics(step=step, values={"dpo/loss": 0.693 - 0.01 * step, "dpo/accuracy": 0.5 + 0.01 * step}))
        said.append(Progress(step=step, done=step, total=steps))
    return [*said, Finished(step=steps, outcome="done")]


def pick(qtbot: QtBot, pane: PolicyPane, title: str) -> None:
    box = pane.launchers.algorithm
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Home)
    for _ in range(box.findText(title)):
        qtbot.keyClick(box, Qt.Key.Key_Down)
    assert box.currentText() == title


@pytest.mark.parametrize(
    ("title", "stage"), [("RLOO", "rloo"), ("GRPO", "rloo"), ("DPO", "dpo"), ("Best of n", "best_of_n")]
)
def test_choosing_an_algorithm_shows_the_form_of_its_stage(qtbot, pane, title, stage) -> None:
    pick(qtbot, pane, title)

    assert pane.launchers.stage == stage
    assert pane.launcher.isVisible()
    assert pane.launchers.sentence.text() == next(a.sentence for a in ALGORITHMS if a.title == title)


def test_grpo_is_a_preset_of_rloo_and_is_called_so_when_its_settings_are_made_by_hand(qtbot, pane) -> None:
    pick(qtbot, pane, "GRPO")
    config = pane.launcher.form.config()[0]
    assert isinstance(config, RlooConfig)
    assert (config.advantage, config.normalise_advantage, config.kl_coef) == ("group_mean", True, 0.0)
    assert pane.launcher.preset.currentText() == "Bundled world, GRPO"

    pick(qtbot, pane, "RLOO")
    config = pane.launcher.form.config()[0]
    assert (config.advantage, config.kl_coef) == ("leave_one_out", presets("rloo")["Bundled world"]["kl_coef"])

    pane.launcher.fill({"advantage": "group_mean", "normalise_advantage": True})
    qtbot.waitUntil(lambda: pane.launchers.algorithm.currentText() == "GRPO")


def test_what_two_algorithms_have_in_common_is_taken_along(qtbot, pane, model) -> None:
    pane.launcher.fill({"model": model, "seed": "7", "dataset": "talks"})

    pick(qtbot, pane, "RLOO")
    assert {"model": model, "seed": "7", "dataset": "talks"}.items() <= pane.launcher.form.answers().items()

    pick(qtbot, pane, "DPO")
    answers = pane.launcher.form.answers()
    assert (answers["model"], answers["seed"]) == (model, "7")
    assert answers["dataset"] != "talks"  # DPO learns from pairs


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda a: a.title)
def test_every_algorithm_is_recognised_by_its_own_settings(algorithm) -> None:
    answers = next(iter(presets(algorithm.stage).values())) | dict(algorithm.settings)

    assert algorithm_of(algorithm.stage, answers) is algorithm


def test_the_presets_of_grpo_differ_from_those_of_rloo_in_nothing_else() -> None:
    found = presets("rloo")

    assert found["Bundled world, GRPO"] == found["Bundled world"] | dict(GRPO)
    assert found["GRPO"] == found["Defaults"] | dict(GRPO)


def test_the_data_pane_can_ask_for_a_stage(qtbot, window, lab) -> None:
    lab.pane_asked.emit("policy", {"stage": "dpo", "dataset": "pairs"})

    pane = window.pane("policy")
    assert pane.isVisible()
    assert pane.launchers.algorithm.currentText() == "DPO"
    assert pane.launcher.form.answers()["dataset"] == "pairs"


def test_pairs_on_the_data_pane_can_be_given_to_dpo(qtbot, window) -> None:
    window.show_pane("data")
    data = window.pane("data")
    data.select("pairs")
    button = next(b for b in data.view.uses if b.text() == "Train DPO on this")
    qtbot.waitUntil(button.isVisible)

    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    launchers = window.pane("policy").launchers
    assert (launchers.stage, launchers.launcher.form.answers()["dataset"]) == ("dpo", "pairs")


def test_a_policy_of_any_stage_can_be_compared_and_started_from(stored, project) -> None:
    tuned = stored(SftConfig(dataset="talks"), dpo_story())
    dpo = stored(DpoConfig(dataset="pairs", max_steps=20), dpo_story())
    for run in (tuned, dpo):
        leave_adapter(project.run(run))

    left, right = opening(contenders(project), 2)

    assert (left.run, right.run) == (tuned, dpo)
    assert [option.answer for option in run_options(project, "start_from")] == [None, dpo, tuned]


def test_runs_of_every_stage_are_offered_each_with_its_own_numbers(qtbot, stored, lab) -> None:
    ppo = stored(PpoConfig(dataset="talks", length_weight=1.0, updates=18), ppo_story())
    dpo = stored(DpoConfig(dataset="pairs", max_steps=20), dpo_story())
    pane = PolicyPane(lab)
    qtbot.addWidget(pane, before_close_func=lambda widget: lab.let_go())
    with qtbot.waitExposed(pane):
        pane.show()

    qtbot.waitUntil(lambda: pane.history is not None)
    assert pane.run == dpo
    assert [pane.header.picker.itemText(n) for n in range(2)] == ["DPO 1 · done", "PPO 1 · done"]
    assert pane.tiles.tiles[0].text == "Loss 0.49 from 0.68"
    assert "Pairs" in [pane.board.tabText(n) for n in range(pane.board.count())]

    pane.header.picker.setFocus()
    qtbot.keyClick(pane.header.picker, Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: pane.run == ppo and pane.history is not None)
    assert pane.tiles.tiles[2].text.startswith("Gold score 0.65")
    assert "Spread" in [pane.board.tabText(n) for n in range(pane.board.count())]


def test_one_update_at_a_time(qtbot, pane, lab, fakes, model) -> None:
    config = RlooConfig(dataset="talks", model=model, length_weight=1.0, batch_size=4, micro_batch_size=4)
    run = lab.start(config.model_copy(update={"advantage": "group_mean", "normalise_advantage": True}))
    qtbot.waitUntil(lambda: run in fakes.runs)
    fakes.runs[run].feed(Started(device="cpu", total_steps=9), Progress(step=1, done=1, total=9))
    qtbot.waitUntil(lambda: lab.state(run).outcome == "running" and pane.header.step.isVisible())
    assert pane.header.step.text().strip() == "One update"
    assert pane.header.standing.text().startswith("GRPO · update 1 of 9")
    fakes.runs[run].feed(Metrics(step=1, values={"objective/kl": 0.1}))
    qtbot.waitUntil(lambda: pane.header.health.fine.isVisible())
    assert pane.header.health.fine.text() == "✓ Nothing to check so far"

    qtbot.mouseClick(pane.header.step, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: any(isinstance(command, Step) for command in fakes.runs[run].sent))

    fakes.runs[run].feed(Paused(step=1, paused=True))
    qtbot.waitUntil(lambda: pane.header.pause.text().strip() == "Go on")
    assert pane.header.step.isEnabled()
    lab.stop(run)
    qtbot.waitUntil(lambda: not lab.live())
    assert pane.header.step.isHidden()


def test_nothing_of_best_of_n_can_be_changed_while_it_runs(qtbot, pane, lab, fakes, model) -> None:
    run = lab.start(BestOfNConfig(dataset="talks", model=model, length_weight=1.0))
    qtbot.waitUntil(lambda: run in fakes.runs)
    fakes.runs[run].feed(Started(device="cpu", total_steps=4))
    pane.show_run(run)
    qtbot.waitUntil(lambda: lab.state(run).outcome == "running" and pane.header.pause.isVisible())

    assert not any(field.isVisible() for field in pane.header.live.values())
    assert pane.header.step.text().strip() == "One batch"
    lab.stop(run)
    qtbot.waitUntil(lambda: not lab.live())
