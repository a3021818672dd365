"""The models dialog as a person uses it; its work is done by real processes, but for what takes long."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QFile, Qt, QThread, QTimer
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from rlhf_lab.core.errors import LabError
from rlhf_lab.gui.background import Background
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.model_shelf import ModelShelf
from rlhf_lab.gui.widgets.models_dialog import CHECKING, ModelsDialog
from rlhf_lab.runs import model_work
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.model_work import ModelWorkCancelled, Offered
from rlhf_lab.runs.project import Project
from tests.fakes import leave_adapter
from tests.gui.runs_made import made_run
from tests.runs.test_model_shelf import fill

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is told at once; that of the real process is tested with it."""

    def check(names, folder, checked, **_: object) -> None:
        for name in names:
            checked(name, "It is strange." if name.endswith("strange-0123") else "")

    monkeypatch.setattr(model_work, "check_models", check)


@pytest.fixture
def shelf(qtbot: QtBot, lab: Lab, window: MainWindow, project: Project, checks: None) -> Iterator[ModelShelf]:
    fill(project.models_folder / "tiny-0123")
    fill(project.models_folder / "strange-0123")
    lab.actions.trigger("models.show")
    made = window.findChild(ModelShelf)
    qtbot.waitUntil(lambda: made.dialog.table.rowCount() == 3 and CHECKING not in column(made.dialog, 7))
    yield made
    made.dialog.close()


@pytest.fixture
def endless_import(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An import of it.gguf that goes on until it is cancelled."""

    def work(file: Path, folder: Path, *, progress: Callable[..., object], cancelled: Callable[[], bool]) -> str:
        progress("putting the weights together", 2, 5)
        while not cancelled():
            QThread.msleep(5)
        raise ModelWorkCancelled("The import of it.gguf was cancelled; nothing was left behind.")

    monkeypatch.setattr(model_work, "import_gguf", work)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "it.gguf"), ""))


def column(dialog: ModelsDialog, number: int) -> list[str]:
    return [dialog.table.item(row, number).text() for row in range(dialog.table.rowCount())]


def choose(dialog: ModelsDialog, title: str) -> None:
    dialog.table.selectRow(column(dialog, 0).index(title))


def test_every_model_is_told_with_its_check(shelf: ModelShelf) -> None:
    dialog = shelf.dialog
    assert column(dialog, 0) == ["bundled", "strange-0123", "tiny-0123"]
    assert column(dialog, 1) == ["bundled", "GGUF import", "GGUF import"]
    assert column(dialog, 7) == ["can be used", "It is strange.", "can be used"]
    assert not dialog.use.isVisible()
    choose(dialog, "strange-0123")
    where = f"It lies in {dialog.chosen().place}"
    assert dialog.detail.text() == f"It is strange.\n{where}", "the cell may be too narrow for it"
    choose(dialog, "tiny-0123")
    assert dialog.detail.text() == f"It lies in {dialog.chosen().place}"


def test_a_folder_is_added_and_one_that_is_none_is_refused(
    qtbot: QtBot, shelf: ModelShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: Lab
) -> None:
    chosen = fill(tmp_path / "mine")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(chosen))
    with qtbot.waitSignal(lab.models_changed):
        qtbot.mouseClick(shelf.dialog.add, LEFT)
    qtbot.waitUntil(lambda: "mine" in column(shelf.dialog, 0))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    qtbot.mouseClick(shelf.dialog.add, LEFT)
    qtbot.waitUntil(shelf.dialog.problem.isVisible)
    assert "no config.json" in shelf.dialog.problem.text()
    assert shelf.dialog.add.isEnabled()


def test_an_import_shows_how_far_it_is_and_is_cancelled(qtbot: QtBot, shelf: ModelShelf, endless_import: None) -> None:
    dialog = shelf.dialog
    qtbot.mouseClick(dialog.load, LEFT)
    qtbot.waitUntil(lambda: dialog.doing.text() == "Putting the weights together")
    assert not dialog.load.isEnabled()
    qtbot.mouseClick(dialog.cancel, LEFT)
    qtbot.waitUntil(lambda: dialog.problem.text().endswith("nothing was left behind."))
    assert not dialog.working.isVisible()


def test_a_download_says_its_size_before_it_begins(
    qtbot: QtBot, shelf: ModelShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    def look(model: str, folder: Path, **_: object) -> Offered:
        if model != "someone/some-model":
            raise LabError(f"There is no model {model} on the hub.")
        return Offered(model, "llama", 4, 270 << 20, 5 << 30)

    monkeypatch.setattr(model_work, "look", look)
    monkeypatch.setattr(model_work, "download", lambda model, folder, **_: fetched.append(model))
    dialog = shelf.dialog
    qtbot.mouseClick(dialog.fetch, LEFT)
    assert not dialog.download.isVisible()
    qtbot.keyClicks(dialog.hub, "someone/nobody")
    qtbot.keyClick(dialog.hub, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "no model someone/nobody" in dialog.problem.text())
    qtbot.mouseClick(dialog.fetch, LEFT)
    dialog.hub.clear()
    qtbot.keyClicks(dialog.hub, "someone/some-model")
    qtbot.mouseClick(dialog.look, LEFT)
    qtbot.waitUntil(dialog.download.isVisible)
    assert "4 files, 270 MB" in dialog.offered.text()
    assert fetched == []
    qtbot.mouseClick(dialog.download, LEFT)
    qtbot.waitUntil(lambda: fetched == ["someone/some-model"])
    qtbot.waitUntil(lambda: not dialog.working.isVisible())


def test_a_model_is_removed_only_after_a_yes(
    qtbot: QtBot, shelf: ModelShelf, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialog = shelf.dialog
    choose(dialog, "bundled")
    qtbot.mouseClick(dialog.remove, LEFT)
    assert "comes with the lab" in dialog.problem.text()
    choose(dialog, "tiny-0123")
    qtbot.mouseClick(dialog.remove, LEFT)
    assert dialog.asking.isVisible()
    qtbot.mouseClick(dialog.no, LEFT)
    assert not dialog.asking.isVisible()
    monkeypatch.setattr(QFile, "moveToTrash", lambda place: False)
    qtbot.mouseClick(dialog.remove, LEFT)
    qtbot.mouseClick(dialog.trash, LEFT)
    qtbot.waitUntil(lambda: "needs no trash" in dialog.problem.text())
    assert (project.models_folder / "tiny-0123").is_dir()
    qtbot.waitUntil(dialog.remove.isEnabled)
    qtbot.mouseClick(dialog.remove, LEFT)
    qtbot.mouseClick(dialog.for_good, LEFT)
    qtbot.waitUntil(lambda: not (project.models_folder / "tiny-0123").exists())
    qtbot.waitUntil(lambda: column(dialog, 0) == ["bundled", "strange-0123"])


def test_a_form_offers_them_and_takes_the_chosen_one(
    qtbot: QtBot, shelf: ModelShelf, window: MainWindow, project: Project
) -> None:
    shelf.dialog.close()
    window.show_pane("sft")
    launcher = window.pane("sft").launcher
    editor = launcher.form.editor("model")
    tiny = str(project.models_folder / "tiny-0123")
    assert tiny in [editor._box.itemText(n) for n in range(editor._box.count())]
    editor.manage_asked.emit()
    dialog = shelf.dialog
    assert dialog.use.text() == "Use for SFT"
    choose(dialog, "tiny-0123")
    qtbot.mouseClick(dialog.use, LEFT)
    assert launcher.form.answers()["model"] == tiny
    assert not dialog.isVisible()


def test_what_was_looked_up_is_forgotten_with_the_next_work(
    qtbot: QtBot, shelf: ModelShelf, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_work, "look", lambda model, folder, **_: Offered(model, "llama", 4, 270 << 20, 5 << 30))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(fill(tmp_path / "mine")))
    dialog = shelf.dialog
    qtbot.mouseClick(dialog.fetch, LEFT)
    qtbot.keyClicks(dialog.hub, "someone/some-model")
    qtbot.mouseClick(dialog.look, LEFT)
    qtbot.waitUntil(dialog.download.isVisible)
    with qtbot.waitSignal(lab.models_changed):
        qtbot.mouseClick(dialog.add, LEFT)
    qtbot.waitUntil(lambda: "mine" in column(dialog, 0))
    assert not dialog.download.isVisible()


def test_a_question_stays_while_models_are_checked(qtbot: QtBot, shelf: ModelShelf) -> None:
    dialog = shelf.dialog
    choose(dialog, "tiny-0123")
    qtbot.mouseClick(dialog.remove, LEFT)
    shelf._found(("bundled", ""))
    assert dialog.asking.isVisible()
    choose(dialog, "bundled")
    assert not dialog.asking.isVisible(), "the question was about another one"


def test_the_window_closes_in_the_middle_of_an_import(
    qtbot: QtBot, shelf: ModelShelf, lab: Lab, endless_import: None
) -> None:
    qtbot.mouseClick(shelf.dialog.load, LEFT)
    qtbot.waitUntil(lambda: any(task.isRunning() for task in lab.findChildren(Background)))
    lab.let_go()
    assert shelf.dialog.problem.text().endswith("nothing was left behind.")
    after = lab.in_background(lambda store, task: None)  # as the list does that is made anew
    turned: list[bool] = []
    QTimer.singleShot(0, lab, lambda: turned.append(True))
    qtbot.waitUntil(lambda: bool(turned))
    assert not after.isRunning()
    assert not after.isFinished()


def test_a_model_that_was_changed_is_checked_again_also_where_its_size_is_the_same(
    qtbot: QtBot, shelf: ModelShelf, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def check(names, folder, checked, **_: object) -> None:
        for name in names:
            asked.append(name)
            checked(name, "It is damaged now.")

    monkeypatch.setattr(model_work, "check_models", check)
    weights = project.models_folder / "tiny-0123" / "model.safetensors"
    then = weights.stat().st_mtime_ns + 5_000_000_000
    os.utime(weights, ns=(then, then))
    shelf.refresh()
    qtbot.waitUntil(lambda: "It is damaged now." in column(shelf.dialog, 7))
    assert asked == [str(project.models_folder / "tiny-0123")]


def test_runs_are_called_as_everywhere_in_the_window(qtbot: QtBot, shelf: ModelShelf, project: Project) -> None:
    leave_adapter(RunFolder(project.runs_folder / made_run(project, "sft-1")))
    made_run(project, "dpo-1", start_from="sft-1")
    shelf.refresh()
    qtbot.waitUntil(lambda: "SFT 1" in column(shelf.dialog, 0))
    assert dict(zip(column(shelf.dialog, 0), column(shelf.dialog, 6), strict=True))["SFT 1"] == "DPO 1"
