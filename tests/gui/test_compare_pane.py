"""The Compare pane as a person uses it, with an inference child that is told what to say, and once with the real one."""

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.core.events import Progress, Started
from rlhf_lab.core.records import Message, Prompt, PromptOnly
from rlhf_lab.gui.panes.compare import ComparePane
from rlhf_lab.runs.ask import Answer, Done, Failed, Token
from rlhf_lab.runs.inference import Inference
from rlhf_lab.runs.project import Project


@pytest.fixture
def pane(open_compare: Callable[[], ComparePane], project: Project) -> ComparePane:
    with project.store.new_dataset("questions", "lab", "prompt") as writer:
        tags = {"world": "knowledge", "raw": "Question: What is tea?\nAnswer:"}
        asked = Prompt(messages=(Message(role="user", content="What is tea?"),), tags=tags)
        writer.add([PromptOnly(prompt=asked)])
    return open_compare()


def ask(qtbot: QtBot, pane: ComparePane, text: str) -> None:
    pane.card.prompt.setFocus()
    pane.card.prompt.selectAll()
    qtbot.keyClicks(pane.card.prompt, text)
    qtbot.keyClick(pane.card.prompt, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)


def test_both_models_are_asked_alike_and_their_answers_come_as_they_are_written(qtbot, pane, inference) -> None:
    pane.card.temperature.setText("0.5")
    pane.card.seed.setText("7")
    pane.card.system.setText("Be brief.")
    ask(qtbot, pane, "Hello?")

    first, second = inference[0].asked
    assert first.prompts == second.prompts == (Prompt(messages=(Message(role="user", content="Hello?"),)),)
    assert (first.temperature, first.seed, first.system, first.mode) == (0.5, 7, "Be brief.", "chat")
    assert not pane.card.ask.isEnabled()

    inference[0].say(Token(id=1, index=0, text="<b>Hi"))
    qtbot.waitUntil(lambda: pane.views[0].answer.toPlainText() == "<b>Hi")
    inference[0].say(Answer(id=1, index=0, text="<b>Hi</b>", values={"tokens": 5.0, "ended": 0.0, "score": 0.4}))
    inference[0].say(Done(id=1))
    qtbot.waitUntil(lambda: pane.views[0].numbers.text() == "score 0.40 · 5 tokens, cut at the limit")
    assert pane.views[0].answer.toPlainText() == "<b>Hi</b>"

    inference[0].say(Failed(id=2, message="There is not enough memory."))
    qtbot.waitUntil(lambda: pane.views[1].status.text() == "There is not enough memory.")
    assert pane.card.ask.isEnabled()


def test_an_example_stands_ready_and_is_asked_in_the_form_of_the_mode(qtbot, pane, inference) -> None:
    assert pane.card.prompt.toPlainText() == "What is tea?"

    pane.card.raw.setFocus()
    qtbot.keyClick(pane.card.raw, Qt.Key.Key_Space)
    assert pane.card.prompt.toPlainText() == "Question: What is tea?\nAnswer:"

    qtbot.mouseClick(pane.card.ask, Qt.MouseButton.LeftButton)
    asked = inference[0].asked[0]
    assert (asked.mode, asked.stop, asked.judge, asked.system) == ("raw", "\n", True, None)
    qtbot.mouseClick(pane.card.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(pane.card.ask.isEnabled)
    assert inference[0].cancelled == [1, 2]


def test_a_model_and_a_mode_that_do_not_fit_are_named(qtbot, pane) -> None:
    assert "continues text" in pane.views[0].warning.text()  # a base, asked as an assistant
    assert pane.views[0].warning.isVisible()

    pane.card.raw.click()

    assert pane.views[0].warning.isHidden()


@pytest.mark.parametrize(("field", "text"), [("temperature", "hot"), ("seed", "-1"), ("length", "0")])
def test_a_wrong_setting_is_said_and_nothing_is_asked(qtbot, pane, inference, field, text) -> None:
    getattr(pane.card, field).setText(text)
    ask(qtbot, pane, "Hello?")

    assert pane.card.problem.isVisible()
    assert inference[0].asked == []


def test_models_make_room_when_a_run_starts_and_the_child_ends_with_the_window(
    qtbot, pane, inference, lab, fakes, begun_run
) -> None:
    run = begun_run()
    assert inference[0].unloaded == 1
    fakes.runs[run].feed(Started(device="cpu"), Progress(step=1, done=1, total=2))
    qtbot.waitUntil(lambda: lab.state(run).step == 1)
    lab.stop(run)
    qtbot.waitUntil(lambda: lab.state(run).outcome == "stopped")

    lab.let_go()

    assert inference[0].closed == 1


@pytest.mark.usefixtures("warm_children")
def test_the_real_base_model_answers_a_question_in_raw_form(qtbot, lab, project) -> None:
    pane = ComparePane(lab, Inference)
    qtbot.addWidget(pane, before_close_func=lambda widget: lab.let_go())
    with qtbot.waitExposed(pane):
        pane.show()
    pane.card.raw.click()
    pane.card.length.setText("8")
    pane.card.temperature.setText("0")
    ask(qtbot, pane, "Question: What is the capital of France? Answer:")

    qtbot.waitUntil(pane.card.ask.isEnabled, timeout=120_000)

    assert [view.status.text() for view in pane.shown] == ["", ""]
    assert pane.views[0].answer.toPlainText() == pane.views[1].answer.toPlainText() != ""
    assert "tokens" in pane.views[0].numbers.text()


def test_up_to_four_models_answer_beside_each_other(qtbot, pane, inference) -> None:
    assert [view.isVisible() for view in pane.views] == [True, True, False, False]

    pane.count.setFocus()
    qtbot.keyClick(pane.count, Qt.Key.Key_End)
    assert all(view.isVisible() for view in pane.views)
    assert pane.card.ask.text() == "Ask all 4"

    ask(qtbot, pane, "Hello?")
    assert len(inference[0].asked) == 4
    qtbot.keyClick(pane.count, Qt.Key.Key_Home)
    assert [view.isVisible() for view in pane.views] == [True, True, False, False]
