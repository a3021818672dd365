"""Scoring texts that a person types, as they use it, with an inference child that is told what to say."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.core.config import RewardConfig
from rlhf_lab.core.events import Progress, Started
from rlhf_lab.core.records import Message, Prompt
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.text_scores import details, figure, verdict
from rlhf_lab.gui.panes.reward import RewardPane
from rlhf_lab.runs.ask import Answer, Done, Failed, ModelSpec, Reply, Score
from rlhf_lab.runs.project import Project
from tests.fakes import leave_adapter
from tests.gui.stories import reward_story


class FakeInference:
    """Notes what it is asked; `say` replies."""

    def __init__(self, models_folder: Path, say: Callable[[Reply], object]):
        self.say = say
        self.asked: list[Score] = []
        self.unloaded = self.closed = 0

    def score(self, reward: ModelSpec, prompts: list[Prompt], texts: list[str]) -> int:
        self.asked.append(Score(id=len(self.asked) + 1, reward=reward, prompts=tuple(prompts), texts=tuple(texts)))
        return len(self.asked)

    def answer(self, request: int, **values: float) -> None:
        self.say(Answer(id=request, index=0, text=self.asked[request - 1].texts[0], values=values))
        self.say(Done(id=request))

    def unload(self) -> None:
        self.unloaded += 1

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def children() -> list[FakeInference]:
    return []


@pytest.fixture
def run(project: Project, model: str) -> str:
    folder = project.create_run(RewardConfig(dataset="pairs", model=model))
    told = [e.model_copy(update={"seq": n, "attempt": 1}) for n, e in enumerate(reward_story(), 1)]
    project.store.record_events(folder.run, [(event, event.seq) for event in told])
    leave_adapter(folder)
    return folder.run


@pytest.fixture
def pane(qtbot: QtBot, lab: Lab, run: str, children: list[FakeInference]) -> RewardPane:
    def make(folder: Path, say: Callable[[Reply], object]) -> FakeInference:
        children.append(FakeInference(folder, say))
        return children[0]

    made = RewardPane(lab, make)
    qtbot.addWidget(made, before_close_func=lambda widget: lab.let_go())
    made.resize(1120, 740)
    with qtbot.waitExposed(made):
        made.show()
    made.board.setCurrentWidget(made.scores)
    qtbot.waitUntil(lambda: made.history is not None)
    return made


def type_in(qtbot: QtBot, pane: RewardPane, prompt: str, *answers: str) -> None:
    for field, text in zip(
        (pane.scores.prompt, *(a.text for a in pane.scores.answers)), (prompt, *answers), strict=False
    ):
        field.setFocus()
        field.selectAll()
        qtbot.keyClicks(field, text)


def test_the_preferred_answer_and_how_sure_of_it(qtbot, lab, pane, run, children) -> None:
    scores = pane.scores
    assert not scores.go.isEnabled()
    type_in(qtbot, pane, "Tea?", "No.", "Yes, please.")
    qtbot.keyClick(scores.answers[1].text, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)

    child = children[0]
    assert [(a.prompts[0].text, a.texts[0]) for a in child.asked] == [("Tea?", "No."), ("Tea?", "Yes, please.")]
    assert child.asked[0].reward == lab.project.model_spec(run)
    assert not scores.go.isEnabled()
    child.answer(1, score=-0.5, tokens=3.0, raw_score=1.0)
    child.answer(2, score=0.7, tokens=5.0, raw_score=2.0)

    qtbot.waitUntil(scores.go.isEnabled)
    assert [field.score.text() for field in scores.answers] == ["−0.50", "0.70"]
    assert scores.answers[1].details.text() == "5 tokens · raw score 2.00"
    assert scores.said.text() == "B scores 1.20 higher than A. By its own odds people prefer B with 73%."
    assert scores.status.text() == ""


def test_a_score_goes_when_its_words_change_and_all_when_the_prompt_does(qtbot, pane, children) -> None:
    scores = pane.scores
    type_in(qtbot, pane, "Tea?", "No.", "Yes.")
    scores.score()
    for request in (1, 2):
        children[0].answer(request, score=float(request), tokens=2.0)
    qtbot.waitUntil(scores.go.isEnabled)

    qtbot.keyClicks(scores.answers[0].text, "!")
    assert [field.score.text() for field in scores.answers] == ["–", "2.00"]
    assert scores.said.text() == ""

    qtbot.keyClicks(scores.prompt, "?")
    assert [field.score.text() for field in scores.answers] == ["–", "–"]


def test_a_score_that_comes_for_words_that_are_gone_is_not_shown(qtbot, pane, children) -> None:
    scores = pane.scores
    type_in(qtbot, pane, "Tea?", "No.")
    scores.score()
    qtbot.keyClicks(scores.answers[0].text, " Never.")

    children[0].answer(1, score=3.0, tokens=2.0)

    qtbot.waitUntil(scores.go.isEnabled)
    assert scores.answers[0].score.text() == "–"


def test_a_failure_is_said_and_one_can_ask_again(qtbot, pane, children) -> None:
    scores = pane.scores
    type_in(qtbot, pane, "Tea?", "No.", "Yes.")
    scores.score()

    children[0].say(Failed(id=1, message="Not enough memory. Choose a smaller model."))

    qtbot.waitUntil(scores.go.isEnabled)
    assert scores.status.text() == "Not enough memory. Choose a smaller model."
    children[0].say(Done(id=2))
    scores.score()
    assert len(children[0].asked) == 4


def test_a_run_without_a_result_says_what_to_wait_for(qtbot, project, model, lab, pane, children) -> None:
    folder = project.create_run(RewardConfig(dataset="pairs", model=model))
    pane.show_run(folder.run)
    type_in(qtbot, pane, "Tea?", "No.")

    pane.scores.score()

    assert pane.scores.status.text() == "Reward 2 has left no reward model yet. Let it finish, or stop and save it."
    assert children[0].asked == []


def test_up_to_four_answers(qtbot, pane) -> None:
    scores = pane.scores
    for _ in range(2):
        qtbot.mouseClick(scores.add, Qt.MouseButton.LeftButton)
    assert len(scores.answers) == 4
    assert not scores.add.isEnabled()
    assert [field.remove.isHidden() for field in scores.answers] == [True, True, True, False]

    qtbot.mouseClick(scores.answers[3].remove, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(scores.answers[2].remove, Qt.MouseButton.LeftButton)
    assert len(scores.answers) == 2
    assert scores.add.isEnabled()


def test_the_words_of_a_worst_pair_come_with_all_turns_of_their_prompt(qtbot, project, pane, children) -> None:
    row = next(row for row in project.store.page("pairs") if row.record.prompt.text == "Is 10 a number?")
    turns = (Message(role="system", content="Be brief."), Message(role="user", content="Is 10 a number?"))
    changed = row.record.model_copy(update={"prompt": Prompt(messages=turns)})
    project.store.edit("pairs", row.id, changed)
    worst = pane.history.diagnoses[130].worst[0].model_copy(update={"prompt": changed.prompt.text})
    pane.board.setCurrentWidget(pane.diagnosis)
    pane.diagnosis.worst.show_pairs([worst])

    qtbot.mouseClick(pane.diagnosis.worst.attempt, Qt.MouseButton.LeftButton)

    qtbot.waitUntil(lambda: len(children[0].asked) == 2)
    assert pane.board.currentWidget() is pane.scores
    assert children[0].asked[0].prompts[0].messages == turns
    assert [a.texts[0] for a in children[0].asked] == [worst.chosen, worst.rejected]

    for request in (1, 2):
        children[0].answer(request, score=0.0, tokens=2.0)
    qtbot.waitUntil(pane.scores.go.isEnabled)
    qtbot.keyClicks(pane.scores.prompt, "!")
    pane.scores.score()
    assert children[0].asked[2].prompts[0].messages == (
        Message(role="user", content="!system: Be brief.\n\nuser: Is 10 a number?"),
    )


def test_another_run_means_another_reward_model(qtbot, project, model, pane, children) -> None:
    type_in(qtbot, pane, "Tea?", "No.")
    pane.scores.score()
    children[0].answer(1, score=1.0, tokens=2.0)
    qtbot.waitUntil(pane.scores.go.isEnabled)

    pane.show_run(project.create_run(RewardConfig(dataset="pairs", model=model)).run)

    assert pane.scores.answers[0].score.text() == "–"


def test_memory_is_given_back_when_a_run_starts(qtbot, lab, pane, children, fakes, begun_run) -> None:
    run = begun_run()
    fakes.runs[run].feed(Started(device="cpu"), Progress(done=1, total=2))

    qtbot.waitUntil(lambda: lab.state(run).outcome == "running")
    assert children[0].unloaded >= 1
    lab.stop(run)
    qtbot.waitUntil(lambda: not lab.live())


@pytest.mark.parametrize(
    ("scored", "words"),
    [
        ([], ""),
        ([{"score": 1.0}, None], ""),
        ([{"score": 1.0}, {"score": 1.0}], "B and A score alike."),
        ([{"score": 1.0}, None, {"score": 3.0}, {"score": 2.0}], "C scores 1.00 higher than D."),
        (
            [{"score": 1.0, "score_sd": 0.8}, {"score": 0.0, "score_sd": 0.7}],
            "A scores 1.00 higher than B. Its heads disagree by more than that: do not rely on the order.",
        ),
        ([{"score": 1.0, "score_sd": 0.1}, {"score": 0.0, "score_sd": 0.1}], "A scores 1.00 higher than B."),
    ],
)
def test_what_scores_say(scored, words) -> None:
    assert verdict(scored) == words


def test_an_ensemble_says_how_far_its_heads_disagree() -> None:
    values = {"score": 1.2, "score_sd": 0.31, "tokens": 1200.0}

    assert figure(values) == "1.20 ± 0.31"
    assert details(values) == "1,200 tokens"
