"""The loop closes: votes become pairs, pairs a reward model, that a policy, and the policy is voted on."""

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.core.records import Candidates, Pair
from rlhf_lab.gui.models.blind import VOTES
from rlhf_lab.runs.lineage import lineage
from tests.app.opened import LONG_MS, SMALL, Opened, press

TINY = SMALL | {"eval_every": 0}
MADE = f"{VOTES} ranked"
STORY = {
    ("data:lab world demonstrations", "sft-1"),
    ("sft-1", f"data:{VOTES}"),
    (f"data:{VOTES}", f"data:{MADE}"),
    (f"data:{MADE}", "reward-1"),
    ("sft-1", "reward-1"),
    ("data:lab world prompts", "ppo-1"),
    ("sft-1", "ppo-1"),
    ("reward-1", "ppo-1"),
    ("ppo-1", f"data:{VOTES}"),
}


def train(qtbot: QtBot, opened: Opened, name: str, run: str, **wanted: object) -> None:
    """Fill the form of a pane, press Start, and wait for the end."""
    pane = opened.window.pane(name)
    assert opened.window.stack.currentWidget() is pane
    pane.fill_in(TINY | wanted)
    press(pane.launcher.start, qtbot)
    qtbot.waitUntil(lambda: bool(opened.lab.live()))
    qtbot.waitUntil(lambda: run not in opened.lab.live() + opened.lab.queued(), timeout=LONG_MS)
    assert opened.lab.state(run).outcome == "done"


def vote_between(qtbot: QtBot, opened: Opened, *models: str) -> None:
    """Choose the models side by side, then go on to the blind vote."""
    opened.window.show_pane("compare")
    pane = opened.window.pane("compare")
    press(pane.pages["Side by side"], qtbot)
    for view, model in zip(pane.views, models, strict=False):
        view.model.setCurrentIndex(view.model.findText(model))
    with qtbot.waitSignal(pane.standings.weighed, timeout=LONG_MS):
        press(pane.pages["Blind vote"], qtbot)
    pane.card.length.setText("16")
    pane.blind.bar.who.setCurrentText("Ada")


def vote(qtbot: QtBot, opened: Opened, key: str) -> None:
    """Have the next prompt answered, and press the key of a verdict."""
    pane = opened.window.pane("compare")
    bar = pane.blind.bar
    press(bar.next, qtbot)
    qtbot.waitUntil(bar.buttons["tie"].isEnabled, timeout=LONG_MS)
    qtbot.keyClick(pane, key)
    qtbot.waitUntil(lambda: bar.back.isEnabled() or pane.card.problem.isVisible(), timeout=LONG_MS)
    if not bar.back.isEnabled():  # "not kept yet", where something else was writing: press again
        qtbot.keyClick(pane, key)
        qtbot.waitUntil(bar.back.isEnabled, timeout=LONG_MS)


@pytest.mark.usefixtures("warm_children", "bundled_data")
@pytest.mark.timeout(600)  # forty seconds alone
def test_votes_train_the_policy_that_is_voted_on_and_the_lineage_tells_it(
    qtbot: QtBot, open_lab: Callable[[], Opened]
) -> None:
    opened = open_lab()
    window, lab, store = opened.window, opened.lab, opened.lab.project.store
    window.show_pane("sft")
    train(qtbot, opened, "sft", "sft-1", dataset="lab world demonstrations", max_steps=2)

    vote_between(qtbot, opened, "Base model", "SFT 1")
    vote(qtbot, opened, "1")
    splits = {"train", "heldout"}
    while {record.split for record in store.records(VOTES)} != splits:  # prompts come by lot; a reward model needs both
        vote(qtbot, opened, "2")
    votes = store.count(VOTES)
    compare = window.pane("compare")
    with qtbot.waitSignal(compare.standings.weighed, timeout=LONG_MS):
        press(compare.pages["Standings"], qtbot)
    press(compare.standings.train, qtbot)
    qtbot.waitUntil(lambda: window.stack.currentWidget() is window.pane("reward"), timeout=LONG_MS)
    pairs = list(store.records(MADE))
    assert [type(pair) for pair in pairs] == [Pair] * votes
    assert {answer.source for pair in pairs for answer in (pair.chosen, pair.rejected)} == {"Base model", "SFT 1"}
    assert window.pane("reward").launcher.form.answers()["dataset"] == MADE

    train(qtbot, opened, "reward", "reward-1", start_from="sft-1", max_steps=2)
    window.show_pane("policy")
    wanted = {"dataset": "lab world prompts", "start_from": "sft-1", "reward_model": "reward-1"}
    train(qtbot, opened, "policy", "ppo-1", **wanted, updates=1, epochs=1, minibatches=1)

    vote_between(qtbot, opened, "SFT 1", "PPO 1")
    vote(qtbot, opened, "1")
    assert store.verdict_count(VOTES, "Ada") == votes + 1
    voted = [record for record in store.records(VOTES) if isinstance(record, Candidates)]
    assert {answer.source for answer in voted[-1].completions} == {"SFT 1", "PPO 1"}

    window.show_pane("runs")
    runs = window.pane("runs")
    runs.tabs.setCurrentWidget(runs.lineage)
    runs.select("ppo-1")
    buttons = runs.lineage.graph.buttons
    assert set(buttons) == {key for edge in STORY for key in edge}
    assert set(lineage(store, ["ppo-1"]).edges) == STORY
    assert f"{votes + 1} verdicts" in buttons[f"data:{VOTES}"].text()
    qtbot.mouseClick(buttons["reward-1"], Qt.MouseButton.LeftButton)
    assert runs.run() == "reward-1"
    assert set(runs.lineage.graph.buttons) == set(buttons), "the loop is the same from wherever one looks"
    assert lab.project.run("ppo-1").has_result()
    opened.leave()
