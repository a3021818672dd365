"""Voting without names, and the standings that come of it, as a person uses them."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.core.config import DpoConfig, SftConfig
from rlhf_lab.core.events import Finished, Started
from rlhf_lab.core.judgement import Judgement
from rlhf_lab.core.records import Candidates, Completion, Message, Prompt, PromptOnly
from rlhf_lab.data.standings import Duel, Standings, Strength
from rlhf_lab.gui.models import standing_words
from rlhf_lab.gui.models.blind import QUEUE, VOTES, draw, standings_of
from rlhf_lab.gui.models.contenders import Contender
from rlhf_lab.gui.panes.compare import ComparePane
from rlhf_lab.runs.ask import Answer, Done, Failed, Token
from rlhf_lab.runs.project import Project
from tests.fakes import leave_adapter
from tests.gui.asked import FakeInference

SFT, DPO, BASE = Contender("", "sft-1", "sft"), Contender("", "dpo-1", "dpo"), Contender("bundled")


@pytest.fixture
def runs(project: Project, model: str) -> None:
    """Two runs that left an adapter."""
    for config in (SftConfig(dataset="talks", model=model), DpoConfig(dataset="pairs", model=model)):
        folder = project.create_run(config)
        story = [Started(device="cpu", total_steps=1, seq=1), Finished(outcome="done", seq=2)]
        project.store.record_events(folder.run, [(event, event.seq) for event in story])
        leave_adapter(folder)


@pytest.fixture
def pane(qtbot: QtBot, project: Project, runs: None, open_compare: Callable[[], ComparePane]) -> ComparePane:
    with project.store.new_dataset("questions", "lab", "prompt") as writer:
        writer.add(
            PromptOnly(prompt=Prompt(messages=(Message(role="user", content=f"What is {thing}?"),)), split="heldout")
            for thing in ("tea", "a cat", "rain")
        )
    made = open_compare()
    with qtbot.waitSignal(made.standings.weighed):
        made.pages["Blind vote"].click()
    return made


def bar_of(pane: ComparePane):
    return pane.blind.bar


def answer(qtbot: QtBot, pane: ComparePane, inference: list[FakeInference], *texts: str) -> None:
    """Ask for the next prompt with Enter and let both models answer."""
    before = len(inference[0].asked)
    bar_of(pane).setFocus()
    qtbot.keyClick(pane, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: len(inference[0].asked) == before + 2)
    for request, text in zip((before + 1, before + 2), texts, strict=True):
        inference[0].say(Token(id=request, index=0, text=text[:1]))
        inference[0].say(Answer(id=request, index=0, text=text, values={"tokens": 3.0, "kl": 1.5}))
        inference[0].say(Done(id=request))
    qtbot.waitUntil(bar_of(pane).buttons["tie"].isEnabled)


def vote(qtbot: QtBot, pane: ComparePane, key: Qt.Key) -> None:
    """Press the key of a verdict; it is kept when the vote can be taken back."""
    qtbot.keyClick(pane, key)
    qtbot.waitUntil(bar_of(pane).back.isEnabled)


def test_names_and_numbers_come_after_the_vote_and_the_vote_is_kept(qtbot, pane, inference, project) -> None:
    assert "Between SFT 1 · DPO 1" in bar_of(pane).words.text()
    answer(qtbot, pane, inference, "Yes.", "No.")
    assert [view.answer.toPlainText() for view in pane.views[:2]] == ["Yes.", "No."]
    assert not any(view.model.isVisible() or view.numbers.text() for view in pane.views)
    assert {view.who.text() for view in pane.views[:2]} == {"named after the vote"}

    bar_of(pane).who.setCurrentText("Ada")
    vote(qtbot, pane, Qt.Key.Key_2)

    assert {view.who.text() for view in pane.views[:2]} == {"SFT 1", "DPO 1"}
    assert pane.views[0].numbers.text() == "KL to its start 1.50 · 3 tokens"
    assert not bar_of(pane).buttons["first"].isEnabled()
    ((record_id, said),) = project.store.verdicts(VOTES)
    assert (said.who, said.ranks, said.shown_order, said.queue) == ("Ada", (2, 1), (0, 1), QUEUE)
    record = project.store.record(VOTES, record_id)
    assert isinstance(record, Candidates)
    assert record.split == "heldout"
    assert [c.text for c in record.completions] == ["Yes.", "No."]
    assert [c.source for c in record.completions] == [view.who.text() for view in pane.views[:2]]


@pytest.mark.parametrize(
    ("key", "verdict", "ranks"),
    [
        (Qt.Key.Key_1, "ranked", (1, 2)),
        (Qt.Key.Key_3, "tie", (1, 1)),
        (Qt.Key.Key_4, "both_bad", ()),
    ],
)
def test_the_keys_of_the_verdicts(qtbot, pane, inference, project, key, verdict, ranks) -> None:
    answer(qtbot, pane, inference, "Yes.", "No.")
    vote(qtbot, pane, key)
    ((_, said),) = project.store.verdicts(VOTES)
    assert (said.verdict, said.ranks) == (verdict, ranks)


def test_digits_that_are_typed_are_no_votes(qtbot, pane, inference, project) -> None:
    answer(qtbot, pane, inference, "Yes.", "No.")
    pane.card.prompt.setFocus()
    qtbot.keyClicks(pane.card.prompt, "1234")
    qtbot.waitUntil(lambda: "1234" in pane.card.prompt.toPlainText())
    assert "1234" in pane.card.prompt.toPlainText()
    assert VOTES not in {row.name for row in project.store.datasets()}


def test_a_vote_can_be_taken_back_and_is_not_given_again(qtbot, pane, inference, project) -> None:
    answer(qtbot, pane, inference, "Yes.", "No.")
    vote(qtbot, pane, Qt.Key.Key_1)
    qtbot.mouseClick(bar_of(pane).back, Qt.MouseButton.LeftButton)
    assert project.store.verdict_count(VOTES) == 0
    assert not bar_of(pane).buttons["first"].isEnabled()
    answer(qtbot, pane, inference, "Tea.", "Rain.")
    vote(qtbot, pane, Qt.Key.Key_1)
    assert project.store.verdict_count(VOTES) == 1


def test_take_back_takes_that_vote_whoever_is_named_now(qtbot, pane, inference, project) -> None:
    hers = Judgement(who="Ada", when=0.0, verdict="ranked", ranks=(1, 2))
    project.store.judge("pairs", project.store.page("pairs")[0].id, hers)
    answer(qtbot, pane, inference, "Yes.", "No.")
    bar_of(pane).who.setCurrentText("Bob")
    vote(qtbot, pane, Qt.Key.Key_1)
    bar_of(pane).who.setCurrentText("Ada")
    qtbot.mouseClick(bar_of(pane).back, Qt.MouseButton.LeftButton)
    assert "taken back" in bar_of(pane).words.text()
    assert [said for _, said in project.store.verdicts("pairs")] == [hers]
    assert project.store.verdict_count(VOTES) == 0


def test_a_vote_that_cannot_be_written_is_said_and_can_be_given_again(qtbot, pane, inference, project) -> None:
    answer(qtbot, pane, inference, "Yes.", "No.")
    with closing(sqlite3.connect(project.store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        qtbot.keyClick(pane, Qt.Key.Key_1)
        qtbot.waitUntil(pane.card.problem.isVisible)
        assert "not kept yet" in pane.card.problem.text()
        assert {view.who.text() for view in pane.views[:2]} == {"named after the vote"}
        other.execute("ROLLBACK")
    vote(qtbot, pane, Qt.Key.Key_1)
    assert project.store.verdict_count(VOTES) == 1
    assert not pane.card.problem.isVisible()


def test_a_failed_answer_gives_no_vote_and_no_name(qtbot, pane, inference) -> None:
    qtbot.keyClick(pane, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: len(inference[0].asked) == 2)
    inference[0].say(Failed(id=1, message="There is not enough memory."))
    qtbot.waitUntil(pane.card.problem.isVisible)
    assert inference[0].cancelled == [2]
    assert not bar_of(pane).buttons["first"].isEnabled()
    assert bar_of(pane).next.isEnabled()


@pytest.mark.parametrize("left", ["Blind vote", "Side by side"])
def test_a_page_is_left_while_answers_are_written_and_their_end_comes_later(
    qtbot: QtBot, pane: ComparePane, inference: list[FakeInference], left: str
) -> None:
    """The child ends an answer that it was told to cancel when it comes to it."""
    other = "Side by side" if left == "Blind vote" else "Blind vote"
    pane.pages[left].click()
    pane.card.prompt.setPlainText("What is tea?")
    qtbot.mouseClick(pane.card.ask, Qt.MouseButton.LeftButton)
    child = inference[0]
    qtbot.waitUntil(lambda: len(child.asked) == 2)
    child.cancel = child.cancelled.append
    pane.pages[other].click()
    assert child.cancelled == [1, 2]
    assert (pane.blind.busy, pane.card.ask.isEnabled(), pane.card.stop.isEnabled()) == (False, True, False)

    qtbot.mouseClick(pane.card.ask, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(child.asked) == 4)
    child.say(Answer(id=1, index=0, text="Half an ans", values={}))
    for request in child.cancelled:
        child.say(Done(id=request, cancelled=True))
    assert pane.card.stop.isEnabled(), "two are still being written"
    for request in (3, 4):
        child.say(Answer(id=request, index=0, text=f"Answer {request}.", values={}))
        child.say(Done(id=request))
    qtbot.waitUntil(pane.card.ask.isEnabled)
    assert [view.answer.toPlainText() for view in pane.views[:2]] == ["Answer 3.", "Answer 4."]


def test_one_model_alone_cannot_be_voted_on(qtbot, pane, inference) -> None:
    pane.pages["Side by side"].click()
    pane.views[1].model.setCurrentIndex(pane.views[0].model.currentIndex())
    pane.pages["Blind vote"].click()
    assert not bar_of(pane).next.isEnabled()
    assert "two different models" in bar_of(pane).words.text()


def test_a_base_model_is_asked_in_its_own_form(qtbot, pane, inference) -> None:
    pane.pages["Side by side"].click()
    base = next(n for n in range(pane.views[0].model.count()) if pane.views[0].model.itemData(n).run is None)
    pane.views[0].model.setCurrentIndex(base)
    pane.pages["Blind vote"].click()
    answer(qtbot, pane, inference, "Yes.", "No.")
    modes = {request.mode: request for request in inference[0].asked}
    assert modes["raw"].prompts[0].messages[0].content.startswith("Question: What is ")
    assert modes["raw"].stop == "\n"
    assert modes["chat"].prompts[0].messages[0].content.startswith("What is ")


def test_side_by_side_shows_names_and_models_again(pane) -> None:
    pane.pages["Side by side"].click()
    assert all(view.model.isVisible() and not view.who.isVisible() for view in pane.views[:2])
    assert not bar_of(pane).isVisible()


def test_standings_say_who_is_ahead_and_offer_to_train(qtbot, pane, inference, lab, project) -> None:
    for turn in range(8):
        answer(qtbot, pane, inference, f"Yes {turn}.", f"No {turn}.")
        left = pane.blind._drawn[0]
        vote(qtbot, pane, Qt.Key.Key_1 if left.run == "dpo-1" else Qt.Key.Key_2)
    with qtbot.waitSignal(pane.standings.weighed, timeout=60_000):
        pane.pages["Standings"].click()
    page = pane.standings
    assert page.title.text() == "DPO 1 is preferred"
    assert "DPO 1 is preferred to SFT 1: 100% (68–100%) of 8 votes." in page.said.text()
    assert page.table.item(0, 1).text() == "100% of 8"

    asked = []
    lab.pane_asked.connect(lambda pane, fields: asked.append((pane, fields)))
    with qtbot.waitSignal(lab.pane_asked, timeout=20_000):
        qtbot.mouseClick(page.train, Qt.MouseButton.LeftButton)
    assert asked == [("reward", {"dataset": f"{VOTES} ranked"})]
    assert project.store.count(f"{VOTES} ranked") == 8


def test_without_votes_the_standings_say_what_to_do(qtbot, pane) -> None:
    with qtbot.waitSignal(pane.standings.weighed):
        pane.pages["Standings"].click()
    assert pane.standings.title.text() == "No votes yet"
    assert "Vote blind" in pane.standings.about.text()
    assert not pane.standings.table.isVisible()


def test_those_with_the_fewest_votes_are_drawn_and_sides_by_lot() -> None:
    chance = random.Random(0)
    votes = {frozenset((SFT.title, DPO.title)): 3, frozenset((SFT.title, BASE.title)): 1}
    assert {frozenset(draw([SFT, DPO, BASE], votes, chance)) for _ in range(20)} == {frozenset((DPO, BASE))}
    votes[frozenset((DPO.title, BASE.title))] = 1
    drawn = [draw([SFT, DPO, BASE], votes, chance) for _ in range(200)]
    assert {frozenset(two) for two in drawn} == {frozenset((DPO, BASE)), frozenset((SFT, BASE))}
    assert 60 < sum(two[0] == BASE for two in drawn) < 140


def test_words_for_what_is_open_alike_or_apart() -> None:
    strengths = (Strength("A", 30, 0.4, 0.1, 0.7), Strength("B", 30, -0.4, -0.7, -0.1))
    found = Standings(31, (Duel("A", "B", 12, 0, 8), Duel("B", "C", 5, 0, 5)), strengths, ("C",))
    first, second, third = standing_words.sentences(found)
    assert first.startswith("A or B, that is open: 60%")
    assert "About 77 more" in first
    assert second.startswith("B and C are about alike so far: 50%")
    assert third.startswith("C: never compared")
    assert standing_words.headline(found) == ("A is preferred", "good")
    leads = Standings(3, (Duel("A", "B", 3, 0, 0),), (Strength("A", 3, 1, -2, 4), Strength("B", 3, -1, -4, 2)), ())
    assert standing_words.headline(leads) == ("Too few votes to tell", "warn")
    alike = Standings(4, (Duel("A", "B", 2, 0, 2),), (Strength("A", 4, 0, -2, 2), Strength("B", 4, 0, -2, 2)), ())
    assert standing_words.headline(alike) == ("Too close to call", "warn")
    _, cells = standing_words.table(found)
    assert [text for text, _ in cells[0]] == ["", "60% of 20", "–"]


def test_verdicts_on_fresh_answers_count_too(project: Project) -> None:
    asked = Prompt(messages=(Message(role="user", content="What is tea?"),))
    written = Candidates(prompt=asked, completions=[Completion(text=t, source=t) for t in ("SFT 1", "DPO 1", "PPO 1")])
    with project.store.new_dataset("fresh answers of SFT 1", "fresh answers", "candidates") as writer:
        pass
    (record,) = project.store.append(writer.name, [written])
    judgement = Judgement(who="Ada", when=0.0, verdict="ranked", ranks=(2, 1, 2))
    project.store.judge(writer.name, record, judgement)

    found = standings_of(project.store)

    assert found.votes == 1
    assert found.duel("DPO 1", "SFT 1").wins == found.duel("DPO 1", "PPO 1").wins == 1
    assert found.duel("SFT 1", "PPO 1").ties == 1
