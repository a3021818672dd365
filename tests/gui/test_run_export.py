"""Exporting a run from the Runs pane: what it offers, how it goes, what it leaves."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices, QImage

from rlhf_lab.core.config import RewardConfig
from rlhf_lab.core.events import Finished, Metrics, Started
from rlhf_lab.gui.widgets.run_export import RunExportDialog
from rlhf_lab.runs.log import EventLog
from tests.fakes import leave_adapter

LEFT = Qt.MouseButton.LeftButton
A_CHILD_MS = 60_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home-of-ada"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def dialog(qtbot, window, lab, fakes, begun_run, home) -> RunExportDialog:
    """The dialog for a run that has said two numbers and left no adapter."""
    run = begun_run(max_steps=2)
    with EventLog(lab.project.run(run).events_path, 1) as log:
        log.append(Metrics(step=1, values={"train/loss": 2.0}))
        log.append(Metrics(step=2, values={"train/loss": 1.0}))
    fakes.runs[run].feed(Started(device="cpu", total_steps=2), Finished(step=2, outcome="done"))
    qtbot.waitUntil(lambda: not lab.live())
    window.show_pane("runs")
    qtbot.mouseClick(window.pane("runs").export, LEFT)
    return window.pane("runs").export.dialog


def choose(dialog: RunExportDialog, form: str) -> None:
    dialog.forms.setCurrentRow(forms(dialog).index(form))


def forms(dialog: RunExportDialog) -> list[str]:
    return [dialog.forms.item(row).data(Qt.ItemDataRole.UserRole).form for row in range(dialog.forms.count())]


def test_what_cannot_be_exported_says_why(dialog: RunExportDialog) -> None:
    merged = dialog.forms.item(forms(dialog).index("merged"))
    assert not merged.flags() & Qt.ItemFlag.ItemIsEnabled
    assert "has left no adapter yet" in merged.toolTip()
    assert dialog.wanted().form == "csv"  # the first that can


def test_curves_go_into_a_file_and_its_folder_is_shown(
    qtbot, dialog: RunExportDialog, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with qtbot.waitSignal(dialog.exported, timeout=A_CHILD_MS):
        qtbot.mouseClick(dialog.go, LEFT)
        assert dialog.busy()
        assert not dialog.path.isEnabled()
        assert dialog.close_button.text() == "Cancel"
    file = home / "sft-1.csv"
    assert file.read_text().splitlines()[0] == "step,time,train/loss"
    assert str(file) in dialog.told.text()
    assert dialog.close_button.text() == "Close"
    shown = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: shown.append(url.toLocalFile()))
    qtbot.mouseClick(dialog.open, LEFT)
    assert [Path(path) for path in shown] == [home]


def test_enter_exports_from_the_place_and_the_button_but_not_from_the_list_of_forms(
    qtbot, dialog: RunExportDialog, home: Path
) -> None:
    for elsewhere in (dialog.forms, dialog.precision):
        qtbot.keyClick(elsewhere, Qt.Key.Key_Return)
        assert not dialog.busy()
    with qtbot.waitSignal(dialog.exported, timeout=A_CHILD_MS):
        qtbot.keyClick(dialog.path, Qt.Key.Key_Return)
        assert dialog.busy()
    with qtbot.waitSignal(dialog.exported, timeout=A_CHILD_MS):
        dialog.path.setText(str(home / "again.csv"))
        qtbot.keyClick(dialog.go, Qt.Key.Key_Return)
    assert sorted(path.name for path in home.iterdir()) == ["again.csv", "sft-1.csv"]


def test_a_picture_has_the_curve_in_it(qtbot, dialog: RunExportDialog, home: Path) -> None:
    choose(dialog, "png")
    with qtbot.waitSignal(dialog.exported, timeout=A_CHILD_MS):
        qtbot.mouseClick(dialog.go, LEFT)
    picture = QImage(str(home / "sft-1.png"))
    blue = sum(
        picture.pixelColor(x, y).blueF() - picture.pixelColor(x, y).redF() > 0.5
        for x in range(0, picture.width(), 2)
        for y in range(0, picture.height(), 2)
    )
    assert blue > 100


def test_nothing_is_written_over(qtbot, dialog: RunExportDialog, home: Path) -> None:
    letter = home / "letter.txt"
    letter.write_text("Dear Ada")
    dialog.path.selectAll()
    qtbot.keyClicks(dialog.path, str(letter))
    qtbot.mouseClick(dialog.go, LEFT)
    qtbot.waitUntil(lambda: not dialog.busy())
    assert "is there already, and nothing is written over" in dialog.told.text()
    assert not dialog.open.isVisible()
    assert letter.read_text() == "Dear Ada"


def test_a_home_that_nobody_has_is_a_name_like_any_other(
    qtbot, dialog: RunExportDialog, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    dialog.path.setText("~nobody-of-this-name/curves.csv")
    qtbot.mouseClick(dialog.go, LEFT)
    qtbot.waitUntil(lambda: not dialog.busy())
    assert "~nobody-of-this-name" in dialog.told.text()
    assert (home / "~nobody-of-this-name" / "curves.csv").is_file()


def test_closing_cancels_and_leaves_nothing(qtbot, window, lab, dialog: RunExportDialog, home: Path) -> None:
    choose(dialog, "tensorboard")
    qtbot.mouseClick(dialog.go, LEFT)
    task = dialog._task
    with qtbot.waitSignal(task.finished, timeout=A_CHILD_MS):
        qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert list(home.iterdir()) == []
    assert window.pane("runs").export.dialog is None


def test_a_reward_model_with_several_heads_asks_which(qtbot, lab, model, home) -> None:
    folder = lab.project.create_run(RewardConfig(dataset="pairs", model=model, heads=3))
    leave_adapter(folder)
    dialog = RunExportDialog(lab, folder)
    qtbot.addWidget(dialog)
    dialog.show()
    choose(dialog, "reward")
    assert dialog.head.isVisible()
    assert dialog.precision.isVisible()
    qtbot.keyClick(dialog.head, Qt.Key.Key_Down)
    qtbot.keyClick(dialog.head, Qt.Key.Key_Down)
    assert (dialog.wanted().head, dialog.wanted().precision) == (2, None)
    choose(dialog, "csv")
    assert not dialog.head.isVisible()
    assert not dialog.precision.isVisible()
    assert dialog.wanted().head is None
