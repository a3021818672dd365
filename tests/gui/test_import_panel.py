"""The import dialog as a person uses it: columns corrected, ratings chosen, duplicates seen, the share of held-out prompts."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.panes.data import DataPane
from rlhf_lab.gui.widgets.import_panel import ImportPanel
from rlhf_lab.runs.project import Project


@pytest.fixture
def pane(qtbot: QtBot, lab: Lab) -> Iterator[DataPane]:
    made = DataPane(lab)
    qtbot.addWidget(made, before_close_func=lambda widget: lab.let_go())
    made.resize(1100, 720)
    with qtbot.waitExposed(made):
        made.show()
    return made


def table(path: Path, header: list[str], rows: list[list[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def look(qtbot: QtBot, pane: DataPane, *paths: Path) -> ImportPanel:
    pane.look_at(list(paths))
    qtbot.waitUntil(lambda: pane.panel.go.isVisible())
    return pane.panel


def pick(box: QComboBox, text: str) -> None:
    at = box.findText(text)
    assert at >= 0, f"{text!r} is not offered"
    box.setCurrentIndex(at)


def first_cells(panel: ImportPanel, row: int = 0) -> list[str]:
    model = panel.table.model()
    return [model.index(row, column).data() for column in range(model.columnCount())]


def store(qtbot: QtBot, pane: DataPane) -> None:
    qtbot.mouseClick(pane.panel.go, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: pane.stack.currentWidget() is pane.view)


def test_columns_of_no_known_format_are_named_by_hand(
    qtbot: QtBot, pane: DataPane, project: Project, tmp_path: Path
) -> None:
    path = table(
        tmp_path / "odd.csv", ["frage", "gut", "schlecht"], [[f"Q{n}?", f"good {n}", f"bad {n}"] for n in range(9)]
    )
    panel = look(qtbot, pane, path)
    assert not panel.go.isEnabled()
    assert "frage" in panel.format.text()
    assert panel.columns.button.isChecked(), "the way out is open"
    pick(panel.mapping.roles["prompt"], "frage")
    pick(panel.mapping.roles["chosen"], "gut")
    pick(panel.mapping.roles["rejected"], "schlecht")
    qtbot.waitUntil(panel.go.isEnabled)
    assert first_cells(panel)[2:] == ["Q0?", "good 0", "bad 0"]
    store(qtbot, pane)
    found = next(project.store.records("odd"))
    assert (found.prompt.text, found.chosen.text, found.rejected.text) == ("Q0?", "good 0", "bad 0")


def test_guessed_columns_say_so_and_a_wrong_guess_is_corrected(qtbot: QtBot, pane: DataPane, tmp_path: Path) -> None:
    path = table(tmp_path / "guess.csv", ["Query", "Better", "Worse"], [["Q?", "no", "yes"], ["R?", "n", "y"]])
    panel = look(qtbot, pane, path)
    assert panel.guess.isVisible()
    assert first_cells(panel)[2:] == ["Q?", "no", "yes"]
    pick(panel.mapping.roles["chosen"], "Worse")
    pick(panel.mapping.roles["rejected"], "Better")
    qtbot.waitUntil(lambda: first_cells(panel)[2:] == ["Q?", "yes", "no"])
    assert not panel.guess.isVisible(), "somebody has looked at it"


def test_the_values_of_a_verdict_are_explained(qtbot: QtBot, pane: DataPane, tmp_path: Path) -> None:
    rows = [["Q?", "yes", "no", "upper"], ["R?", "n", "y", "lower"], ["S?", "one", "other", "even"]]
    path = table(tmp_path / "said.csv", ["ask", "one", "two", "said"], rows)
    panel = look(qtbot, pane, path)
    for role, column in (("prompt", "ask"), ("response_a", "one"), ("response_b", "two"), ("preference", "said")):
        pick(panel.mapping.roles[role], column)
    qtbot.waitUntil(lambda: set(panel.mapping.verdicts) == {"upper", "lower", "even"})
    pick(panel.mapping.verdicts["upper"], "first is better")
    pick(panel.mapping.verdicts["lower"], "second is better")
    pick(panel.mapping.verdicts["even"], "a tie")
    qtbot.waitUntil(lambda: panel.go.isEnabled() and panel.table.model().rowCount() == 3)
    assert first_cells(panel, 1)[2:] == ["R?", "y", "n"]


def test_what_was_corrected_can_be_taken_back(qtbot: QtBot, pane: DataPane, tmp_path: Path) -> None:
    path = table(tmp_path / "pairs.csv", ["prompt", "chosen", "rejected"], [["Q?", "yes", "no"]])
    panel = look(qtbot, pane, path)
    assert not panel.mapping.reset.isVisible()
    assert not panel.columns.button.isChecked()
    qtbot.mouseClick(panel.columns.button, Qt.MouseButton.LeftButton)
    pick(panel.mapping.roles["chosen"], "rejected")
    pick(panel.mapping.roles["rejected"], "chosen")
    qtbot.waitUntil(lambda: first_cells(panel)[2:] == ["Q?", "no", "yes"])
    qtbot.mouseClick(panel.mapping.reset, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: first_cells(panel)[2:] == ["Q?", "yes", "no"])
    assert panel.looked[0].mapping is None


def test_a_rating_is_chosen_among_several(qtbot: QtBot, pane: DataPane, project: Project, tmp_path: Path) -> None:
    def answer(text: str, helpful: str, honest: str) -> dict:
        ratings = {"helpfulness": {"Rating": helpful}, "honesty": {"Rating": honest}}
        return {"response": text, "model": f"m-{text}", "annotations": ratings}

    path = tmp_path / "ultra.jsonl"
    rows = [
        {"instruction": f"Q{n}?", "source": "s", "completions": [answer("a", "5", "1"), answer("b", "2", "4")]}
        for n in range(3)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    panel = look(qtbot, pane, path)
    assert panel.columns.button.text() == "Columns and rating"
    qtbot.mouseClick(panel.columns.button, Qt.MouseButton.LeftButton)
    pick(panel.mapping.rating, "honesty")
    qtbot.waitUntil(lambda: panel.looked[0].preview.rating == "honesty")
    assert first_cells(panel)[4:] == ["b", "a"]
    store(qtbot, pane)
    assert next(project.store.records("ultra")).ratings == (1.0, 4.0)


def test_duplicates_and_reversed_ones_are_told_before_anything_is_stored(
    qtbot: QtBot, pane: DataPane, tmp_path: Path
) -> None:
    rows = [["Q?", "yes", "no"], ["Q?", "yes", "no"], ["Q?", "no", "yes"], ["R?", "a", "b"]]
    panel = look(qtbot, pane, table(tmp_path / "twice.csv", ["prompt", "chosen", "rejected"], rows))
    assert "2 repeat or reverse" in panel.duplicates.text()
    assert "the other way round" in panel.problems.toPlainText()
    assert panel.table.model().rowCount() == 2


def test_the_held_out_share_is_of_prompts_and_seen_at_once(qtbot: QtBot, pane: DataPane, tmp_path: Path) -> None:
    rows = [[f"Q{n}?", f"good {n}", f"bad {n}"] for n in range(20)]
    panel = look(qtbot, pane, table(tmp_path / "t.csv", ["prompt", "chosen", "rejected"], rows))
    panel.share.setValue(0)
    qtbot.waitUntil(lambda: "(0 of" in panel.splits.text())
    panel.share.setValue(50)
    qtbot.waitUntil(lambda: "(0 of" not in panel.splits.text())
    seen = [first_cells(panel, row)[1] for row in range(20)]
    assert f"({seen.count('held out')} of the 20" in panel.splits.text()


def test_files_with_the_same_columns_share_a_correction(
    qtbot: QtBot, pane: DataPane, project: Project, tmp_path: Path
) -> None:
    one = table(tmp_path / "one.csv", ["frage", "gut", "schlecht"], [["Q?", "good", "bad"]])
    two = table(tmp_path / "two.csv", ["frage", "gut", "schlecht"], [["R?", "good", "bad"]])
    known = table(tmp_path / "known.csv", ["prompt", "chosen", "rejected"], [["S?", "yes", "no"]])
    panel = look(qtbot, pane, one, two, known)
    assert "Import" in panel.go.text()
    assert panel.files.currentRow() == 2, "the one that is fine is shown first"
    panel.files.setCurrentRow(0)
    assert panel.columns.button.isChecked()
    pick(panel.mapping.roles["prompt"], "frage")
    pick(panel.mapping.roles["chosen"], "gut")
    pick(panel.mapping.roles["rejected"], "schlecht")
    qtbot.waitUntil(lambda: "3 files" in panel.go.text())
    store(qtbot, pane)
    assert {row.name for row in project.store.datasets()} >= {"one", "two", "known"}
    assert next(project.store.records("two")).chosen.text == "good"


def test_escape_leaves_everything_as_it_was(qtbot: QtBot, pane: DataPane, project: Project, tmp_path: Path) -> None:
    panel = look(qtbot, pane, table(tmp_path / "t.csv", ["prompt", "chosen", "rejected"], [["Q?", "a", "b"]]))
    qtbot.keyClick(panel.go, Qt.Key.Key_Escape)
    assert pane.stack.currentWidget() is pane.view
    assert len(project.store.datasets()) == 2
