"""Side by side: tokens tinted by how far they are from the start or the base, seeds, and the best of several answers."""

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.models.contenders import Contender, draws_problem
from rlhf_lab.gui.panes.compare import ComparePane
from rlhf_lab.runs.ask import Answer, Done
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.project import Project
from tests.fakes import leave_adapter
from tests.gui.asked import FakeInference
from tests.gui.runs_made import made_run


@pytest.fixture
def pane(open_compare: Callable[[], ComparePane], project: Project) -> ComparePane:
    """Stands before an SFT run, a policy from it, and a reward model."""
    for run, wishes in (
        ("sft-1", {}),
        ("reward-1", {}),
        ("ppo-1", {"reward_model": "reward-1", "start_from": "sft-1"}),
    ):
        made_run(project, run, **wishes)
        leave_adapter(RunFolder(project.runs_folder / run))
    made = open_compare()
    made.card.prompt.setPlainText("Hello?")
    return made


def choose(qtbot: QtBot, box, key: Qt.Key, times: int = 1) -> None:
    box.setFocus()
    for _ in range(times):
        qtbot.keyClick(box, key)


def answer(inference: FakeInference, request: int, kl: float) -> None:
    inference.say(
        Answer(
            id=request,
            index=0,
            text="Hi you",
            values={"kl": 2 * kl, "tokens": 2.0, "ended": 0.0},
            pieces=(" Hi", " you"),
            per_token={"kl": (kl, kl)},
        )
    )
    inference.say(Done(id=request))


def test_tokens_are_tinted_on_one_scale_against_the_start_or_the_base(qtbot, pane, inference, project) -> None:
    choose(qtbot, pane.tint.tint, Qt.Key.Key_Down)
    assert pane.tint.words.text() == "Ask, and the tokens of trained models are tinted."
    qtbot.mouseClick(pane.card.ask, Qt.MouseButton.LeftButton)
    first = inference[0].asked[0]
    assert first.tokens
    assert first.kl
    assert first.kl_to is None
    answer(inference[0], 1, 0.5)
    answer(inference[0], 2, 2.0)
    qtbot.waitUntil(pane.card.ask.isEnabled)
    weak, strong = (background(view) for view in pane.views[:2])
    assert 0 < weak < strong
    assert pane.tint.legend.isVisible()
    assert "than at the start" in pane.tint.words.text()
    assert pane.views[0].numbers.text() == "KL to its start 1.00 · 2 tokens, cut at the limit"
    pane.views[1].answer.setFocus()
    assert pane.tint.words.text() == "Token 1 of 2 “ Hi”: KL 2.00"

    choose(qtbot, pane.tint.tint, Qt.Key.Key_Down)
    assert background(pane.views[0]) == 0  # not measured against the base yet
    qtbot.mouseClick(pane.card.ask, Qt.MouseButton.LeftButton)
    asked = inference[0].asked[-1]
    assert not asked.kl
    assert asked.kl_to.adapters == ()
    assert asked.model.adapters == project.model_spec("ppo-1").adapters
    for request in (3, 4):
        answer(inference[0], request, 3.0)
    qtbot.waitUntil(pane.card.ask.isEnabled)
    assert background(pane.views[0]) > 0
    assert "KL to the base 6.00" in pane.views[0].numbers.text()
    assert "than the base without any adapter" in pane.views[0].numbers.toolTip()

    pane.pages["Blind vote"].click()
    assert not pane.tint.isVisible()


def background(view) -> int:
    """How strong the first token is tinted, of 255."""
    cursor = view.answer.textCursor()
    cursor.setPosition(1)
    brush = cursor.charFormat().background()
    return brush.color().alpha() if brush.style() != Qt.BrushStyle.NoBrush else 0


def test_the_best_of_several_needs_a_reward_model_and_stands_under_a_name_of_its_own(qtbot, pane, inference) -> None:
    view = pane.views[1]
    choose(qtbot, view.draws, Qt.Key.Key_Down, 2)
    assert view.contender() == Contender("", "ppo-1", "ppo", best_of=16)
    assert view.contender().title == "PPO 1, best of 16"
    qtbot.mouseClick(pane.card.ask, Qt.MouseButton.LeftButton)
    plain, several = inference[0].asked
    assert (plain.best_of, several.best_of) == (1, 16)
    assert several.reward is not None
    inference[0].say(Done(id=1))
    qtbot.waitUntil(lambda: view.status.text().startswith("Writing 16 answers"))
    values = {"score": 1.25, "mean_score": 0.5, "best_of": 16.0}
    inference[0].say(Answer(id=2, index=0, text="Best", values=values))
    inference[0].say(Done(id=2))
    qtbot.waitUntil(lambda: view.numbers.text() == "score 1.25 · mean of all 0.50")

    choose(qtbot, pane.card.reward, Qt.Key.Key_Home)
    assert "Scored by" in view.warning.text()
    qtbot.mouseClick(pane.card.ask, Qt.MouseButton.LeftButton)
    assert "Scored by" in view.status.text()
    assert len(inference[0].asked) == 3  # the other model was asked
    assert "chat form only" in draws_problem(view.contender(), "raw", "reward-1")


def test_a_blind_vote_can_be_between_a_model_and_the_best_of_its_answers(qtbot, pane, inference) -> None:
    for view in pane.views[:2]:
        view.model.setCurrentIndex(view.model.findText("SFT 1"))
    choose(qtbot, pane.views[1].draws, Qt.Key.Key_Down)
    pane.pages["Blind vote"].click()
    assert not pane.views[1].draws.isVisible()
    pane.card.prompt.setPlainText("Hello?")
    qtbot.mouseClick(pane.card.ask, Qt.MouseButton.LeftButton)
    assert sorted(asked.best_of for asked in inference[0].asked) == [1, 4]
    for request in (1, 2):
        inference[0].say(Answer(id=request, index=0, text=f"Hi {request}", values={}))
        inference[0].say(Done(id=request))
    qtbot.waitUntil(pane.blind.bar.buttons["first"].isEnabled)
    qtbot.mouseClick(pane.blind.bar.buttons["first"], Qt.MouseButton.LeftButton)
    assert {view.who.text() for view in pane.views[:2]} == {"SFT 1", "SFT 1, best of 4"}


def test_every_model_draws_with_the_same_seed_or_with_its_own(qtbot, pane, inference) -> None:
    pane.card.seed.setText("7")
    qtbot.mouseClick(pane.card.ask, Qt.MouseButton.LeftButton)
    assert [asked.seed for asked in inference[0].asked] == [7, 7]
    qtbot.mouseClick(pane.card.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(pane.card.ask.isEnabled)

    pane.card.same_seed.setFocus()
    qtbot.keyClick(pane.card.same_seed, Qt.Key.Key_Space)
    qtbot.mouseClick(pane.card.ask, Qt.MouseButton.LeftButton)
    assert [asked.seed for asked in inference[0].asked[2:]] == [7, 8]
    seeds = set()
    for _ in range(4):
        qtbot.mouseClick(pane.card.new_seed, Qt.MouseButton.LeftButton)
        seeds.add(pane.card.seed.text())
    assert len(seeds) > 1
    assert all(seed.isdecimal() for seed in seeds)


def test_four_models_fit(qtbot, window) -> None:
    window.show_pane("compare")
    pane = window.pane("compare")
    choose(qtbot, pane.count, Qt.Key.Key_End)
    assert all(view.isVisible() for view in pane.views)
    assert (window.width(), window.height()) == (1280, 800)
    assert pane.minimumSizeHint().width() <= window.stack.width()
    assert pane.minimumSizeHint().height() <= window.stack.height()
