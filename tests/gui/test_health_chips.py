"""Verdicts where a person meets them: chips in the header, details, marks on the curves, the strip."""

import itertools

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QScrollArea
from pytestqt.qtbot import QtBot

from rlhf_lab.core.events import Changed, Finished, Health, Metrics, Progress, Resumed, Started
from rlhf_lab.core.health import RULES
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.models.marks import marks_at, marks_of
from rlhf_lab.gui.models.plot_spec import PlotSpec
from rlhf_lab.gui.models.runs_table import COLUMNS, RunsTable
from rlhf_lab.gui.models.verdicts import in_full, passed, spells, standing, told
from rlhf_lab.gui.plots.card import CurveCard
from rlhf_lab.gui.run_state import RunState
from rlhf_lab.gui.widgets.health_chips import HealthChips


def verdict(code: str = "kl_high", step: int = 5, **fields: object) -> Health:
    made = {
        "title": "KL runs away",
        "seen": "KL 31 at step 5",
        "cause": "β is <low>",
        "advice": "Raise β.",
        "metrics": ("objective/kl",),
    }
    return Health(code=code, step=step, **(made | fields))


@pytest.fixture
def chips(qtbot: QtBot) -> HealthChips:
    made = HealthChips()
    qtbot.addWidget(made)
    made.resize(800, 300)
    made.show_health([], watched=True)
    with qtbot.waitExposed(made):
        made.show()
    return made


def shown(chips: HealthChips) -> list[str]:
    return [label.text() for label in chips.details.findChildren(QLabel) if label.isVisible()]


def test_a_verdict_that_is_taken_back_has_passed() -> None:
    said = [verdict(step=5), verdict(step=7, seen="KL 40"), verdict(step=9, on=False), verdict("eos", step=10)]

    assert [(s.said.code, s.begin, s.end) for s in spells(said)] == [("kl_high", 5, 9), ("eos", 10, None)]
    assert [s.said.code for s in standing(said)] == ["eos"]
    assert [s.said.seen for s in passed(said)] == ["KL 40"]


def test_one_that_comes_back_is_a_new_spell() -> None:
    said = [verdict(step=5), verdict(step=9, on=False), verdict(step=12)]

    assert [(s.begin, s.end) for s in spells(said)] == [(5, 9), (12, None)]


def test_taking_back_what_was_never_said_is_nothing() -> None:
    assert spells([verdict(on=False)]) == []


def test_what_stops_a_run_stands_first() -> None:
    said = [verdict("stop", 2, level="stop"), verdict("a", 3), verdict("b", 8)]

    assert [s.said.code for s in standing(said)] == ["stop", "b", "a"]


def test_a_healthy_run_says_so_and_one_that_has_not_begun_says_nothing(chips) -> None:
    assert chips.fine.isVisible()

    chips.show_health([], watched=False)
    assert chips.isHidden()


@pytest.mark.parametrize("way", ["click", "space", "F1"])
def test_a_chip_tells_what_was_seen_why_and_what_to_do(qtbot, chips, way) -> None:
    chips.show_health([verdict()], watched=True)
    chip = chips.chips[0]
    assert chip.text() == "KL runs away"
    assert chip.accessibleName() == "Check: KL runs away"
    assert "β is &lt;low&gt;" in chip.toolTip()
    assert not chips.fine.isVisible()

    if way == "click":
        qtbot.mouseClick(chip, Qt.MouseButton.LeftButton)
    else:
        chip.setFocus()
        qtbot.keyClick(chip, Qt.Key.Key_Space if way == "space" else Qt.Key.Key_F1)

    assert chips.details.isVisible()
    words = {"KL runs away", "Check · since step 5", "KL 31 at step 5", "β is <low>", "Raise β."}
    qtbot.waitUntil(lambda: words <= set(shown(chips)))


def test_the_details_follow_the_verdict_and_close_with_it(qtbot, chips) -> None:
    chips.show_health([verdict()], watched=True)
    qtbot.mouseClick(chips.chips[0], Qt.MouseButton.LeftButton)

    chips.show_health([verdict(), verdict(step=6, seen="KL 44")], watched=True)
    qtbot.waitUntil(lambda: "KL 44" in shown(chips))

    chips.show_health([verdict(), verdict(step=6, on=False)], watched=True)
    assert chips.details.isHidden()
    assert [chip.text() for chip in chips.chips] == ["1 passed"]
    qtbot.mouseClick(chips.chips[0], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Check · step 5 to 6" in shown(chips))


def test_the_details_are_as_high_as_their_words(qtbot, chips) -> None:
    chips.resize(800, 600)
    chips.show_health([verdict(advice="Raise β. " * 60)], watched=True)
    qtbot.mouseClick(chips.chips[0], Qt.MouseButton.LeftButton)
    bar = chips.details.findChild(QScrollArea).verticalScrollBar()
    qtbot.waitUntil(lambda: chips.details.height() > 8 * chips.fontMetrics().lineSpacing())
    assert bar.maximum() == 0

    qtbot.mouseClick(chips.chips[0], Qt.MouseButton.LeftButton)
    chips.show_health([verdict("b", title="Short"), verdict("b", advice="Wait.")], watched=True)
    qtbot.mouseClick(chips.chips[0], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: chips.details.height() < 9 * chips.fontMetrics().lineSpacing())


def test_many_verdicts_share_the_last_chip(chips) -> None:
    chips.show_health([verdict(f"rule{n}", n, title=f"Rule {n}") for n in range(9)], watched=True)

    assert [chip.text() for chip in chips.chips] == [*(f"Rule {n}" for n in range(8, 2, -1)), "3 more"]


def test_chips_show_their_whole_title_in_as_many_rows_as_it_takes(qtbot, chips) -> None:
    title = "Length changes, score does not"
    chips.resize(500, 300)
    chips.show_health([verdict(f"rule{n}", n, title=title) for n in range(4)], watched=True)

    qtbot.waitUntil(lambda: len({chip.y() for chip in chips.chips}) == 2)
    for chip in chips.chips:
        assert chip.text() == title
        assert chip.width() >= chip.sizeHint().width()
        assert chip.geometry().right() < chips.width()
        assert chip.isVisible()

    chips.resize(1400, 300)
    qtbot.waitUntil(lambda: len({chip.y() for chip in chips.chips}) == 1)


def test_a_title_of_another_version_is_cut_at_its_end_and_whole_in_the_tooltip(chips) -> None:
    title = "The value of the answers does not follow what anybody has ever said of them"
    chips.show_health([verdict(title=title)], watched=True)

    (chip,) = chips.chips
    assert chip.text().endswith("…")
    assert title.startswith(chip.text()[:-1])
    assert title in chip.toolTip()


def test_levels_differ_by_more_than_their_colour(chips) -> None:
    chips.show_health([verdict("a", 1, level="stop"), verdict("b", 1)], watched=True)

    images = [chip.icon().pixmap(16).toImage() for chip in chips.chips]
    shapes = [
        {(x, y) for x in range(i.width()) for y in range(i.height()) if i.pixelColor(x, y).alpha() > 128}
        for i in images
    ]
    assert shapes[0] != shapes[1]


def test_a_chip_shows_its_title_as_it_is(chips) -> None:
    chips.show_health([verdict(title="<b>R&D</b>")], watched=True)

    assert chips.chips[0].text() == "<b>R&&D</b>"


def test_everything_is_said_in_full_for_a_screen_reader() -> None:
    text = in_full(standing([verdict()])[0])

    assert text.startswith("Check, since step 5: KL runs away\nSeen: KL 31 at step 5\n")
    assert "never a proof" in text


def test_verdicts_are_marked_on_their_curves_alone() -> None:
    history = RunHistory("ppo-1")
    history.feed([Changed(step=2, field="kl_coef", value=0.1), verdict(step=5, level="stop")])

    assert [(m.step, m.text) for m in marks_of(history, ("objective/kl",))] == [(2, "β → 0.10"), (5, "■ KL runs away")]
    assert [m.step for m in marks_of(history, ("objective/entropy",))] == [2]
    assert marks_at(history, ("objective/kl",), 5) == "■ KL runs away"


def test_a_mark_shows_its_words_where_there_is_room(qtbot) -> None:
    card = CurveCard(PlotSpec("KL", {"objective/kl": "Sampled"}))
    qtbot.addWidget(card)
    history = RunHistory("ppo-1")
    history.feed(Metrics(step=step, values={"objective/kl": float(step)}) for step in range(11))
    history.feed([verdict(step=5, title="KL {runs} away")])
    card.resize(600, 300)
    with qtbot.waitExposed(card):
        card.show()
    card.show_history(history)
    qtbot.waitUntil(lambda: card.plot.marks.texts == [(5.0, "▲ KL {runs} away")])

    card.resize(220, 300)
    qtbot.waitUntil(lambda: card.plot.marks.texts == [(5.0, "▲")])


def test_a_later_attempt_forgets_the_verdicts_of_steps_that_are_done_again() -> None:
    history, state = RunHistory("ppo-1"), RunState(run="ppo-1", stage="ppo")
    events = [Started(device="cpu"), verdict("early", 2), verdict(step=8), Resumed(step=5, device="cpu")]
    history.feed(events)
    state.take(events)

    assert [h.code for h in history.health] == ["early"]
    assert list(state.health) == ["early"]


def test_what_the_rule_is_stands_beside_its_verdict() -> None:
    rule = next(rule for rule in RULES if rule.code == "kl_high")

    assert ("The rule", rule.reason) in told(verdict("kl_high"))
    assert [name for name, _ in told(verdict("from a newer lab"))] == ["Seen", "Likely cause", "What to do"]


def test_the_runs_table_names_what_still_holds(qtbot, window, lab, fakes, begun_run) -> None:
    run = begun_run()
    table = RunsTable(lab)
    fakes.runs[run].feed(Started(device="cpu", total_steps=9), verdict(), verdict("eos", title="Answers do not end"))
    qtbot.waitUntil(lambda: len(lab.state(run).health) == 2)
    message = table.index(0, COLUMNS.index("Message"))
    assert message.data() == "▲ KL runs away +1"

    fakes.runs[run].feed(verdict(on=False, step=6), Finished(outcome="done", message="9 steps done."))
    qtbot.waitUntil(lambda: not lab.live())
    table.refresh()
    assert table.index(0, COLUMNS.index("Message")).data() == "▲ Answers do not end  9 steps done."


def test_the_strip_shows_the_gravest_verdict_and_how_many_more(qtbot, window, lab, fakes, begun_run) -> None:
    run = begun_run()
    strip = window.strip
    fakes.runs[run].feed(Started(device="cpu", total_steps=9), Progress(step=1, done=1, total=9))
    fakes.runs[run].feed(verdict(), verdict("nan", level="stop", title="Loss is NaN"))
    qtbot.waitUntil(strip.health.isVisible)
    assert strip.health.text() == "Loss is NaN +1"
    assert strip.health.accessibleName() == "Stops the run: Loss is NaN +1. Show the run"

    qtbot.mouseClick(strip.health, Qt.MouseButton.LeftButton)
    pane = window.pane("sft")
    qtbot.waitUntil(lambda: pane.isVisible() and pane.run == run and len(pane.header.health.chips) == 2)

    fakes.runs[run].feed(verdict(on=False, step=2), verdict("nan", on=False, step=2))
    qtbot.waitUntil(lambda: not strip.health.isVisible())
    lab.stop(run)
    qtbot.waitUntil(lambda: not lab.live())


def test_words_of_marks_never_cover_each_other(qtbot) -> None:
    history = RunHistory("ppo-1")
    history.feed(Metrics(step=step, values={"objective/kl": step}) for step in range(81))
    history.feed(verdict(step=step, on=on) for step, on in [(36, True), (37, False), (38, True), (39, False)])
    history.feed(verdict(step=step, on=on) for step, on in [(41, True), (42, False), (52, True), (53, False)])
    history.feed([verdict("a", 57), verdict("b", 70), verdict("c", 71), verdict("d", 71), verdict("e", 72)])
    card = CurveCard(PlotSpec("KL", {"objective/kl": "Sampled"}))
    qtbot.addWidget(card)
    card.resize(380, 240)
    with qtbot.waitExposed(card):
        card.show()
    card.show_history(history)
    qtbot.waitUntil(lambda: len(card.plot.marks.shown) == 9)

    worded = [placed for placed in card.plot.marks.shown if placed.text]
    assert len(worded) >= 4
    for one, other in itertools.combinations(worded, 2):
        apart = one.right <= other.left or other.right <= one.left
        assert apart or one.height != other.height
    heights = sorted({placed.height for placed in worded})
    line = card.plot.fontMetrics().height() / card.plot.getPlotItem().getViewBox().height()
    assert all(high - low >= line for low, high in itertools.pairwise(heights))
