"""The Data pane as a person uses it: drop, look, import, search, rename, delete."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDragMoveEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.file_export import Wanted
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.panes.data import DataPane
from rlhf_lab.gui.widgets.message_bar import Question
from rlhf_lab.gui.widgets.two_line_item import SECOND_LINE
from rlhf_lab.runs.project import Project


@pytest.fixture
def pane(qtbot: QtBot, lab: Lab) -> Iterator[DataPane]:
    made = DataPane(lab)
    qtbot.addWidget(made, before_close_func=lambda widget: lab.let_go())
    made.resize(1100, 720)
    with qtbot.waitExposed(made):
        made.show()
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tea.jsonl"
    rows = [{"prompt": f"Tea {n}?", "chosen": "Yes, please.", "rejected": "Go away."} for n in range(20)]
    lines = [json.dumps(row) for row in rows]
    lines.insert(3, "this is no JSON")
    path.write_text("\n".join(lines))
    return path


def drag(target: QWidget, *paths: Path) -> QMimeData:
    """Drag files over the widget with real events; drop with `drop`."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    middle, actions = QPoint(target.width() // 2, target.height() // 2), Qt.DropAction.CopyAction
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(middle, actions, data, left, none)
    QApplication.sendEvent(target, enter)
    if enter.isAccepted():
        QApplication.sendEvent(target, QDragMoveEvent(middle, actions, data, left, none))
    return data


def drop(target: QWidget, data: QMimeData) -> None:
    middle = QPointF(target.width() / 2, target.height() / 2)
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(target, QDropEvent(middle, Qt.DropAction.CopyAction, data, left, none))


def names(pane: DataPane) -> list[str]:
    return [pane.list.item(row).text() for row in range(pane.list.count())]


def wait_for_preview(qtbot: QtBot, pane: DataPane) -> None:
    qtbot.waitUntil(lambda: pane.panel.go.isVisible())


def begin_large_import(qtbot: QtBot, pane: DataPane, folder: Path) -> None:
    """One that goes on until it is cancelled."""
    large = folder / "large.jsonl"
    with large.open("w") as lines:
        for n in range(120_000):
            lines.write(json.dumps({"prompt": f"Tea {n}?", "chosen": "Yes, please.", "rejected": "Go away."}) + "\n")
    drop(pane, drag(pane, large))
    wait_for_preview(qtbot, pane)
    qtbot.mouseClick(pane.panel.go, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: pane.panel.bar.value() > 0)


def test_a_dropped_file_is_previewed_imported_and_shown(
    qtbot: QtBot, pane: DataPane, project: Project, file: Path
) -> None:
    data = drag(pane, file)
    assert pane.target.property("surface") == "drop"
    drop(pane, data)
    assert pane.target.property("surface") == ""
    wait_for_preview(qtbot, pane)
    assert "TRL" in pane.panel.format.text()
    assert pane.panel.problems.toPlainText().startswith("line 4:")
    assert len(project.store.datasets()) == 2, "nothing is stored before the person says so"
    qtbot.mouseClick(pane.panel.go, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: pane.stack.currentWidget() is pane.view)
    assert names(pane) == ["talks", "pairs", "tea"]
    assert pane.list.currentItem().text() == "tea"
    assert pane.view.records.table.model().rowCount() == 20
    assert pane.view.records.reading.left.view.toPlainText() == "Yes, please."
    assert pane.view.tabs.tabText(2) == "Problems (1)"
    pane.view.tabs.setCurrentWidget(pane.view.problems)
    assert "line 4" in pane.view.problems.list.toPlainText()


def test_leaving_the_pane_takes_the_highlight_away(pane: DataPane, file: Path) -> None:
    drag(pane, file)
    QApplication.sendEvent(pane, QDragLeaveEvent())
    assert pane.target.property("surface") == ""


def test_text_that_is_dragged_is_no_file(pane: DataPane) -> None:
    data = QMimeData()
    data.setText("hello")
    event = QDragEnterEvent(
        QPoint(50, 50), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    event.ignore()
    QApplication.sendEvent(pane, event)
    assert not event.isAccepted()


def test_a_file_that_is_no_data_set_is_refused_in_place(
    qtbot: QtBot, pane: DataPane, project: Project, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("height,width\n1,2\n")
    drop(pane, drag(pane, wrong))
    wait_for_preview(qtbot, pane)
    assert not pane.panel.go.isEnabled()
    assert "height" in pane.panel.format.text()
    assert pane.panel.go.toolTip()
    qtbot.keyClick(pane.panel.cancel, Qt.Key.Key_Space)
    assert pane.stack.currentWidget() is pane.view
    assert len(project.store.datasets()) == 2


def test_a_folder_stands_for_its_data_files(qtbot: QtBot, pane: DataPane, file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(file.read_bytes())
    (folder / "b.jsonl").write_bytes(file.read_bytes() + b'\n{"prompt": "More?", "chosen": "Yes.", "rejected": "No."}')
    (folder / "picture.png").write_bytes(b"\x89PNG")
    drop(pane, drag(pane, folder))
    wait_for_preview(qtbot, pane)
    assert pane.panel.files.count() == 3, "what cannot be imported is shown with its reason"
    assert "2 files" in pane.panel.go.text()
    with qtbot.waitSignal(pane._lab.message) as told:
        qtbot.mouseClick(pane.panel.go, Qt.MouseButton.LeftButton)
    assert names(pane)[2:] == ["many/a", "many/b"]
    assert "41 records of 2 files" in told.args[0]
    assert "picture" in told.args[0]


def test_search_finds_in_prompts_and_answers(qtbot: QtBot, pane: DataPane) -> None:
    pane.select("pairs")
    pane.view.records.bar.search.setFocus()
    qtbot.keyClicks(pane.view.records.bar.search, "17 is none")
    qtbot.waitUntil(lambda: pane.view.records.bar.matches.text() == "1 match")
    assert pane.view.records.reading.prompt.view.toPlainText() == "Is 17 a number?"
    pane.view.records.bar.search.clear()
    qtbot.waitUntil(lambda: pane.view.records.table.model().rowCount() == 40)
    assert pane.view.records.bar.matches.text() == ""


def test_rename_and_a_name_that_is_taken(qtbot: QtBot, pane: DataPane, lab: Lab) -> None:
    pane.select("pairs")
    qtbot.mouseClick(pane.view.rename, Qt.MouseButton.LeftButton)
    pane.view.new_name.selectAll()
    qtbot.keyClicks(pane.view.new_name, "talks")
    with qtbot.waitSignal(lab.message) as told:
        qtbot.keyClick(pane.view.new_name, Qt.Key.Key_Return)
    assert "already" in told.args[0]
    qtbot.mouseClick(pane.view.rename, Qt.MouseButton.LeftButton)
    qtbot.keyClicks(pane.view.new_name, "choices")
    qtbot.keyClick(pane.view.new_name, Qt.Key.Key_Return)
    assert names(pane) == ["talks", "choices"]
    assert pane.list.currentItem().text() == "choices"


def test_deleting_asks_in_the_pane(qtbot: QtBot, pane: DataPane, project: Project) -> None:
    pane.select("pairs")
    qtbot.mouseClick(pane.view.delete, Qt.MouseButton.LeftButton)
    question = pane.view.findChild(Question)
    assert "40 records" in question.text
    assert len(project.store.datasets()) == 2
    qtbot.mouseClick(question.findChild(QPushButton), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: names(pane) == ["talks"])


def test_what_a_data_set_is_good_for_leads_to_the_pane(qtbot: QtBot, pane: DataPane, lab: Lab) -> None:
    pane.select("pairs")
    with qtbot.waitSignal(lab.pane_asked) as asked:
        qtbot.mouseClick(pane.view.uses[0], Qt.MouseButton.LeftButton)
    assert asked.args == ["reward", {"dataset": "pairs"}]
    with qtbot.waitSignal(lab.pane_asked) as asked:
        qtbot.mouseClick(pane.view.uses[1], Qt.MouseButton.LeftButton)
    assert asked.args == ["policy", {"dataset": "pairs", "stage": "dpo"}]
    with qtbot.waitSignal(lab.pane_asked) as asked:
        qtbot.mouseClick(pane.view.uses[2], Qt.MouseButton.LeftButton)
    assert asked.args == ["rank", {"dataset": "pairs"}]
    pane.select("talks")
    assert [button.isVisible() for button in pane.view.uses] == [True, False, False, False]
    with qtbot.waitSignal(lab.pane_asked) as asked:
        qtbot.mouseClick(pane.view.uses[0], Qt.MouseButton.LeftButton)
    assert asked.args == ["sft", {"dataset": "talks"}]


def test_an_empty_project_says_what_to_do(qtbot: QtBot, pane: DataPane, project: Project, lab: Lab) -> None:
    for name in ("talks", "pairs"):
        project.store.delete_dataset(name)
    lab.datasets_changed.emit()
    assert pane.stack.currentWidget() is pane.empty
    assert "Drop" in pane.empty.text()
    assert pane.guide.isVisible()


def test_cancelling_an_import_leaves_nothing(qtbot: QtBot, pane: DataPane, project: Project, tmp_path: Path) -> None:
    begin_large_import(qtbot, pane, tmp_path)
    with qtbot.waitSignal(pane._lab.message) as told:
        qtbot.mouseClick(pane.panel.cancel, Qt.MouseButton.LeftButton)
    assert "cancelled" in told.args[0]
    assert [row.name for row in project.store.datasets()] == ["talks", "pairs"]
    assert pane.stack.currentWidget() is pane.view


def test_nothing_ends_an_import_but_its_own_cancel(
    qtbot: QtBot, pane: DataPane, project: Project, lab: Lab, tmp_path: Path
) -> None:
    begin_large_import(qtbot, pane, tmp_path)
    task, told = pane._task, []
    assert task is not None
    lab.message.connect(told.append)
    pane.view.export_asked.emit(project.store.datasets()[0])
    pane.exporter.export_asked.emit(Wanted("pairs", tmp_path / "out.jsonl", "native", None, True))
    pane.select("pairs")
    assert len(told) == 3
    assert {"Another import or export is under way" in words for words in told} == {True}
    assert pane._task is task
    assert not task.cancelled()
    assert pane.stack.currentWidget() is pane.panel
    qtbot.mouseClick(pane.panel.cancel, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: pane._task is None)
    assert "cancelled" in told[-1]
    assert not (tmp_path / "out.jsonl").exists()


def test_problems_are_searched(qtbot: QtBot, pane: DataPane, project: Project, lab: Lab) -> None:
    with project.store.new_dataset("flawed", "lab", "prompt") as writer:
        writer.add(list(project.store.records("talks"))[:2])
        writer.problems_found((n + 1, "an odd reason" if n % 2 else "an even <b>reason</b>") for n in range(3000))
    lab.datasets_changed.emit()
    pane.select("flawed")
    view = pane.view.problems
    pane.view.tabs.setCurrentWidget(view)
    assert view.count.text() == "3,000 in all, the first 1,000 are shown"
    qtbot.keyClicks(view.search, "ODD")
    qtbot.waitUntil(lambda: view.count.text().startswith("1,500 of 3,000"))
    assert view.list.toPlainText().startswith("line 2: an odd reason\nline 4:")
    pane.select("pairs")
    assert view.search.text() == ""
    assert "Every line" in view.list.toPlainText()
    assert pane.view.tabs.tabText(2) == "Problems"


def test_a_data_set_that_appears_beside_an_import_leaves_the_choice_alone(
    qtbot: QtBot, pane: DataPane, project: Project, lab: Lab, file: Path
) -> None:
    pane.select("pairs")
    pane.look_at([file])
    qtbot.waitUntil(lambda: pane.panel.go.isVisible())
    with project.store.new_dataset("from elsewhere", "lab", "prompt") as writer:
        writer.add(list(project.store.records("talks"))[:2])
    lab.datasets_changed.emit()
    assert pane.stack.currentWidget() is pane.panel
    assert pane.list.currentItem().text() == "pairs"
    qtbot.mouseClick(pane.panel.cancel, Qt.MouseButton.LeftButton)
    assert pane.view.name.text() == "pairs"


def test_records_that_came_while_another_pane_was_shown_are_counted(
    qtbot: QtBot, window: MainWindow, project: Project
) -> None:
    pane = window.pane("data")
    pane.select("pairs")
    window.show_pane("sft")
    records = [row.record for row in project.store.page_at("talks", 0, 2)]
    project.store.append("talks", records)
    window.show_pane("data")
    assert pane.list.item(0).data(SECOND_LINE) == "42 demonstrations"
    assert pane.list.currentItem().text() == "pairs"
    pane.select("talks")
    assert pane.view.facts.text().startswith("42 demonstrations")
