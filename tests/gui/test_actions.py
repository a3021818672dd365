"""Actions are declared once: keys, palette and panes agree with the table."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from pytestqt.qtbot import QtBot

from rlhf_lab.gui import actions as actions_module
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.models.action_table import ACTIONS, EVERYWHERE, Offer
from rlhf_lab.gui.models.palette import MOST_RECENT, found, remembered
from rlhf_lab.gui.models.places import PLACES
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.widgets.palette import Palette
from rlhf_lab.gui.widgets.rank_pair import BAD, MUCH_A, MUCH_B, TIE, A, B
from tests.gui.conftest import FakeRuns

CTRL = Qt.KeyboardModifier.ControlModifier
GUI = Path(actions_module.__file__).parent
THROUGH_THE_PALETTE = ("pane.", "window.", "theme.", "new.", "guide.")


def offer(title: str, group: str = "Window", words: str = "") -> Offer:
    return Offer(title.lower(), title, group, lambda: None, words=words)


def opened(qtbot: QtBot, window: MainWindow) -> Palette:
    qtbot.keyClick(window, Qt.Key.Key_K, CTRL)
    (palette,) = [found for found in window.findChildren(Palette) if found.isVisible()]
    return palette


def do(qtbot: QtBot, window: MainWindow, typed: str) -> None:
    """Open the palette, type, and take what stands first."""
    palette = opened(qtbot, window)
    qtbot.keyClicks(palette.line, typed)
    qtbot.keyClick(palette.line, Qt.Key.Key_Return)


def titles(palette: Palette) -> list[str]:
    return [palette.list.item(row).text() for row in range(palette.list.count())]


# The table


def test_no_key_means_two_things_in_one_place() -> None:
    for where in {action.where for action in ACTIONS.values()}:
        here = [key for action in ACTIONS.values() if action.where in (where, EVERYWHERE) for key in action.keys]
        assert len(here) == len(set(here)), where


def test_every_declared_key_is_one() -> None:
    for action in ACTIONS.values():
        for keys in action.keys:
            assert QKeySequence(keys).toString(QKeySequence.SequenceFormat.PortableText) == keys, action.name


def test_keys_are_bound_through_the_table_alone() -> None:
    """A key that is made elsewhere would be missing from the page of keys."""
    for file in GUI.rglob("*.py"):
        made = [
            node
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "QShortcut"
        ]
        assert not made or file.name == "actions.py", file


def test_the_verdict_keys_are_the_boards_own() -> None:
    for name, choice in (("a", A), ("b", B), ("much_a", MUCH_A), ("much_b", MUCH_B), ("tie", TIE), ("bad", BAD)):
        declared = ACTIONS[f"pair.{name}"]
        assert (declared.title, declared.keys[0]) == (choice.words, choice.cap)
        assert {QKeySequence(keys)[0].key() for keys in declared.keys} == set(choice.keys)


def test_every_pane_has_an_action(window: MainWindow) -> None:
    assert [f"pane.{place}" for place in PLACES] == [name for name in ACTIONS if name.startswith("pane.")]


def test_all_that_acts_everywhere_is_done_by_somebody(window: MainWindow, lab: Lab) -> None:
    missing = [
        name
        for name, action in ACTIONS.items()
        if (action.where == EVERYWHERE or name.startswith(THROUGH_THE_PALETTE)) and not lab.actions.known(name)
    ]
    assert missing == []


def test_no_key_is_ambiguous_once_every_pane_is_there(window: MainWindow) -> None:
    for place in PLACES:
        window.show_pane(place)
    everywhere = {keys for action in ACTIONS.values() if action.where == EVERYWHERE for keys in action.keys}
    bound = [shortcut.key().toString() for shortcut in window.findChildren(QShortcut)]
    assert [keys for keys in everywhere if bound.count(keys) != 1] == []


def test_an_action_that_is_not_declared_is_refused(lab: Lab) -> None:
    with pytest.raises(KeyError, match="action_table"):
        lab.actions.on("nobody.knows", lambda: None)


# Finding


def test_every_word_must_be_found_and_beginnings_come_first() -> None:
    offers = [offer("Show PPO 3"), offer("Stop and save PPO 3"), offer("Import files…", words="open"), offer("Support")]
    assert [o.title for o in found("ppo st", offers, ())] == ["Stop and save PPO 3", "Support"]
    assert [o.title for o in found("ppo stop", offers, ())] == ["Stop and save PPO 3"]
    assert [o.title for o in found("open", offers, ())] == ["Import files…"]
    assert [o.title for o in found("spo", offers, ())][:1] == ["Support"]
    assert found("zzz", offers, ()) == []


def test_a_title_that_begins_with_what_is_typed_comes_before_a_word_further_on() -> None:
    offers = [offer("Help: Data set (dataset)"), offer("Settings")]
    assert [o.title for o in found("set", offers, ())] == ["Settings", "Help: Data set (dataset)"]


def test_letters_need_not_be_neighbours() -> None:
    assert [o.title for o in found("impfl", [offer("Runs"), offer("Import files…")], ())] == ["Import files…"]


def test_recent_ones_come_first_where_they_fit_equally_well() -> None:
    offers = [offer("One run"), offer("Two run"), offer("Three run")]
    assert [o.title for o in found("", offers, ["three run"])] == ["Three run", "One run", "Two run"]
    assert [o.title for o in found("run", offers, ["two run"])][:1] == ["Two run"]
    assert [o.title for o in found("one", offers, ["two run"])] == ["One run"]


def test_few_are_remembered_the_newest_first() -> None:
    names = [str(n) for n in range(MOST_RECENT)]
    assert remembered("3", names) == ["3", *(name for name in names if name != "3")]
    assert len(remembered("new", names)) == MOST_RECENT


# The palette


def test_the_palette_goes_to_a_pane_by_keyboard_alone(qtbot: QtBot, window: MainWindow, settings: Settings) -> None:
    palette = opened(qtbot, window)
    qtbot.keyClicks(palette.line, "compare")
    assert titles(palette)[0] == "Compare"
    qtbot.keyClick(palette.line, Qt.Key.Key_Return)
    assert window.stack.currentWidget() is window.pane("compare")
    assert settings.recent == ["pane.compare"]


def test_what_was_chosen_last_stands_first(qtbot: QtBot, window: MainWindow, settings: Settings) -> None:
    settings.put_recent(["pane.runs", "pane.rank"])
    assert titles(opened(qtbot, window))[:2] == ["Runs", "Rank"]


def test_escape_closes_it_and_nothing_happens(qtbot: QtBot, window: MainWindow, settings: Settings) -> None:
    palette = opened(qtbot, window)
    qtbot.keyClicks(palette.line, "runs")
    with qtbot.assertNotEmitted(palette.chosen):
        qtbot.keyClick(palette.line, Qt.Key.Key_Escape)
    assert not palette.isVisible()
    assert window.stack.currentWidget() is window.pane("data")
    assert settings.recent == []


def test_arrows_walk_around_and_nothing_found_is_said(qtbot: QtBot, window: MainWindow) -> None:
    palette = opened(qtbot, window)
    qtbot.keyClick(palette.line, Qt.Key.Key_Up)
    assert palette.list.currentRow() == palette.list.count() - 1
    qtbot.keyClick(palette.line, Qt.Key.Key_Down)
    assert palette.list.currentRow() == 0
    qtbot.keyClicks(palette.line, "zzzzz")
    assert palette.nothing.isVisible()
    qtbot.keyClick(palette.line, Qt.Key.Key_Return)
    assert palette.isVisible()


def test_a_run_is_paused_and_stopped_from_it(
    qtbot: QtBot, window: MainWindow, fakes: FakeRuns, begun_run: Callable[..., str]
) -> None:
    run = begun_run()
    for words in ("pause sft 1", "stop sft 1"):
        do(qtbot, window, words)
    qtbot.waitUntil(lambda: "pause" in [command.kind for command in fakes.runs[run].sent])
    qtbot.waitUntil(lambda: not window._lab.live())


def test_a_data_set_is_found_by_its_name(qtbot: QtBot, window: MainWindow) -> None:
    window.show_pane("runs")
    palette = opened(qtbot, window)
    qtbot.keyClicks(palette.line, "pairs")
    assert titles(palette)[:2] == ["pairs", "Rank pairs"]
    qtbot.keyClick(palette.line, Qt.Key.Key_Return)
    assert window.stack.currentWidget() is window.pane("data")
    assert window.pane("data").list.currentItem().text() == "pairs"


@pytest.mark.parametrize(
    ("typed", "stage", "advantage"), [("new grpo", "rloo", "group_mean"), ("new dpo", "dpo", None)]
)
def test_a_new_run_begins_in_its_form(
    qtbot: QtBot, window: MainWindow, typed: str, stage: str, advantage: str | None
) -> None:
    do(qtbot, window, typed)
    launchers = window.pane("policy").launchers
    assert launchers.stage == stage
    assert launchers.launcher.form.answers().get("advantage") == advantage


@pytest.mark.parametrize(
    ("name", "page"),
    [("beside", "Side by side"), ("blind", "Blind vote"), ("standings", "Standings"), ("changed", "What changed")],
)
def test_the_pages_of_compare_are_reached(window: MainWindow, lab: Lab, name: str, page: str) -> None:
    lab.actions.trigger(f"compare.{name}")
    assert window.stack.currentWidget() is window.pane("compare")
    assert window.pane("compare").pages[page].isChecked()


def test_a_data_set_is_exported_from_it(qtbot: QtBot, window: MainWindow) -> None:
    do(qtbot, window, "export talks")
    pane = window.pane("data")
    assert pane.stack.currentWidget() is pane.exporter
    assert "talks" in pane.exporter.title.text()


def test_a_run_is_shown_and_resumed_from_it(
    qtbot: QtBot, window: MainWindow, fakes: FakeRuns, begun_run: Callable[..., str]
) -> None:
    run = begun_run()
    fakes.runs[run].die()
    qtbot.waitUntil(lambda: not window._lab.live())
    do(qtbot, window, "show sft 1")
    assert window.pane("sft").run == run
    do(qtbot, window, "resume sft 1")
    qtbot.waitUntil(lambda: fakes.begun[-1] == (run, "resume"))


def test_names_with_a_line_break_are_kept_whole_and_older_lists_are_read(settings: Settings, tmp_path: Path) -> None:
    odd = tmp_path / "two\nlines"
    settings.put_project(tmp_path)
    settings.put_project(odd)
    settings.put_recent([f"project:{odd}", "pane.runs"])
    again = Settings(tmp_path / "settings.ini")
    assert again.projects == [str(odd), str(tmp_path)]
    assert again.recent == [f"project:{odd}", "pane.runs"]
    again.put("projects", "/one\n/two")
    again.put("recent", "pane.runs")
    assert (again.projects, again.recent) == (["/one", "/two"], ["pane.runs"])
