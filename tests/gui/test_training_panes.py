"""The training panes as a person uses them: fill in, start, watch, change, pause, stop, look back."""

import re
from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from rlhf_lab.core.config import PpoConfig, RewardConfig, SftConfig
from rlhf_lab.core.config_toml import parse_toml
from rlhf_lab.core.control import GoOn, Pause, Set
from rlhf_lab.core.events import Finished, Metrics, Progress, Resumed, Started, Warned
from rlhf_lab.core.metrics import METRICS
from rlhf_lab.core.records import Completion, Message, Prompt, Ranking
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.form import questions
from rlhf_lab.gui.panes.policy import PolicyPane
from rlhf_lab.gui.panes.reward import RewardPane
from rlhf_lab.gui.panes.sft import SftPane
from rlhf_lab.gui.panes.training import TrainingPane
from rlhf_lab.gui.widgets.command_dialog import CommandDialog
from rlhf_lab.runs.project import Project
from tests.fakes import leave_adapter
from tests.gui.stories import PROMPTS, ppo_story, reward_story, sft_story

NUMBERED = {"attempt": 1, "time": 1.0}


@pytest.fixture
def open_pane(qtbot: QtBot, lab: Lab) -> Callable[[type[TrainingPane]], TrainingPane]:
    kept = []  # qtbot holds its widgets weakly

    def show(kind: type[TrainingPane]) -> TrainingPane:
        pane = kind(lab)
        kept.append(pane)
        qtbot.addWidget(pane, before_close_func=lambda widget: lab.let_go())
        pane.resize(1120, 740)
        with qtbot.waitExposed(pane):
            pane.show()
        return pane

    return show


@pytest.fixture
def stored(project: Project, model: str) -> Callable[..., str]:
    """A run that was trained before this window was opened."""

    def store(config, story) -> str:
        folder = project.create_run(config.model_copy(update={"model": model}))
        events = [e.model_copy(update={"seq": n, **NUMBERED}) for n, e in enumerate(story, 1)]
        project.store.record_events(folder.run, [(event, event.seq) for event in events])
        leave_adapter(folder)
        return folder.run

    return store


def type_in(qtbot: QtBot, pane: TrainingPane, **fields: str) -> None:
    for name, text in fields.items():
        editor = pane.launcher.form.editor(name)
        editor.setFocus()
        editor.selectAll()
        qtbot.keyClicks(editor, text)


def choose(pane: TrainingPane, model: str, dataset: str) -> None:
    pane.launcher.form.editor("dataset").set_answer(dataset)
    pane.launcher.form.editor("model").set_answer(model)
    pane.launcher.check()


def tiles(pane: TrainingPane) -> list[str]:
    return [tile.text for tile in pane.tiles.tiles]


def test_start_waits_for_a_data_set_and_says_so(qtbot, open_pane, model) -> None:
    pane = open_pane(SftPane)
    choose(pane, model, "")

    assert not pane.launcher.start.isEnabled()
    assert pane.launcher.reason.text().startswith("Cannot start yet. No data set is chosen.")
    assert pane.launcher.form.problem("dataset").startswith("No data set is chosen.")


def test_a_wrong_number_is_explained_below_its_field_and_mended_there(qtbot, open_pane, model) -> None:
    pane = open_pane(SftPane)
    choose(pane, model, "talks")
    assert pane.launcher.start.isEnabled()

    type_in(qtbot, pane, learning_rate="fast")
    qtbot.waitUntil(lambda: not pane.launcher.start.isEnabled())
    assert pane.launcher.form.problem("learning_rate") == "Enter a number above 0 and at most 1."
    assert "Learning rate" in pane.launcher.reason.text()

    type_in(qtbot, pane, learning_rate="2e-4")
    qtbot.waitUntil(pane.launcher.start.isEnabled)
    assert pane.launcher.form.problem("learning_rate") == ""
    assert pane.launcher.reason.isHidden()


def test_a_wrong_advanced_setting_is_not_hidden(qtbot, open_pane, model) -> None:
    pane = open_pane(SftPane)
    choose(pane, model, "talks")

    pane.launcher.form.editor("lora_r").setText("0")

    opened = pane.launcher.form.sections["Optimiser and adapter"].button
    qtbot.waitUntil(opened.isChecked)
    assert pane.launcher.form.editor("lora_r").isVisible()
    assert not pane.launcher.form.editor("device").isVisible()


def test_sections_say_how_much_in_them_was_set_and_are_reached_in_order(qtbot, open_pane) -> None:
    form = open_pane(SftPane).launcher.form
    form.fill({q.name: q.default for q in questions("sft")})
    titles = [section.button.text() for section in form.sections.values()]
    assert titles == ["Sampling", "Optimiser and adapter", "Looks and saves", "Machine"]

    form.editor("lora_r").setText("4")
    form.editor("warmup_steps").setText("soon")
    assert form.sections["Optimiser and adapter"].button.text() == "Optimiser and adapter · 2 set"

    form.editor("max_steps").setFocus()
    passed = []
    for _ in range(8):
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        passed.append(QApplication.focusWidget())
    headings = [section.button for section in form.sections.values()]
    assert [widget for widget in passed if widget in headings] == headings


def gigabytes(pane: TrainingPane) -> float:
    """What the form says that the run needs."""
    found = re.match(r"About ([\d.]+) ([MG])B of memory; [\d.]+ [MG]B are free\.", pane.launcher.memory.text())
    assert found is not None
    return float(found[1]) * (1 if found[2] == "G" else 1 / 1024)


def test_the_memory_that_a_run_needs_is_said_before_it_starts(qtbot, open_pane) -> None:
    pane = open_pane(SftPane)
    choose(pane, "bundled", "talks")
    few = gigabytes(pane)
    assert 0.3 < few < 1
    assert pane.launcher.memory.isVisible()

    type_in(qtbot, pane, batch_size="4096", micro_batch_size="4096", max_new_tokens="200")
    qtbot.waitUntil(lambda: gigabytes(pane) > few + 0.5)  # the texts are short, and a micro-batch keeps 1 GB at most

    choose(pane, "somebody/unknown", "talks")
    assert pane.launcher.memory.isHidden()


def test_few_examples_seen_very_often_are_warned_of_before_the_start(qtbot, open_pane) -> None:
    pane = open_pane(SftPane)
    choose(pane, "bundled", "talks")
    type_in(qtbot, pane, max_steps="1000", batch_size="8")
    qtbot.waitUntil(pane.launcher.by_heart.isVisible)
    assert "the model will learn them by heart" in pane.launcher.by_heart.text()
    assert pane.launcher.start.isEnabled()
    type_in(qtbot, pane, max_steps="2", batch_size="8")
    qtbot.waitUntil(pane.launcher.by_heart.isHidden)


def test_what_is_typed_is_what_the_run_gets_and_its_curves_appear(qtbot, open_pane, lab, fakes, model) -> None:
    pane = open_pane(SftPane)
    choose(pane, model, "talks")
    type_in(qtbot, pane, max_steps="40", learning_rate="1e-3")
    qtbot.waitUntil(pane.launcher.start.isEnabled)

    qtbot.mouseClick(pane.launcher.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "sft-1" in fakes.runs)
    config = lab.project.run("sft-1").config
    assert (config.max_steps, config.learning_rate, config.dataset) == (40, 1e-3, "talks")
    assert pane.launcher.start.text() == "Add to queue"

    fakes.runs["sft-1"].feed(*sft_story(40))
    qtbot.waitUntil(lambda: lab.state("sft-1").outcome == "done")
    qtbot.waitUntil(lambda: pane.history is not None and "eval/loss" in pane.history.curves)
    assert len(pane.history.curves["train/loss"]) == 40
    assert tiles(pane)[0].startswith("Held-out loss 1.")
    assert pane.header.picker.currentText() == "SFT 1 · done"
    qtbot.waitUntil(pane.header.pause.isHidden)


def test_events_that_come_while_the_past_is_read_are_not_lost(qtbot, open_pane, lab, fakes, begun_run) -> None:
    run = begun_run()
    fakes.runs[run].feed(*sft_story(60)[:40])
    pane = open_pane(SftPane)
    fakes.runs[run].feed(*sft_story(60)[40:])

    qtbot.waitUntil(lambda: lab.state(run).outcome == "done" and pane.history is not None)
    qtbot.waitUntil(lambda: len(pane.history.curves.get("train/loss", ())) == 60)
    assert pane.history.curves["train/loss"].steps.tolist() == list(range(1, 61))


def test_a_stored_run_is_shown_in_full(qtbot, open_pane, stored) -> None:
    run = stored(PpoConfig(dataset="talks", reward_model=stored_reward(stored), updates=18), ppo_story())
    pane = open_pane(PolicyPane)

    qtbot.waitUntil(lambda: pane.history is not None)
    assert pane.run == run
    assert tiles(pane)[0] == "Held-out score 1.34 +1.39 SD"
    assert tiles(pane)[2] == "Gold score 0.65 from 0.10"
    assert pane.history.sample_steps("heldout") == [0, 6, 12, 18]


def test_the_first_answers_stand_in_until_the_first_look_is_done(qtbot, open_pane, stored) -> None:
    first = Metrics(step=0, values={"first/answers": 16.0, "first/score": 0.25, "first/gold": 0.5})
    look = Metrics(step=0, values={"eval/score": 0.125, "eval/score_sd": 1.0, "eval/gold": 0.75})
    begun = [Started(device="cpu", total_steps=18), first]
    stored(PpoConfig(dataset="talks", reward_model=stored_reward(stored), updates=18), begun)
    pane = open_pane(PolicyPane)

    qtbot.waitUntil(lambda: pane.history is not None)
    assert [tiles(pane)[0], tiles(pane)[2]] == ["First score 0.25 of 16 answers", "First gold score 0.50 of 16 answers"]
    pane.history.feed([look])
    pane.tiles.show_history(pane.history)
    assert [tiles(pane)[0], tiles(pane)[2]] == ["Held-out score 0.12", "Gold score 0.75"]


def stored_reward(stored) -> str:
    return stored(RewardConfig(dataset="pairs"), reward_story())


def test_the_newest_reward_model_and_what_it_stands_on_are_suggested(qtbot, open_pane, stored) -> None:
    sft = stored(SftConfig(dataset="talks"), sft_story())
    reward = stored(RewardConfig(dataset="pairs", start_from=sft), reward_story())
    pane = open_pane(PolicyPane)

    answers = pane.launcher.form.answers()
    assert (answers["start_from"], answers["reward_model"]) == (sft, reward)


def test_ppo_without_a_reward_model_says_what_to_do(qtbot, open_pane, model) -> None:
    pane = open_pane(PolicyPane)
    choose(pane, model, "talks")

    assert "Train a reward model on the Reward pane" in pane.launcher.form.problem("reward_model")
    assert not pane.launcher.start.isEnabled()


def test_samples_of_the_same_prompts_are_followed_over_time(qtbot, open_pane, stored) -> None:
    stored(PpoConfig(dataset="talks", reward_model=stored_reward(stored), updates=18), ppo_story())
    pane = open_pane(PolicyPane)
    viewer = pane.samples
    pane.board.setCurrentWidget(viewer)
    qtbot.waitUntil(lambda: viewer.step() == 18)

    assert viewer.prompt.toPlainText() == PROMPTS[0]
    assert viewer.before.toPlainText().startswith("What a silly question.")
    assert viewer.after.toPlainText() == "The capital of France is Paris."

    qtbot.keyClick(viewer.slider, Qt.Key.Key_Home)
    assert viewer.step() == 0
    assert not viewer.before.isVisible()
    assert viewer.after.toPlainText().startswith("What a silly question.")

    qtbot.keyClick(viewer.slider, Qt.Key.Key_End)
    viewer.order.setCurrentIndex(viewer.order.findData("best"))
    assert viewer.prompt.toPlainText() == PROMPTS[5]
    viewer.order.setCurrentIndex(viewer.order.findData("lost"))
    assert viewer.prompt.toPlainText() == PROMPTS[0]


def test_pause_go_on_change_and_stop_reach_the_run(qtbot, open_pane, lab, fakes, begun_run) -> None:
    run = begun_run()
    pane = open_pane(SftPane)
    fakes.runs[run].feed(Started(device="cpu", total_steps=9), Progress(step=1, done=1, total=9))
    qtbot.waitUntil(lambda: lab.state(run).outcome == "running" and pane.header.pause.isVisible())

    qtbot.mouseClick(pane.header.pause, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: any(isinstance(c, Pause) for c in fakes.runs[run].sent))

    rate = pane.header.live["learning_rate"]
    assert not rate.button.isEnabled()
    qtbot.keyClicks(rate.edit, "5e-4")
    qtbot.keyClick(rate.edit, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: any(isinstance(c, Set) for c in fakes.runs[run].sent))
    change = next(c for c in fakes.runs[run].sent if isinstance(c, Set))
    assert (change.field, change.value) == ("learning_rate", 5e-4)
    assert rate.edit.placeholderText() == "→ 5.0e-4"
    fakes.runs[run].feed(Metrics(step=2, values={"optim/learning_rate": 4e-4}))
    qtbot.waitUntil(lambda: rate.edit.placeholderText() == "4.0e-4")

    qtbot.mouseClick(pane.header.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: lab.state(run).outcome == "stopped")
    qtbot.waitUntil(pane.header.resume.isVisible)
    assert not any(isinstance(c, GoOn) for c in fakes.runs[run].sent)


def test_a_resumed_run_goes_on_from_its_last_save(qtbot, open_pane, lab, fakes, stored) -> None:
    story = [*sft_story(30)[:-1], Finished(step=30, outcome="failed", message="The loss was NaN at step 30.")]
    run = stored(SftConfig(dataset="talks", max_steps=60), story)
    pane = open_pane(SftPane)
    qtbot.waitUntil(lambda: pane.history is not None)
    assert pane.header.message.text() == "The loss was NaN at step 30."
    assert pane.header.message.isVisible()

    qtbot.mouseClick(pane.header.resume, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: run in fakes.runs)
    fakes.runs[run].attempt = 2
    fakes.runs[run].feed(Resumed(step=20, device="cpu", total_steps=60), Metrics(step=21, values={"train/loss": 9.0}))

    qtbot.waitUntil(lambda: pane.history.newest("train/loss") == 9.0)
    assert pane.history.curves["train/loss"].steps[-2:].tolist() == [20, 21]
    fakes.runs[run].feed(Finished(outcome="done"))
    qtbot.waitUntil(lambda: lab.state(run).outcome == "done")


def test_what_a_run_warns_of_is_shown_as_plain_text(qtbot, open_pane, lab, fakes, begun_run) -> None:
    run = begun_run()
    pane = open_pane(SftPane)
    fakes.runs[run].feed(Started(device="cpu"), Warned(code="x", text="<b>5 prompts</b> were cut"))

    qtbot.waitUntil(pane.header.warning.isVisible)
    assert pane.header.warning.text() == "<b>5 prompts</b> were cut"
    assert pane.header.warning.textFormat() == Qt.TextFormat.PlainText


def test_presets_fill_the_form_and_own_settings_are_called_so(qtbot, open_pane) -> None:
    launcher = open_pane(RewardPane).launcher
    assert launcher.preset.currentText() == "Bundled world (guided)"

    launcher.form.editor("batch_size").setText("7")
    qtbot.waitUntil(lambda: launcher.preset.currentText() == "Your own settings")

    launcher.preset.setFocus()
    qtbot.keyClick(launcher.preset, Qt.Key.Key_Home)
    qtbot.waitUntil(lambda: launcher.form.answers()["batch_size"] == "8")


def test_the_command_shown_reads_back_to_the_same_config(qtbot, open_pane, lab, model) -> None:
    pane = open_pane(SftPane)
    choose(pane, model, "talks")

    qtbot.mouseClick(pane.launcher.command, Qt.MouseButton.LeftButton)
    dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, CommandDialog))

    assert parse_toml(dialog.toml.toPlainText()) == pane.launcher.form.config()[0]
    assert dialog.line.toPlainText() == f"rlhf-lab run sft.toml --project {lab.project.folder}"
    with qtbot.waitSignal(dialog.destroyed):
        dialog.reject()


def test_settings_can_be_filled_in_from_elsewhere(open_pane) -> None:
    pane = open_pane(SftPane)

    pane.fill_in({"dataset": "pairs"})

    assert pane.launcher.form.answers()["dataset"] == "pairs"


def test_a_data_set_that_is_not_there_yet_stays_chosen(open_pane) -> None:
    pane = open_pane(SftPane)

    assert pane.launcher.form.answers()["dataset"] == "lab world demonstrations"
    assert "there is no data set" in pane.launcher.form.problem("dataset").lower()


@pytest.mark.parametrize("kind", [SftPane, RewardPane, PolicyPane])
def test_every_plotted_number_is_explained_by_the_catalogue(open_pane, kind) -> None:
    pane = open_pane(kind)
    for index in range(pane.board.count()):
        pane.board.setCurrentIndex(index)

    plotted = {name for card in pane.board.curve_cards() for name in card.plot.spec.metrics}
    headlines = {name for view in pane.views for spec in view.tiles for name in spec.metrics}
    assert (plotted | headlines) - set(METRICS) == set()


def test_the_reward_form_says_how_many_pairs_a_ranking_gives(
    qtbot: QtBot, lab: Lab, model: str, open_pane: Callable[[type[TrainingPane]], TrainingPane]
) -> None:
    asked = Prompt(messages=(Message(role="user", content="Tea?"),))
    answers = tuple(Completion(text=text) for text in ("No.", "Yes.", "Yes!"))
    with lab.project.store.new_dataset("ranked", "lab", "ranking") as writer:
        writer.add([Ranking(prompt=asked, completions=answers, ranks=(3, 1, 1))])
    pane = open_pane(RewardPane)
    choose(pane, model, "ranked")
    line = pane.launcher.pairs
    qtbot.waitUntil(
        lambda: line.text() == "3 pairs from 1 record, 1 of them ties (each counts half for either answer)."
    )
    pane.launcher.form.editor("ties").set_answer("drop")
    pane.launcher.check()
    qtbot.waitUntil(lambda: line.text() == "2 pairs from 1 record; left out: 1 ties.")
    choose(pane, model, "pairs")
    assert line.isHidden()
