"""Help: everything that is named resolves, nothing is left over, and F1 opens it for what has the keyboard."""

import re
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtWidgets import QApplication, QDialog, QWidget
from pytestqt.qtbot import QtBot

from rlhf_lab import gui
from rlhf_lab.core.config import STAGES
from rlhf_lab.core.help import KINDS, topic, topics
from rlhf_lab.core.metrics import METRICS
from rlhf_lab.gui.help_desk import refs_at
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.models.action_table import ACTIONS
from rlhf_lab.gui.models.form import questions
from rlhf_lab.gui.models.help_pages import composed, page, places, plain
from rlhf_lab.gui.models.places import PLACES
from rlhf_lab.gui.plots.card import CurveCard
from rlhf_lab.gui.settings import SettingsDialog
from rlhf_lab.gui.widgets.help_mark import HelpMark
from rlhf_lab.gui.widgets.help_window import HelpWindow
from rlhf_lab.gui.widgets.models_dialog import ModelsDialog
from rlhf_lab.gui.widgets.recipe_button import open_recipe
from rlhf_lab.gui.widgets.run_export import RunExportDialog
from rlhf_lab.gui.widgets.sweep_dialog import SweepDialog
from tests.gui.runs_made import made_run

SOURCES = [file.read_text(encoding="utf-8") for file in Path(gui.__file__).parent.rglob("*.py")]
NAMED = re.compile(r"""["':](?:help:)?((?:page|pane|control|concept)\.[a-z_]+)["' ]""")
ALTF = Qt.KeyboardModifier.AltModifier


def catalogue() -> list[str]:
    return [name for kind in KINDS for name in topics(kind)]


def links() -> list[tuple[str, str]]:
    return [(name, link) for name in catalogue() for link in topic(name).links]


def named_in_the_code() -> set[str]:
    """``control.agree_…`` and ``control.count_…`` are put together from the names of what they explain."""
    told = {name for source in SOURCES for name in NAMED.findall(source)}
    together = {part for source in SOURCES for part in re.findall(r'f"(?:help:)?(control\.[a-z]+_)\{', source)}
    return told | {name for name in catalogue() if name.startswith(tuple(together))}


def marked(widget: QWidget) -> set[str]:
    return {ref for found in (widget, *widget.findChildren(QWidget)) for ref in refs_at(found)}


# The catalogue


def test_every_pane_has_help() -> None:
    assert [f"pane.{place}" for place in PLACES] == list(topics("pane"))


def test_every_topic_says_something() -> None:
    assert len(catalogue()) > 60
    for name in catalogue():
        assert topic(name).title, name
        assert len(topic(name).tip) > 8, name
        assert "\n" not in topic(name).tip.replace("\n\n", ""), name


@pytest.mark.parametrize(("name", "link"), links())
def test_every_link_leads_somewhere(name: str, link: str) -> None:
    kind, _, what = link.partition(":")
    if kind == "do":
        assert what in ACTIONS
    else:
        assert page(link).markdown


def test_what_the_links_do_is_done_by_somebody(window: MainWindow, lab: Lab) -> None:
    asked = {link.removeprefix("do:") for _, link in links() if link.startswith("do:")}
    assert len(asked) >= 10
    assert [name for name in asked if not lab.actions.known(name)] == []


def test_every_name_in_the_code_is_in_the_catalogue() -> None:
    told = {
        name for name in named_in_the_code() if not name.startswith("pane.") or name.removeprefix("pane.") in PLACES
    }
    assert told - set(catalogue()) == set()


def test_no_topic_is_left_over() -> None:
    """Controls are named in the code; concepts and pages are reached by links from what is."""
    reached = {name for name in catalogue() if name.startswith("pane.")} | (named_in_the_code() & set(catalogue()))
    front = list(reached)
    while front:
        new = {link.removeprefix("help:") for link in topic(front.pop()).links if link.startswith("help:")}
        new = (new & set(catalogue())) - reached
        reached |= new
        front += new
    assert set(catalogue()) - reached == set()
    controls = {name for name in catalogue() if name.startswith("control.")}
    assert controls - named_in_the_code() == set(), "a control that no widget names"


def test_every_mark_in_the_window_resolves(window: MainWindow) -> None:
    for place in PLACES:
        window.show_pane(place)
    found = marked(window)
    assert {ref for ref in found if not page(ref).markdown} == set()
    assert len(found) > 80
    marks = window.findChildren(HelpMark)
    assert [mark.accessibleName() for mark in marks if not refs_at(mark)] == []


@pytest.mark.parametrize("stage", list(STAGES))
def test_every_field_has_a_page(stage: str) -> None:
    for question in questions(stage):
        shown = page(f"field:{stage}.{question.name}")
        assert shown.title == question.label
        assert plain(question.help) in shown.markdown


def test_every_metric_has_a_page() -> None:
    for name, metric in METRICS.items():
        shown = page(f"metric:{name}").markdown
        assert plain(metric.meaning) in shown
        assert plain(metric.advice) in shown


def test_every_key_stands_on_the_page_of_keys() -> None:
    shown = page("help:keys", lambda keys: f"<{keys}>").markdown
    assert [a.name for a in ACTIONS.values() for keys in a.keys if plain(f"<{keys}>") not in shown] == []


def test_the_palette_finds_every_page() -> None:
    refs = [ref for ref, _, _ in places()]
    assert len(refs) == len(set(refs))
    assert {f"help:{name}" for name in catalogue()} | {f"metric:{name}" for name in METRICS} <= set(refs)


@pytest.mark.parametrize("ref", ["help:pane.nowhere", "metric:none", "field:ppo.none", "what", "help:none.x"])
def test_a_page_that_there_is_not_is_a_key_error(ref: str) -> None:
    with pytest.raises(KeyError):
        page(ref)


def test_text_that_is_no_markdown_is_shown_as_it_is() -> None:
    assert plain("log π_ref * [a] <b>") == r"log π\_ref \* \[a\] \<b\>"


# The claims


def test_every_claim_says_where_to_look() -> None:
    claims = topic("page.claims").text.split("### ")[1:]
    assert len(claims) == 7
    for claim in claims:
        assert "*See it:*" in claim, claim
        assert "](do:" in claim.split("*See it:*")[1], claim


def test_a_link_of_the_claims_goes_to_the_view(qtbot: QtBot, window: MainWindow, lab: Lab) -> None:
    lab.actions.trigger("help.claims")
    view = window.help.view
    view.text.anchorClicked.emit(QUrl("do:runs.lineage"))
    assert window.stack.currentWidget() is window.pane("runs")
    assert window.pane("runs").tabs.currentWidget() is window.pane("runs").lineage
    assert view.isVisible()


# F1


def test_f1_on_a_field_says_what_it_is(qtbot: QtBot, window: MainWindow) -> None:
    window.show_pane("policy")
    form = window.pane("policy").launcher.form
    editor = form.editor("kl_coef")
    editor.setFocus()
    refs = refs_at(editor)
    assert refs == ["field:ppo.kl_coef", "help:control.form", "help:pane.policy"]
    qtbot.keyClick(editor, Qt.Key.Key_F1)
    shown = window.help.view.shown
    assert shown is not None
    assert shown.title == "KL penalty (β)"
    assert "[Policy](help:pane.policy)" in shown.markdown


def test_f1_on_a_plot_says_what_its_metrics_are(qtbot: QtBot, window: MainWindow) -> None:
    window.show_pane("policy")
    card = window.pane("policy").board.findChild(CurveCard)
    refs = refs_at(card.plot)
    assert refs[:2] == ["metric:objective/scores", "metric:eval/score"]
    shown = composed(refs)
    assert METRICS["objective/scores"].label == shown.title
    assert [ref for ref in refs if "metric:" in ref and f"`{ref.removeprefix('metric:')}`" not in shown.markdown] == []


@pytest.mark.parametrize("place", PLACES)
def test_f1_in_a_pane_without_more_says_what_the_pane_is(qtbot: QtBot, window: MainWindow, place: str) -> None:
    window.show_pane(place)
    assert composed(refs_at(window.pane(place))).title == topic(f"pane.{place}").title


def test_back_and_escape(qtbot: QtBot, window: MainWindow, lab: Lab) -> None:
    lab.actions.trigger("help.contents")
    view = window.findChild(HelpWindow)
    assert not view.back.isEnabled()
    view.text.anchorClicked.emit(QUrl("help:concept.kl"))
    assert view.title.text() == "KL"
    qtbot.keyClick(view, Qt.Key.Key_Left, ALTF)
    assert view.title.text() == "Help"
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    assert not view.isVisible()


def test_a_tooltip_of_the_rail_and_its_help_are_one(window: MainWindow) -> None:
    button = window.rail._buttons["rank"]
    assert topic("pane.rank").tip in button.toolTip()
    assert "Ctrl+2" in button.toolTip()
    assert refs_at(button) == ["help:pane.rank"]


def test_f1_in_the_settings_says_what_a_setting_does(qtbot: QtBot, window: MainWindow) -> None:
    window.show_settings()
    dialog = window.findChild(SettingsDialog)
    window.show_settings()
    assert len(window.findChildren(SettingsDialog)) == 1
    qtbot.waitUntil(dialog.isActiveWindow)
    dialog.awake.setFocus()
    qtbot.keyClick(dialog.awake, Qt.Key.Key_F1)
    assert window.help.view.title.text() == topic("control.awake").title
    dialog.close()


def test_f1_in_the_recipe_is_about_recipes(qtbot: QtBot, window: MainWindow, lab: Lab) -> None:
    dialog = open_recipe(lab, window)
    assert dialog is not None
    dialog.activateWindow()
    qtbot.waitUntil(dialog.text.hasFocus)
    qtbot.keyClick(dialog.text, Qt.Key.Key_F1)
    assert window.help.view.shown == page("help:control.recipe")
    dialog.close()
    window.help.view.close()


@pytest.mark.parametrize("which", ["models", "sweep", "export_run"])
def test_f1_in_a_window_beside_opens_help_that_can_be_used(
    which: str, qtbot: QtBot, window: MainWindow, lab: Lab, model: str
) -> None:
    if which == "models":
        lab.actions.trigger("models.show")
        dialog: QDialog = window.findChild(ModelsDialog)
    elif which == "export_run":
        made_run(lab.project, "sft-1")
        window.show_pane("runs")
        window.pane("runs").select("sft-1")
        window.pane("runs").export.click()
        dialog = window.findChild(RunExportDialog)
    else:
        window.show_pane("sft")
        pane = window.pane("sft")
        pane.fill_in({"dataset": "talks", "model": model})
        qtbot.waitUntil(pane.launcher.start.isEnabled, timeout=30_000)
        qtbot.mouseClick(pane.launcher.sweep, Qt.MouseButton.LeftButton)
        dialog = window.findChild(SweepDialog)
    qtbot.waitUntil(dialog.isActiveWindow)
    qtbot.keyClick(dialog.focusWidget() or dialog, Qt.Key.Key_F1)
    assert window.help.view.shown == page(f"help:control.{which}")
    assert QApplication.activeModalWidget() is None, "it would block the help"
    dialog.close()
    window.help.view.close()
