"""Models behind the Rank pane: fresh answers as one ranks, scores for the queues, agreement, and on to training."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from rlhf_lab.core.config import RewardConfig, SftConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.judgement import Judgement
from rlhf_lab.core.records import Message, Prompt, PromptOnly
from rlhf_lab.gui.fresh import AHEAD
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.panes.rank import RankPane
from rlhf_lab.runs.ask import Answer, Done, Failed, Generate, ModelSpec, Reply
from rlhf_lab.runs.project import Project
from tests.fakes import leave_adapter


class FakeInference:
    """Writes answers when `write` is called; scores an answer by its length at once."""

    def __init__(self, say: Callable[[Reply], object] | None):
        self.say = say
        self.asked: list[Generate] = []
        self.texts: list[Sequence[str]] = []
        self.done = self.closed = self.unloaded = 0

    def generate(self, model: ModelSpec, prompts: Sequence[Prompt], **wishes: object) -> int:
        self.asked.append(Generate(id=len(self.asked) + 1, model=model, prompts=tuple(prompts), **wishes))
        return len(self.asked)

    def write(self, words: Callable[[int], str] = lambda n: f"Answer {n}") -> None:
        """Answer everything that was asked and not yet answered."""
        for request in self.asked[self.done :]:
            self.done += 1
            for index, prompt in enumerate(request.prompts):
                text = f"{words(request.id * 100 + index)} to {prompt.text}"
                self.say(Answer(id=request.id, index=index, text=text, values={}))
            self.say(Done(id=request.id))

    def score(self, reward: ModelSpec, prompts: Sequence[Prompt], texts: Sequence[str]) -> int:
        self.texts.append(texts)
        return len(self.texts)

    def wait_for(self, request: int, *, cancelled: Callable[[], bool]) -> list[Answer]:
        if self.texts[0][0] == "cannot be read":
            raise LabError("There is not enough memory.")
        return [
            Answer(id=request, index=n, text=text, values={"score": float(len(text))})
            for n, text in enumerate(self.texts[request - 1])
        ]

    def cancel(self, request: int) -> None: ...

    def unload(self) -> None:
        self.unloaded += 1

    def close(self) -> None:
        self.closed += 1

    def __enter__(self) -> "FakeInference":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture
def children() -> list[FakeInference]:
    return []


@pytest.fixture
def pane(qtbot: QtBot, lab: Lab, project: Project, children: list[FakeInference]) -> RankPane:
    with project.store.new_dataset("questions", "lab", "prompt") as writer:
        writer.add(PromptOnly(prompt=Prompt(messages=(Message(role="user", content=f"Q{n}?"),))) for n in range(30))

    def make(folder: Path, say: Callable[[Reply], object] | None) -> FakeInference:
        children.append(FakeInference(say))
        return children[-1]

    made = RankPane(lab, make)
    qtbot.addWidget(made, before_close_func=lambda widget: lab.let_go())
    made.resize(1120, 740)
    with qtbot.waitExposed(made):
        made.show()
    qtbot.keyClicks(made.start.name, "Ada")
    qtbot.keyClick(made.start.name, Qt.Key.Key_Return)
    qtbot.waitUntil(made.bench.isVisible)
    return made


def finished(project: Project, config: SftConfig | RewardConfig) -> str:
    """A run that left something, as far as anybody looks before a model is loaded."""
    folder = project.create_run(config)
    leave_adapter(folder)
    project.store.set_run_state(folder.run, "done")
    return folder.run


def choose_queue(pane: RankPane, name: str) -> None:
    pane.head.queue.setCurrentIndex(pane.head.queue.findData(name))
    pane.head.queue.activated.emit(pane.head.queue.currentIndex())


def press(qtbot: QtBot, *keys: str) -> None:
    for key in keys:
        qtbot.keyClick(QApplication.focusWidget(), key)


# Fresh answers


def test_models_write_ahead_of_whoever_ranks(qtbot, pane, project, children) -> None:
    choose_queue(pane, "fresh")
    qtbot.mouseClick(pane.fresh.go, Qt.MouseButton.LeftButton)
    assert pane.empty.title.text() == "The models are writing"
    child = children[0]
    assert [len(request.prompts) for request in child.asked] == [2]  # one prompt first, so that it is soon there

    child.write()
    qtbot.waitUntil(pane.bench.isVisible)
    assert len(child.asked) == 2  # and more at once
    child.write()
    qtbot.waitUntil(lambda: pane.desk.waiting == 4)
    child.write()
    qtbot.waitUntil(lambda: pane.desk.waiting >= AHEAD)
    asked = len(child.asked)
    for _ in range(4):
        press(qtbot, "1")
        assert pane.bench.isVisible()  # nobody waits
    assert len(child.asked) > asked

    name = "fresh answers of Base model"
    assert pane.head.dataset.currentText() == name
    assert project.store.verdict_count(name, "Ada") == 4
    (record,) = [row.record for row in project.store.page(name, limit=1)]
    assert {answer.source for answer in record.completions} == {"Base model"}
    assert "A: Base model" in pane.bench.foot.last.text()


def test_equal_answers_are_not_worth_a_verdict(qtbot, pane, children) -> None:
    choose_queue(pane, "fresh")
    pane.fresh.answers.setValue(3)
    pane.fresh.go.click()
    children[0].write(lambda n: "Always the same")
    qtbot.waitUntil(lambda: len(children[0].asked) == 2)
    assert pane.empty.title.text() == "The models are writing"
    children[0].write()
    qtbot.waitUntil(pane.bench.several.isVisible)


def test_several_models_write_in_turn(qtbot, pane, project, children, model) -> None:
    run = finished(project, SftConfig(dataset="talks", model=model))
    choose_queue(pane, "fresh")
    items = [pane.fresh.models.item(row) for row in range(pane.fresh.models.count())]
    for item in items:
        item.setCheckState(Qt.CheckState.Checked)
    assert "need at least 3 answers" in pane.fresh.problem.text()
    assert not pane.fresh.go.isEnabled()
    pane.fresh.answers.setValue(4)
    pane.fresh.go.click()

    child = children[0]
    assert [(len(r.prompts), r.mode) for r in child.asked] == [(2, "raw"), (1, "raw"), (1, "chat")]
    assert child.asked[-1].model == project.model_spec(run)
    child.write()
    qtbot.waitUntil(pane.bench.several.isVisible)
    assert len(pane.desk.current.answers) == 4


def test_a_model_that_cannot_be_asked_is_told_and_there_is_a_way_on(qtbot, pane, children) -> None:
    choose_queue(pane, "fresh")
    pane.fresh.go.click()
    children[0].say(Failed(id=1, message="There is not enough memory."))
    qtbot.waitUntil(lambda: pane.empty.title.text() == "No more answers")
    assert pane.empty.advice.text() == "There is not enough memory."
    assert children[0].closed == 1
    qtbot.mouseClick(pane.empty.buttons["fresh"], Qt.MouseButton.LeftButton)
    assert pane.fresh.isVisible()


def test_the_writers_end_when_one_ranks_something_else_and_with_the_window(qtbot, pane, children, lab) -> None:
    choose_queue(pane, "fresh")
    pane.fresh.go.click()
    choose_queue(pane, "unranked")
    assert children[0].closed == 1
    qtbot.waitUntil(pane.bench.isVisible)
    choose_queue(pane, "fresh")
    pane.fresh.go.click()
    lab.let_go()
    assert children[1].closed == 1


def test_the_models_make_room_when_a_run_starts(qtbot, pane, children, lab, begun_run) -> None:
    choose_queue(pane, "fresh")
    pane.fresh.go.click()
    for waiting in (0, 4, 8):
        children[0].write()
        qtbot.waitUntil(lambda least=waiting: pane.desk.waiting >= least)

    run = begun_run()

    assert children[0].unloaded == 1
    lab.stop(run)
    qtbot.waitUntil(lambda: not lab.live())
    for _ in range(4):
        press(qtbot, "1")
    assert len(children[0].asked) == 4  # and go on writing


# Scores


def test_a_data_set_is_scored_once_and_the_queue_opens(qtbot, pane, project, children, model) -> None:
    run = finished(project, RewardConfig(dataset="pairs", model=model))
    pane.refresh()
    choose_queue(pane, "least_sure")
    qtbot.waitUntil(lambda: "has not read this data set" in pane.empty.title.text())
    assert pane.head.model.isVisible()

    qtbot.mouseClick(pane.empty.buttons["score"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(pane.bench.isVisible)

    assert project.store.score_count("pairs", run) == 40
    assert children[-1].closed == 1
    gaps = {key: abs(scores[0] - scores[1]) for key, scores in project.store.scores("pairs", run)}
    assert gaps[pane.desk.current.id] == min(gaps.values())
    press(qtbot, "2")
    verdicts = list(project.store.verdicts("pairs"))
    assert verdicts[0][1].queue == "least_sure"
    choose_queue(pane, "unranked")
    assert not pane.head.model.isVisible()


def test_records_that_came_later_can_be_scored_too(qtbot, pane, project, model) -> None:
    run = finished(project, RewardConfig(dataset="pairs", model=model))
    project.store.put_scores("pairs", run, [(row.id, (1.0, 0.5)) for row in project.store.page("pairs", limit=30)])
    pane.refresh()
    choose_queue(pane, "least_sure")
    qtbot.waitUntil(pane.bench.isVisible)
    assert pane.head.score.text() == "Score 10 more"

    qtbot.mouseClick(pane.head.score, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: project.store.score_count("pairs", run) == 40)
    qtbot.waitUntil(lambda: not pane.head.score.isVisible())


def test_a_reward_model_that_cannot_be_asked_is_told(qtbot, pane, project, model, monkeypatch) -> None:
    finished(project, RewardConfig(dataset="pairs", model=model))

    def broken(*_: object, **__: object) -> list[Answer]:
        raise LabError("There is not enough memory.")

    monkeypatch.setattr(FakeInference, "wait_for", broken)
    pane.refresh()
    choose_queue(pane, "disagrees")
    qtbot.waitUntil(lambda: "score" in pane.empty.buttons)
    pane.empty.buttons["score"].click()
    qtbot.waitUntil(lambda: pane.empty.title.text() == "The scores could not be had")
    assert pane.empty.advice.text() == "There is not enough memory."


# Agreement


def judge_all(project: Project, who: str, *, wrong_every: int = 0) -> None:
    for n, row in enumerate(project.store.page("pairs")):
        wrong = wrong_every and n % wrong_every == 0
        said = Judgement(
            who=who,
            when=1e9 + n,
            seconds=5 + n % 3,
            shown_order=(n % 2, 1 - n % 2),
            verdict="ranked",
            ranks=(2, 1) if wrong or n % 4 == 1 else (1, 2),
        )
        project.store.judge("pairs", row.id, said)


def test_agreement_is_said_in_words_with_figures_for_each_person(qtbot, pane, project) -> None:
    judge_all(project, "Ada")
    judge_all(project, "Ben", wrong_every=5)
    qtbot.mouseClick(pane.head.agreement, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "train" in pane.quality.title.text(), timeout=20_000)

    assert "80 verdicts of 2 people on 40 records; 40 of these" in pane.quality.about.text()
    assert "alpha" in pane.quality.verdict.text()
    said = {name: card.plot.accessibleDescription() for name, card in pane.quality.cards.items()}
    assert said["with_others"] == "Ada: 85%; Ben: 85%"
    assert said["alpha"].startswith("Everybody: 0.")
    assert "Ada, Ben: 0." in said["alpha"]
    assert said["with_self"] == "Ada: not known; Ben: not known"
    assert "40 · 6.0 s" in said["pace"]

    qtbot.mouseClick(pane.head.rank, Qt.MouseButton.LeftButton)
    assert pane.bench.isVisible()


def test_undo_on_the_agreement_page_leads_back_to_the_answers(qtbot, pane, project) -> None:
    judge_all(project, "Ada")
    qtbot.mouseClick(pane.head.agreement, Qt.MouseButton.LeftButton)
    assert pane.quality.isVisible()

    qtbot.keyClick(pane, "z", Qt.KeyboardModifier.ControlModifier)

    assert pane.bench.isVisible()
    assert pane.head.rank.isChecked()


def test_the_verdicts_become_data_for_a_reward_model(qtbot, pane, project, lab) -> None:
    judge_all(project, "Ada")
    skipped = pane.desk.current.record.prompt.text
    press(qtbot, "s")
    pane.head.agreement.click()
    qtbot.waitUntil(pane.quality.train.isEnabled, timeout=20_000)

    with qtbot.waitSignal(lab.pane_asked) as heard:
        qtbot.mouseClick(pane.quality.train, Qt.MouseButton.LeftButton)

    assert heard.args == ["reward", {"dataset": "pairs ranked"}]
    assert [row.kind for row in project.store.datasets() if row.name == "pairs ranked"] == ["pair"]
    chosen = {record.prompt.text: record.chosen.text for record in project.store.records("pairs ranked")}
    assert len(chosen) == 39
    assert skipped not in chosen
    for n in range(40):
        assert chosen.get(f"Is {n} a number?") in (None, f"No, {n} is none." if n % 4 == 1 else f"Yes, {n} is one.")


def test_without_verdicts_there_is_nothing_to_train_on(qtbot, pane) -> None:
    pane.head.agreement.click()
    qtbot.waitUntil(lambda: pane.quality.title.text() == "No verdicts yet", timeout=20_000)
    assert not pane.quality.train.isEnabled()
    assert "rank some first" in pane.quality.train.toolTip()


def test_labels_that_came_with_the_data_are_weighed_and_trained_on_as_they_are(qtbot, pane, project, lab) -> None:
    with project.store.new_dataset("labelled", "lab", "pair") as writer:
        for who in ("Ben", "Cleo"):
            writer.add(
                record.model_copy(update={"tags": {"annotator": who}}) for record in project.store.records("pairs")
            )
    pane.fill_in({"dataset": "labelled"})
    pane.head.agreement.click()
    qtbot.waitUntil(lambda: "labels that came with the data set" in pane.quality.about.text(), timeout=20_000)
    assert not pane.quality.how.isVisible()

    with qtbot.waitSignal(lab.pane_asked) as heard:
        qtbot.mouseClick(pane.quality.train, Qt.MouseButton.LeftButton)

    assert heard.args == ["reward", {"dataset": "labelled"}]
