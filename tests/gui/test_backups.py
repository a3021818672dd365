"""Backups in the window: made when due, listed, asked for, chosen and confirmed; and the lock of a copied project."""

import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.keeper import Keeper
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.main_window import MainWindow
from rlhf_lab.gui.settings import SettingsDialog
from rlhf_lab.gui.single import SingleWindow
from rlhf_lab.gui.widgets.backups_dialog import BackupsDialog
from rlhf_lab.runs.project import Project
from rlhf_lab.store.backups import ASKED, SCHEDULED, back_up, backups

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def keeper(lab: Lab) -> Keeper:
    return Keeper(lab)


@pytest.fixture
def dialog(qtbot: QtBot, window: MainWindow, keeper: Keeper, project: Project) -> BackupsDialog:
    back_up(project.store.path, ASKED)
    keeper.show_backups(window)
    found = window.findChild(BackupsDialog)
    qtbot.waitUntil(lambda: found.table.rowCount() == 1)
    return found


def test_one_is_made_when_due_and_then_not_again(qtbot: QtBot, lab: Lab, keeper: Keeper, project: Project) -> None:
    keeper.look()
    qtbot.waitUntil(lambda: len(backups(project.store.path)) == 1)
    assert backups(project.store.path)[0].why == SCHEDULED
    qtbot.waitUntil(lambda: keeper._task is None)
    keeper.look()
    qtbot.waitUntil(lambda: keeper._task is None)
    assert len(backups(project.store.path)) == 1


def test_one_that_cannot_be_made_is_said(qtbot: QtBot, keeper: Keeper, project: Project) -> None:
    (project.folder / "backups").write_text("in the way")
    with qtbot.waitSignal(keeper.problem) as said:
        keeper.look()
    assert "cannot be copied" in said.args[0]
    qtbot.waitUntil(lambda: keeper._task is None)


def test_the_list_says_when_why_and_what_is_inside(dialog: BackupsDialog) -> None:
    made, why, holds, size = (dialog.table.item(0, column).text() for column in range(4))
    assert made.endswith(tuple(f":{minute:02d}" for minute in range(60)))
    assert (why, holds) == ("made by hand", "2 data sets, 80 records, 0 verdicts, 0 runs")
    assert size.endswith(" MB")


def test_one_more_is_made_on_a_click(qtbot: QtBot, dialog: BackupsDialog, keeper: Keeper) -> None:
    qtbot.mouseClick(dialog.copy, LEFT)
    qtbot.waitUntil(lambda: dialog.table.rowCount() == 2)
    assert dialog.copy.isEnabled()
    qtbot.waitUntil(lambda: keeper._task is None)


def test_restoring_is_confirmed_before_it_is_asked_for(
    qtbot: QtBot, dialog: BackupsDialog, keeper: Keeper, project: Project
) -> None:
    qtbot.mouseClick(dialog.restore, LEFT)
    assert dialog.question.isVisible()
    assert "2 data sets" in dialog.question.text()
    qtbot.mouseClick(dialog.no, LEFT)
    assert not dialog.question.isVisible()
    qtbot.mouseClick(dialog.restore, LEFT)
    with qtbot.waitSignal(keeper.restore_chosen) as chosen:
        qtbot.keyClick(dialog.yes, Qt.Key.Key_Return)
    assert chosen.args == backups(project.store.path)
    assert not dialog.isVisible()


def test_what_cannot_be_read_cannot_be_restored(qtbot: QtBot, dialog: BackupsDialog, keeper: Keeper, project: Project):
    backups(project.store.path)[0].path.write_bytes(b"scratched" * 999)
    qtbot.mouseClick(dialog.copy, LEFT)
    qtbot.waitUntil(lambda: dialog.table.rowCount() == 2)
    assert dialog.restore.isEnabled()
    qtbot.keyClick(dialog.table, Qt.Key.Key_Down)
    assert dialog.table.item(1, 2).text() == "cannot be read"
    assert not dialog.restore.isEnabled()
    qtbot.waitUntil(lambda: keeper._task is None)


def test_the_settings_lead_there(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.keyClick(window, Qt.Key.Key_Comma, Qt.KeyboardModifier.ControlModifier)
    settings = window.findChild(SettingsDialog)
    with qtbot.waitSignal(window.backups_asked):
        qtbot.mouseClick(settings.backups, LEFT)
    assert not settings.isVisible()


def test_a_copy_of_a_project_that_is_open_can_be_opened(qtbot: QtBot, tmp_path: Path) -> None:
    """Its lock file names a process that lives; but nobody holds that file."""
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    first = SingleWindow(original)
    assert first.claim()
    assert first.claim(), "it is its own already"
    shutil.copytree(original, copy)
    assert not SingleWindow(original).claim()
    second = SingleWindow(copy)
    assert second.claim()
    assert not SingleWindow(copy).claim()
    second.close()
    first.close()
