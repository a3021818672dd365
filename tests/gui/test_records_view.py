"""The records of a data set under a person's hands: search, filter, edit, delete, undo; everything stored at once."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.core.records import Completion, Pair, PromptOnly, Ranking
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.records_table import RecordsTable
from rlhf_lab.gui.panes.data import DataPane
from rlhf_lab.gui.widgets.records_view import RecordsView
from rlhf_lab.runs.project import Project
from rlhf_lab.store import Row, Store
from tests.gui.conftest import prompt, split

CTRL, CTRL_SHIFT = (
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier,
)


@pytest.fixture
def pane(qtbot: QtBot, lab: Lab) -> Iterator[DataPane]:
    with lab.project.store.new_dataset("many kinds", "lab", "pair") as writer:
        writer.add(
            Pair(
                prompt=prompt(n),
                chosen=Completion(text="word " * n + "end", source="ann" if n % 2 else "bob"),
                rejected=Completion(text="no", source="carl"),
                split=split(n),
            )
            for n in range(30)
        )
        writer.add([PromptOnly(prompt=prompt(99))])
        texts = (Completion(text="first"), Completion(text="second"))
        writer.add([Ranking(prompt=prompt(98), completions=texts, ranks=(2, 1))])
    made = DataPane(lab)
    qtbot.addWidget(made, before_close_func=lambda widget: lab.let_go())
    made.resize(1100, 720)
    with qtbot.waitExposed(made):
        made.show()
    made.select("many kinds")
    return made


@pytest.fixture
def view(pane: DataPane) -> RecordsView:
    return pane.view.records


def numbers(view: RecordsView) -> list[str]:
    model = view.table.model()
    return [model.index(row, 0).data() for row in range(model.rowCount())]


def wait_for_matches(qtbot: QtBot, view: RecordsView, text: str) -> None:
    qtbot.waitUntil(lambda: view.bar.matches.text() == text)


@contextmanager
def locked(project: Project) -> Iterator[None]:
    """Another process writes."""
    with closing(sqlite3.connect(project.store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def type_over(qtbot: QtBot, view: RecordsView, text: str) -> None:
    """Edit the chosen record, and do not save it."""
    qtbot.mouseClick(view.edit, Qt.MouseButton.LeftButton)
    view.editor.texts[0].edit.selectAll()
    qtbot.keyClicks(view.editor.texts[0].edit, text)


def rename(qtbot: QtBot, pane: DataPane, name: str) -> None:
    qtbot.mouseClick(pane.view.rename, Qt.MouseButton.LeftButton)
    qtbot.keyClicks(pane.view.new_name, name)
    qtbot.keyClick(pane.view.new_name, Qt.Key.Key_Return)


def choose(view: RecordsView, choice: str, text: str) -> None:
    box = getattr(view.bar, choice)
    box.setCurrentIndex(box.findText(text))


def test_filters_narrow_what_is_shown_and_clearing_brings_all_back(qtbot: QtBot, view: RecordsView) -> None:
    assert not view.bar.split.isVisible()
    qtbot.mouseClick(view.bar.more, Qt.MouseButton.LeftButton)
    choose(view, "split", "held out")
    wait_for_matches(qtbot, view, "3 matches")
    assert numbers(view) == ["1", "11", "21"]
    assert view.bar.more.text() == "Filters (1)"
    view.bar.shortest.setValue(60)
    wait_for_matches(qtbot, view, "1 match")
    assert numbers(view) == ["21"]
    assert view.reading.prompt.view.toPlainText() == "Is 20 a number?"
    qtbot.mouseClick(view.bar.clear, Qt.MouseButton.LeftButton)
    assert view.table.model().rowCount() == 32
    assert view.bar.matches.text() == ""
    assert not view.bar.clear.isVisible()


def test_a_source_is_chosen_among_those_that_are_there(qtbot: QtBot, view: RecordsView) -> None:
    assert not view.bar.source.isVisible()
    qtbot.mouseClick(view.bar.more, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: view.bar.source.count() == 4)
    choose(view, "source", "ann")
    wait_for_matches(qtbot, view, "15 matches")
    assert numbers(view)[:3] == ["2", "4", "6"]


def test_kinds_and_a_search_together(qtbot: QtBot, view: RecordsView) -> None:
    qtbot.mouseClick(view.bar.more, Qt.MouseButton.LeftButton)
    choose(view, "kind", "ranking")
    wait_for_matches(qtbot, view, "1 match")
    assert [part.heading.text() for part in view.reading.parts if part.isVisible()] == ["Rank 1", "Rank 2"]
    qtbot.keyClicks(view.bar.search, "nowhere")
    wait_for_matches(qtbot, view, "0 matches")
    assert view.table.model().rowCount() == 0
    assert not view.edit.isEnabled()


def test_an_edit_is_stored_seen_filtered_and_undone(qtbot: QtBot, view: RecordsView, project: Project) -> None:
    view.table.choose(4)
    view.table.setFocus()
    qtbot.keyClick(view.table, Qt.Key.Key_F2)
    assert view.place.currentWidget() is view.editor
    view.editor.texts[0].edit.selectAll()
    qtbot.keyClicks(view.editor.texts[0].edit, "changed by hand")
    qtbot.keyClick(view.editor.texts[0].edit, Qt.Key.Key_Return, CTRL)
    qtbot.waitUntil(lambda: view.reading.left.view.toPlainText() == "changed by hand")
    assert view.place.currentWidget() is view.reading
    assert view.table.currentIndex().row() == 4, "the place is kept"
    with Store.open(project.store.path) as other:
        assert other.page_at("many kinds", 4, 1)[0].record.chosen == Completion(text="changed by hand", source="bob")
    choose(view, "state", "edited here")
    wait_for_matches(qtbot, view, "1 match")
    assert numbers(view) == ["5"]
    qtbot.mouseClick(view.bar.clear, Qt.MouseButton.LeftButton)
    assert view.undo.isEnabled()
    assert not view.redo.isEnabled()
    view.table.setFocus()
    qtbot.keyClick(view.table, Qt.Key.Key_Z, CTRL)
    qtbot.waitUntil(lambda: view.redo.isEnabled())
    assert project.store.page_at("many kinds", 4, 1)[0].record.chosen.text == "word " * 4 + "end"
    qtbot.keyClick(view.table, Qt.Key.Key_Z, CTRL_SHIFT)
    qtbot.waitUntil(lambda: view.undo.isEnabled())
    assert project.store.page_at("many kinds", 4, 1)[0].record.chosen.text == "changed by hand"


def test_escape_leaves_the_record_as_it_was(qtbot: QtBot, view: RecordsView, project: Project) -> None:
    before = project.store.page_at("many kinds", 0, 1)[0].record
    qtbot.mouseClick(view.edit, Qt.MouseButton.LeftButton)
    qtbot.keyClicks(view.editor.texts[0].edit, "half a thought")
    qtbot.keyClick(view.editor.texts[0].edit, Qt.Key.Key_Escape)
    assert view.place.currentWidget() is view.reading
    assert project.store.page_at("many kinds", 0, 1)[0].record == before


def test_what_was_typed_is_kept_by_somebody_who_goes_elsewhere(
    qtbot: QtBot, pane: DataPane, view: RecordsView, project: Project, lab: Lab
) -> None:
    qtbot.mouseClick(view.edit, Qt.MouseButton.LeftButton)
    view.editor.texts[0].edit.selectAll()
    qtbot.keyClicks(view.editor.texts[0].edit, "typed")
    with qtbot.waitSignal(lab.message) as told:
        view.table.choose(5)
    assert "kept" in told.args[0]
    qtbot.waitUntil(lambda: project.store.page_at("many kinds", 0, 1)[0].record.chosen.text == "typed")
    qtbot.waitUntil(view.undo.isEnabled)
    assert view.table.currentIndex().row() == 5
    qtbot.mouseClick(view.edit, Qt.MouseButton.LeftButton)
    qtbot.keyClicks(view.editor.texts[1].edit, "also ")
    pane.select("pairs")
    qtbot.waitUntil(lambda: project.store.page_at("many kinds", 5, 1)[0].record.rejected.text == "also no")
    pane.select("many kinds")
    qtbot.mouseClick(view.edit, Qt.MouseButton.LeftButton)
    qtbot.keyClicks(view.editor.texts[1].edit, "at last ")
    lab.let_go()
    assert project.store.page_at("many kinds", 0, 1)[0].record.rejected.text == "at last no"


def test_what_cannot_be_stored_is_said_when_somebody_goes_elsewhere(
    qtbot: QtBot, view: RecordsView, project: Project, lab: Lab
) -> None:
    before = project.store.page_at("many kinds", 0, 1)[0].record
    qtbot.mouseClick(view.edit, Qt.MouseButton.LeftButton)
    view.editor.texts[0].edit.selectAll()
    qtbot.keyClick(view.editor.texts[0].edit, Qt.Key.Key_Delete)
    with qtbot.waitSignal(lab.message) as told:
        view.table.choose(5)
    assert "not kept" in told.args[0]
    assert project.store.page_at("many kinds", 0, 1)[0].record == before


def test_a_record_that_is_edited_while_its_data_set_is_renamed_keeps_what_was_typed(
    qtbot: QtBot, pane: DataPane, view: RecordsView, project: Project
) -> None:
    with locked(project):
        type_over(qtbot, view, "typed")
        rename(qtbot, pane, "other name")
        assert project.store.count("many kinds") == 32, "what was typed is stored first"
    qtbot.waitUntil(lambda: "other name" in [row.name for row in project.store.datasets()])
    assert project.store.page_at("other name", 0, 1)[0].record.chosen.text == "typed"
    assert not view.editing
    assert pane.view.name.text() == "other name"


def test_a_data_set_keeps_its_name_while_a_record_is_edited_that_cannot_be_stored(
    qtbot: QtBot, pane: DataPane, view: RecordsView, project: Project, lab: Lab
) -> None:
    qtbot.mouseClick(view.edit, Qt.MouseButton.LeftButton)
    view.editor.texts[0].edit.selectAll()
    qtbot.keyClick(view.editor.texts[0].edit, Qt.Key.Key_Delete)
    view.editor.texts[1].edit.selectAll()
    qtbot.keyClicks(view.editor.texts[1].edit, "a long text")
    with qtbot.waitSignal(lab.message) as told:
        rename(qtbot, pane, "other name")
    assert "keeps its name" in told.args[0]
    assert project.store.count("many kinds") == 32
    assert view.editing
    assert view.editor.texts[1].text() == "a long text"
    qtbot.keyClick(view.editor.texts[1].edit, Qt.Key.Key_Escape)
    qtbot.mouseClick(view.edit, Qt.MouseButton.LeftButton)  # nothing is typed: nothing stands in the way
    rename(qtbot, pane, "other name")
    assert project.store.count("other name") == 32


def test_what_is_seen_is_deleted_even_if_other_filters_were_just_typed(
    qtbot: QtBot, view: RecordsView, project: Project
) -> None:
    view.bar.search.setText("word")
    wait_for_matches(qtbot, view, "29 matches")
    view.bar.search.clear()
    view.table.choose(0)
    view.table.setFocus()
    qtbot.keyClick(view.table, Qt.Key.Key_Delete)  # before the table has followed
    qtbot.waitUntil(lambda: project.store.count("many kinds") == 31)
    assert [row.id & 0xFFFF for row in project.store.page_at("many kinds", 0, 3)] == [0, 2, 3]


def test_several_records_are_deleted_with_one_key_and_come_back(
    qtbot: QtBot, pane: DataPane, view: RecordsView
) -> None:
    view.table.setFocus()
    view.table.choose(1)
    qtbot.keyClick(view.table, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(view.table, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: view.table.model().rowCount() == 30)
    assert numbers(view)[:3] == ["1", "4", "5"], "the numbers of the others stay"
    assert view.reading.prompt.view.toPlainText() == "Is 3 a number?"
    assert "30 records" in pane.view.facts.text()
    qtbot.mouseClick(view.undo, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: view.table.model().rowCount() == 32)
    assert numbers(view)[:3] == ["1", "2", "3"]


def test_a_range_of_what_was_found_is_deleted_and_nothing_else(
    qtbot: QtBot, view: RecordsView, project: Project
) -> None:
    qtbot.mouseClick(view.bar.more, Qt.MouseButton.LeftButton)
    choose(view, "split", "held out")
    wait_for_matches(qtbot, view, "3 matches")
    view.table.selectAll()
    view.table.setFocus()
    qtbot.keyClick(view.table, Qt.Key.Key_Delete)
    wait_for_matches(qtbot, view, "0 matches")
    assert project.store.count("many kinds") == 29
    assert all(record.split == "train" for record in project.store.records("many kinds"))


def test_a_million_chosen_records_are_neither_asked_one_by_one_nor_deleted_at_once(
    qtbot: QtBot, view: RecordsView, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, columns = [0], RecordsTable.columnCount

    def count(*parts: object) -> int:
        asked[0] += 1
        return columns(*parts)

    monkeypatch.setattr(RecordsTable, "columnCount", count)
    row = PromptOnly(prompt=prompt(1))
    view.model.show_pages("prompt", 1_000_000, lambda at, most: [Row(n, row) for n in range(at, at + most)])
    view.table.selectAll()
    view.table.grab()
    assert 0 < asked[0] < 100_000, "the table was asked, and painting did not ask every row"
    view.table.setFocus()
    with qtbot.waitSignal(lab.message) as told:
        qtbot.keyClick(view.table, Qt.Key.Key_Delete)
    assert "10,000" in told.args[0]


def test_another_data_set_is_shown_without_the_filters_of_the_last(
    qtbot: QtBot, pane: DataPane, view: RecordsView
) -> None:
    qtbot.keyClicks(view.bar.search, "nowhere")
    wait_for_matches(qtbot, view, "0 matches")
    qtbot.mouseClick(view.bar.more, Qt.MouseButton.LeftButton)
    assert view.bar.kind.isVisible()
    pane.select("pairs")
    assert view.bar.search.text() == ""
    assert view.table.model().rowCount() == 40
    assert not view.bar.kind.isVisible(), "all are pairs"


def test_a_large_data_set_is_indexed_behind_and_found_in(qtbot: QtBot, pane: DataPane, project: Project) -> None:
    with project.store.new_dataset("large", "lab", "prompt") as writer:
        writer.add(PromptOnly(prompt=prompt(n)) for n in range(6000))
    pane.refresh()
    pane.select("large")
    view = pane.view.records
    qtbot.waitUntil(lambda: project.store.search_ready("large"), timeout=20_000)
    qtbot.waitUntil(lambda: not view.bar.indexing.isVisible())
    qtbot.keyClicks(view.bar.search, "5999")
    wait_for_matches(qtbot, view, "1 match")
    assert numbers(view) == ["6,000"]


def test_undo_leaves_a_record_chosen_while_ctrl_is_still_held(
    qtbot: QtBot, view: RecordsView, project: Project
) -> None:
    view.table.setFocus()
    qtbot.keyClick(view.table, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: view.table.model().rowCount() == 31)
    qtbot.keyPress(view.table, Qt.Key.Key_Control)
    qtbot.keyPress(view.table, Qt.Key.Key_Z, CTRL)
    qtbot.waitUntil(lambda: view.table.model().rowCount() == 32)
    chosen = [index.row() for index in view.table.selectionModel().selectedRows()]
    qtbot.keyRelease(view.table, Qt.Key.Key_Z, CTRL)
    qtbot.keyRelease(view.table, Qt.Key.Key_Control)
    assert chosen == [0]
