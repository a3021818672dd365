"""Restoring through the window: it closes, the database changes, a new one opens on it; and before the first window."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from rlhf_lab.core.config import SftConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.gui import app, restoring
from rlhf_lab.gui.app import BUSY_MS, Sitting
from rlhf_lab.gui.closing import CloseDialog
from rlhf_lab.gui.restoring import RestoringDialog, rescue
from rlhf_lab.gui.settings import Settings, SettingsDialog
from rlhf_lab.gui.single import SingleWindow
from rlhf_lab.gui.widgets.backups_dialog import BackupsDialog
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.runs.importing import children_are_gone
from rlhf_lab.runs.keeping import Restored
from rlhf_lab.runs.project import Project
from rlhf_lab.store.backups import ASKED, BEFORE_RESTORE, Backup, back_up, backups
from tests.app.opened import LONG_MS, SMALL

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def folder(bundled_data: Path) -> Path:
    return bundled_data


@pytest.fixture
def sitting(qtbot: QtBot, folder: Path, tmp_path: Path) -> Iterator[Sitting]:
    settings = Settings(tmp_path / "settings.ini")
    settings.put("warm", False)
    single = SingleWindow(folder)
    assert single.claim()
    made = Sitting(Project.open(folder, busy_ms=BUSY_MS), settings, single)
    yield made
    made.session.lab.let_go()
    made.session.close()


def choose_newest(qtbot: QtBot, sitting: Sitting) -> None:
    """Settings, Backups…, Restore…, yes."""
    window = sitting.session.window
    qtbot.keyClick(window, Qt.Key.Key_Comma, Qt.KeyboardModifier.ControlModifier)
    settings = window.findChild(SettingsDialog)
    assert settings is not None
    qtbot.mouseClick(settings.backups, LEFT)
    qtbot.waitUntil(lambda: isinstance(QApplication.activeModalWidget(), BackupsDialog))
    dialog = QApplication.activeModalWidget()
    qtbot.waitUntil(lambda: dialog.restore.isEnabled())
    qtbot.mouseClick(dialog.restore, LEFT)
    qtbot.mouseClick(dialog.yes, LEFT)


@pytest.mark.usefixtures("warm_children")
def test_a_window_goes_back_to_a_backup_and_a_run_that_trains_goes_on(qtbot: QtBot, sitting: Sitting, folder: Path):
    back_up(folder / "lab.sqlite", ASKED)
    old = sitting.session
    old.project.store.delete_dataset("lab world quiz")
    config = SftConfig(dataset="lab world demonstrations", max_steps=5000, checkpoint_every=0, eval_every=0, **SMALL)
    run = old.lab.start(config)
    qtbot.waitUntil(lambda: old.lab.state(run).step >= 2, timeout=LONG_MS)
    seen = old.lab.state(run).step
    with qtbot.waitSignal(sitting.reopened, timeout=LONG_MS):
        choose_newest(qtbot, sitting)

    session = sitting.session
    assert session is not old
    assert session.window.isVisible()
    assert "again. The one of before is kept" in session.window.messages.messages()[0].text
    assert "lab world quiz" in [row.name for row in session.project.store.datasets()]
    assert backups(folder / "lab.sqlite")[0].why == BEFORE_RESTORE
    assert not SingleWindow(folder).claim(), "the project stays this window's"
    qtbot.waitUntil(lambda: session.lab.live() == [run], timeout=LONG_MS)
    qtbot.waitUntil(lambda: session.lab.state(run).step > seen, timeout=LONG_MS)
    steps = session.project.store.curves(run)["train/loss"][0]
    assert steps == list(range(steps[0], steps[-1] + 1))
    session.lab.stop(run)
    qtbot.waitUntil(lambda: not session.lab.live(), timeout=LONG_MS)
    assert "restored" in (folder / "lab.log").read_text()


def test_a_backup_that_cannot_be_restored_is_said_in_the_window_that_comes_back(
    qtbot: QtBot, sitting: Sitting, folder: Path
) -> None:
    made = back_up(folder / "lab.sqlite", ASKED)
    made.path.write_bytes(b"scratched" * 999)
    with qtbot.waitSignal(sitting.reopened, timeout=LONG_MS):
        sitting.session.restore_asked.emit(made)
    assert "was not restored" in sitting.session.window.messages.messages()[0].text
    assert len(sitting.session.project.store.datasets()) == 4


def test_an_import_is_not_ended_by_a_restore_without_being_asked_about(
    qtbot: QtBot, sitting: Sitting, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = back_up(folder / "lab.sqlite", ASKED)
    file = tmp_path / "large.jsonl"
    row = '{{"prompt": "Is {0} a number?", "chosen": "Yes, {0} is one.", "rejected": "No."}}\n'
    file.write_text("".join(row.format(n) for n in range(200_000)))
    old = sitting.session
    pane = old.window.pane("data")
    pane.look_at([file])
    qtbot.waitUntil(lambda: bool(pane.panel.go.isEnabled() and pane.panel.looked), timeout=LONG_MS)
    pane.panel.go.click()
    qtbot.waitUntil(lambda: pane.panel.bar.value() > 0, timeout=LONG_MS)
    old.restore_asked.emit(made)
    asked = old.window.findChild(CloseDialog)
    assert any("Importing files" in label.text() for label in asked.findChildren(PlainLabel))
    qtbot.keyClick(asked, Qt.Key.Key_Escape)
    assert old.lab.under_way(), "it goes on"
    qtbot.waitUntil(lambda: old.window.findChild(CloseDialog) is None)

    left: list[bool] = []
    restore = restoring.restore_project

    def noted(folder: Path, backup: Backup) -> Restored:
        left.append(not children_are_gone(0))
        return restore(folder, backup)

    monkeypatch.setattr(restoring, "restore_project", noted)
    old.restore_asked.emit(made)
    with qtbot.waitSignal(sitting.reopened, timeout=LONG_MS):
        qtbot.mouseClick(old.window.findChild(CloseDialog).keep, LEFT)
    assert left == [False], "no child of the import was there any more"
    assert "again. The one of before is kept" in sitting.session.window.messages.messages()[0].text
    assert len(sitting.session.project.store.datasets()) == 4


def in_dialog(act: Callable[[BackupsDialog], None]) -> None:
    """Do it as soon as the dialog is there: it is asked before there is any window."""
    timer = QTimer(QApplication.instance(), interval=20)

    def look() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, BackupsDialog):
            timer.stop()
            timer.deleteLater()
            act(dialog)

    timer.timeout.connect(look)
    timer.start()


def test_a_damaged_database_is_rescued_before_the_first_window(qtbot: QtBot, folder: Path) -> None:
    made = back_up(folder / "lab.sqlite", ASKED)
    (folder / "lab.sqlite").write_bytes(b"scratched" * 999)
    waiting = RestoringDialog(made)
    qtbot.addWidget(waiting)
    assert waiting.styleSheet()

    def restore(dialog: BackupsDialog) -> None:
        assert dialog.styleSheet(), "nothing else dresses what is shown before there is any window"
        assert dialog.says.text() == "it is damaged"
        assert not dialog.copy.isVisible()
        qtbot.mouseClick(dialog.restore, LEFT)
        assert "damaged file is kept aside" in dialog.question.text()
        qtbot.mouseClick(dialog.yes, LEFT)

    in_dialog(restore)
    assert "again" in (rescue(folder, "it is damaged") or "")
    with Project.open(folder) as project:
        assert len(project.store.datasets()) == 4


def test_whoever_leaves_the_rescue_keeps_the_damaged_file(qtbot: QtBot, folder: Path) -> None:
    (folder / "lab.sqlite").write_bytes(b"scratched" * 999)

    def leave(dialog: BackupsDialog) -> None:
        assert dialog.where.text().startswith("There are no backups in")
        assert not dialog.restore.isEnabled()
        qtbot.keyClick(dialog, Qt.Key.Key_Escape)

    in_dialog(leave)
    assert rescue(folder, "it is damaged") is None
    in_dialog(lambda dialog: qtbot.keyClick(dialog, Qt.Key.Key_Escape))
    assert app.main(folder) == 1
    assert (folder / "lab.sqlite").read_bytes() == b"scratched" * 999
    with pytest.raises(LabError):
        Project.open(folder)
