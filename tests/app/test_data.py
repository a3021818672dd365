"""Data in the whole application, with the real data process: drop, correct, import, find, edit, export; also when it is killed."""

import csv
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.panes.data import DataPane
from tests.app.opened import LONG_MS, Opened, press

CTRL = Qt.KeyboardModifier.ControlModifier


def drop(pane: QWidget, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    middle, action = QPoint(pane.width() // 2, pane.height() // 2), Qt.DropAction.CopyAction
    button, no_key = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(middle, action, data, button, no_key)
    QApplication.sendEvent(pane, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(pane, QDropEvent(QPointF(middle), action, data, button, no_key))


def data_processes() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            if "rlhf_lab.runs.import_child" in " ".join(child.cmdline()):
                found.append(child)
    return found


def names(pane: DataPane) -> list[str]:
    return [pane.list.item(row).text() for row in range(pane.list.count())]


def choose(qtbot: QtBot, pane: DataPane, role: str, column: str) -> None:
    box = pane.panel.mapping.roles[role]
    box.setFocus()
    box.setCurrentIndex(box.findText(column))


@pytest.mark.usefixtures("bundled_data")
def test_a_folder_is_dropped_mapped_searched_edited_and_exported_and_all_of_it_stays(
    qtbot: QtBot, open_lab: Callable[[], Opened], tmp_path: Path
) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    with (folder / "odd.csv").open("w", newline="") as file:
        rows = [[f"Frage {n}?", f"gut {n}", f"schlecht {n}"] for n in range(50)]
        csv.writer(file).writerows([["frage", "antwort_gut", "antwort_schlecht"], *rows])
    nectar = {
        "prompt": "\n\nHuman: Q\n\nAssistant: ",
        "answers": [{"answer": f"a{n}", "rank": n + 1.0} for n in range(3)],
    }
    (folder / "ranked.jsonl").write_text(json.dumps(nectar))
    opened = open_lab()
    pane = opened.window.pane("data")
    drop(pane, folder)
    qtbot.waitUntil(lambda: pane.panel.go.isVisible(), timeout=LONG_MS)
    # One of the two files needs a person.
    pane.panel.files.setCurrentRow(0)
    for role, column in (("prompt", "frage"), ("chosen", "antwort_gut"), ("rejected", "antwort_schlecht")):
        choose(qtbot, pane, role, column)
    qtbot.waitUntil(lambda: "2 files" in pane.panel.go.text(), timeout=LONG_MS)
    press(pane.panel.go, qtbot)
    qtbot.waitUntil(lambda: "odd" in names(pane) or "drop/odd" in names(pane), timeout=LONG_MS)
    name = "odd" if "odd" in names(pane) else "drop/odd"
    qtbot.waitUntil(lambda: not data_processes(), timeout=LONG_MS)
    # Find one record, edit it, delete the next one.
    pane.select(name)
    view = pane.view.records
    qtbot.keyClicks(view.bar.search, '"gut 17"')
    qtbot.waitUntil(lambda: view.bar.matches.text() == "1 match")
    press(view.edit, qtbot)
    view.editor.texts[0].edit.selectAll()
    qtbot.keyClicks(view.editor.texts[0].edit, "much better")
    qtbot.keyClick(view.editor.texts[0].edit, Qt.Key.Key_Return, CTRL)
    qtbot.waitUntil(lambda: view.bar.matches.text() == "0 matches")
    press(view.bar.clear, qtbot)
    view.table.selectRow(18)
    view.table.setFocus()
    qtbot.keyClick(view.table, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: view.table.model().rowCount() == 49)
    opened.leave()

    again = open_lab()
    pane = again.window.pane("data")
    pane.select(name)
    assert pane.view.records.table.model().rowCount() == 49
    press(pane.view.records.undo, qtbot)
    qtbot.waitUntil(lambda: pane.view.records.table.model().rowCount() == 50)
    press(pane.view.export, qtbot)
    pane.exporter.forms.setCurrentRow(1)
    pane.exporter.path.selectAll()
    qtbot.keyClicks(pane.exporter.path, str(tmp_path / "trl.jsonl"))
    press(pane.exporter.go, qtbot)
    qtbot.waitUntil(lambda: pane.stack.currentWidget() is pane.view, timeout=LONG_MS)
    rows = [json.loads(line) for line in (tmp_path / "trl.jsonl").read_text().splitlines()]
    assert len(rows) == 50
    assert (rows[17]["prompt"], rows[17]["chosen"]) == ("Frage 17?", "much better")
    again.leave()


@pytest.mark.usefixtures("bundled_data")
def test_a_data_process_that_is_killed_leaves_nothing_and_the_next_one_does_the_work(
    qtbot: QtBot, open_lab: Callable[[], Opened], tmp_path: Path
) -> None:
    large = tmp_path / "large.jsonl"
    with large.open("w") as lines:
        for n in range(150_000):
            lines.write(json.dumps({"prompt": f"Tea {n}?", "chosen": "Yes, please.", "rejected": "Go away."}) + "\n")
    opened = open_lab()
    pane = opened.window.pane("data")
    before = names(pane)
    drop(pane, large)
    qtbot.waitUntil(lambda: pane.panel.go.isVisible(), timeout=LONG_MS)
    press(pane.panel.go, qtbot)
    qtbot.waitUntil(lambda: pane.panel.bar.value() > 0, timeout=LONG_MS)
    with qtbot.waitSignal(opened.lab.message, timeout=LONG_MS) as told:
        data_processes()[0].kill()
    assert "killed" in told.args[0]
    assert names(pane) == before
    assert pane.stack.currentWidget() is pane.view
    small = tmp_path / "small.jsonl"
    small.write_text("".join(f"{line}\n" for line in large.read_text().splitlines()[:100]))
    drop(pane, small)
    qtbot.waitUntil(lambda: pane.panel.go.isVisible(), timeout=LONG_MS)
    press(pane.panel.go, qtbot)
    qtbot.waitUntil(lambda: names(pane) == [*before, "small"], timeout=LONG_MS)
    assert opened.lab.project.store.count("small") == 100
    opened.leave()
