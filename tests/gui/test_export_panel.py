"""Export as a person does it: choose a format and a file, see what does not fit, never overwrite by mistake."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.core.records import Completion, Ranking, load_record
from rlhf_lab.gui.file_export import FORMS
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.panes.data import DataPane
from rlhf_lab.gui.widgets.export_panel import ExportPanel
from rlhf_lab.runs.project import Project
from tests.gui.conftest import prompt


@pytest.fixture
def pane(qtbot: QtBot, lab: Lab) -> Iterator[DataPane]:
    with lab.project.store.new_dataset("ranked", "lab", "ranking") as writer:
        texts = tuple(Completion(text=text) for text in ("meh", "best", "worst"))
        writer.add(Ranking(prompt=prompt(n), completions=texts, ranks=(2, 1, 3)) for n in range(8))
    made = DataPane(lab)
    qtbot.addWidget(made, before_close_func=lambda widget: lab.let_go())
    made.resize(1100, 720)
    with qtbot.waitExposed(made):
        made.show()
    return made


def open_panel(qtbot: QtBot, pane: DataPane, name: str) -> ExportPanel:
    pane.select(name)
    qtbot.mouseClick(pane.view.export, Qt.MouseButton.LeftButton)
    assert pane.stack.currentWidget() is pane.exporter
    return pane.exporter


def choose(panel: ExportPanel, form: str) -> None:
    panel.forms.setCurrentRow([words.form for words in FORMS].index(form))


def write_to(qtbot: QtBot, panel: ExportPanel, path: Path) -> None:
    panel.path.selectAll()
    qtbot.keyClicks(panel.path, str(path))


def export(qtbot: QtBot, pane: DataPane) -> str:
    with qtbot.waitSignal(pane._lab.message, timeout=20_000) as told:
        qtbot.mouseClick(pane.exporter.go, Qt.MouseButton.LeftButton)
    return told.args[0]


def test_on_a_machine_without_a_home_it_can_be_said_where_to(
    qtbot: QtBot, pane: DataPane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "~")  # as Python has it where there is none
    monkeypatch.setenv("USERPROFILE", "~")
    panel = open_panel(qtbot, pane, "pairs")
    assert panel.path.text().startswith("~")
    write_to(qtbot, panel, tmp_path / "out.jsonl")
    assert "records" in export(qtbot, pane)


def test_a_split_in_the_labs_own_format(qtbot: QtBot, pane: DataPane, project: Project, tmp_path: Path) -> None:
    panel = open_panel(qtbot, pane, "pairs")
    assert Path(panel.path.text()).name == "pairs.jsonl"
    panel.split.setCurrentIndex(2)
    assert Path(panel.path.text()).name == "pairs-heldout.jsonl"
    write_to(qtbot, panel, tmp_path / "out.jsonl")
    told = export(qtbot, pane)
    assert told.startswith("Exported 4 records of “pairs”")
    assert pane.stack.currentWidget() is pane.view
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert [load_record(line) for line in lines] == list(project.store.records("pairs", "heldout"))


def test_another_format_has_its_columns_and_its_ending(qtbot: QtBot, pane: DataPane, tmp_path: Path) -> None:
    panel = open_panel(qtbot, pane, "pairs")
    choose(panel, "csv")
    assert Path(panel.path.text()).suffix == ".csv"
    assert panel.escape.isVisible()
    choose(panel, "trl")
    assert not panel.escape.isVisible()
    assert "“lab”" in panel.holds.text()
    write_to(qtbot, panel, tmp_path / "trl.jsonl")
    export(qtbot, pane)
    first = json.loads((tmp_path / "trl.jsonl").read_text().splitlines()[0])
    assert (first["prompt"], first["chosen"]) == ("Is 0 a number?", "Yes, 0 is one.")


def test_a_format_that_cannot_hold_the_records_cannot_be_chosen(qtbot: QtBot, pane: DataPane) -> None:
    panel = open_panel(qtbot, pane, "ranked")
    enabled = {
        panel.forms.item(at).data(Qt.ItemDataRole.UserRole).form
        for at in range(panel.forms.count())
        if panel.forms.item(at).flags() & Qt.ItemFlag.ItemIsEnabled
    }
    assert enabled == {"native", "argilla", "csv", "parquet"}
    assert panel.wanted().form == "native"


def test_a_file_that_is_there_is_only_replaced_when_asked_twice(qtbot: QtBot, pane: DataPane, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("precious")
    panel = open_panel(qtbot, pane, "pairs")
    write_to(qtbot, panel, path)
    qtbot.mouseClick(panel.go, Qt.MouseButton.LeftButton)
    assert panel.exists.isVisible()
    assert path.read_text() == "precious"
    assert panel.go.text().strip() == "Replace"
    write_to(qtbot, panel, tmp_path / "other.jsonl")
    assert not panel.exists.isVisible()
    write_to(qtbot, panel, path)
    qtbot.mouseClick(panel.go, Qt.MouseButton.LeftButton)
    export(qtbot, pane)
    assert len(path.read_text().splitlines()) == 40


def test_a_place_that_cannot_be_written_is_said(qtbot: QtBot, pane: DataPane, tmp_path: Path) -> None:
    panel = open_panel(qtbot, pane, "pairs")
    write_to(qtbot, panel, tmp_path / "nowhere" / "out.jsonl")
    assert "cannot be written" in export(qtbot, pane)


def test_escape_goes_back_to_the_records(qtbot: QtBot, pane: DataPane) -> None:
    panel = open_panel(qtbot, pane, "pairs")
    qtbot.keyClick(panel.forms, Qt.Key.Key_Escape)
    assert pane.stack.currentWidget() is pane.view
