"""Editing a record: what was changed is stored, what was not stays to the letter, and nonsense is refused in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import (
    AnyRecord,
    Candidates,
    Completion,
    Demonstration,
    Pair,
    PromptOnly,
    Ranking,
    Rated,
    Unpaired,
)
from rlhf_lab.gui.models.record_edit import Draft, draft_of, edited
from rlhf_lab.gui.widgets.record_editor import MOST_EDITED, RecordEditor
from tests.gui.conftest import prompt

ODD = "a\u00a0b\r\nc\td\u202e!"
TWO = (Completion(text=ODD, source="m1"), Completion(text="plain", source="m2"))
EVERY_KIND: list[AnyRecord] = [
    PromptOnly(prompt=prompt(1)),
    Demonstration(prompt=prompt(1), completion=TWO[0]),
    Unpaired(prompt=prompt(1), completion=TWO[0], label=False),
    Pair(prompt=prompt(1), chosen=TWO[0], rejected=TWO[1], margin=2.5, tags={"annotator": "ann"}),
    Candidates(prompt=prompt(1), completions=TWO, split="heldout"),
    Ranking(prompt=prompt(1), completions=TWO, ranks=(2, 1)),
    Rated(prompt=prompt(1), completions=TWO, ratings=(1 / 3, -2.0)),
]


@pytest.fixture
def editor(qtbot: QtBot) -> RecordEditor:
    made = RecordEditor()
    qtbot.addWidget(made)
    made.resize(800, 400)
    with qtbot.waitExposed(made):
        made.show()
    return made


@pytest.mark.parametrize("record", EVERY_KIND, ids=lambda record: record.kind)
def test_nothing_changed_is_nothing_saved(qtbot: QtBot, editor: RecordEditor, record: AnyRecord) -> None:
    editor.show_record(record)
    assert edited(record, editor.draft()) == record
    with qtbot.waitSignal(editor.left), qtbot.assertNotEmitted(editor.saved):
        qtbot.mouseClick(editor.save, Qt.MouseButton.LeftButton)


@given(st.text(min_size=1, max_size=30).filter(str.strip), st.sampled_from(EVERY_KIND))
def test_only_what_was_edited_changes(text: str, record: AnyRecord) -> None:
    draft = draft_of(record)
    new = edited(record, Draft((text,), draft.texts, draft.split, draft.numbers, draft.liked, draft.tie))
    assert new.prompt.messages[0].content == text
    assert edited(new, draft) == record


def test_typing_and_saving_by_keyboard(qtbot: QtBot, editor: RecordEditor) -> None:
    record = EVERY_KIND[3]
    assert isinstance(record, Pair)
    editor.show_record(record)
    qtbot.waitUntil(editor.texts[0].hidden.isVisible)  # somebody who edits it must know of control characters
    editor.texts[1].edit.selectAll()
    qtbot.keyClicks(editor.texts[1].edit, "better")
    with qtbot.waitSignal(editor.saved) as saved:
        qtbot.keyClick(editor.texts[1].edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    new = saved.args[0]
    assert (new.chosen, new.rejected) == (record.chosen, Completion(text="better", source="m2"))
    assert (new.margin, new.tags) == (2.5, {"annotator": "ann"})


def test_an_edited_text_keeps_spaces_that_do_not_break(qtbot: QtBot, editor: RecordEditor) -> None:
    editor.show_record(Demonstration(prompt=prompt(1), completion=Completion(text="a\u00a0b\nc")))
    qtbot.keyClicks(editor.texts[0].edit, "x")
    assert editor.draft().texts == ("xa\u00a0b\nc",)


def test_the_other_is_better_takes_its_source_along(qtbot: QtBot, editor: RecordEditor) -> None:
    editor.show_record(EVERY_KIND[3])
    qtbot.mouseClick(editor.swap, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(editor.saved) as saved:
        qtbot.mouseClick(editor.save, Qt.MouseButton.LeftButton)
    assert (saved.args[0].chosen, saved.args[0].rejected) == TWO[::-1]
    assert saved.args[0].margin is None, "it was measured the other way round"


def test_ranks_are_edited_as_numbers(qtbot: QtBot, editor: RecordEditor) -> None:
    editor.show_record(EVERY_KIND[5])
    editor.texts[0].number.setValue(1)
    with qtbot.waitSignal(editor.saved) as saved:
        qtbot.mouseClick(editor.save, Qt.MouseButton.LeftButton)
    assert saved.args[0].ranks == (1, 1)


def test_nonsense_is_refused_in_place(qtbot: QtBot, editor: RecordEditor) -> None:
    editor.show_record(EVERY_KIND[3])
    editor.texts[0].edit.setPlainText("plain")
    editor.texts[0].edit.document().setModified(True)
    with qtbot.assertNotEmitted(editor.saved):
        qtbot.mouseClick(editor.save, Qt.MouseButton.LeftButton)
    assert "the same" in editor.problem.text()
    editor.tie.setChecked(True)
    with qtbot.waitSignal(editor.saved):
        qtbot.mouseClick(editor.save, Qt.MouseButton.LeftButton)
    editor.show_record(EVERY_KIND[1])
    editor.texts[0].edit.selectAll()
    qtbot.keyClick(editor.texts[0].edit, Qt.Key.Key_Delete)
    with qtbot.assertNotEmitted(editor.saved):
        qtbot.mouseClick(editor.save, Qt.MouseButton.LeftButton)
    assert "empty" in editor.problem.text()


def test_a_text_that_would_stop_the_window_is_not_edited(editor: RecordEditor) -> None:
    with pytest.raises(LabError, match="export"):
        editor.show_record(Demonstration(prompt=prompt(1), completion=Completion(text="a" * (MOST_EDITED + 1))))
