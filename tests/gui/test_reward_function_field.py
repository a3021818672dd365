"""A reward function in the form: chosen, read, approved, and asked about again once it is another text."""

import hashlib
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QDialogButtonBox, QFileDialog, QLabel
from pytestqt.qtbot import QtBot

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.panes.policy import PolicyPane
from rlhf_lab.gui.widgets.approval_dialog import APPROVED, WARNING, ApprovalDialog
from rlhf_lab.gui.widgets.function_field import FunctionEditor
from rlhf_lab.gui.widgets.plain_text import MOST_SHOWN
from rlhf_lab.runs.approval import approvals_file, approve, approved, read_function

TEXT = "def reward(prompts, answers, tags):\n    return [float('<b>' in a) for a in answers]\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "reward.py"
    made.write_text(TEXT)
    return made


@pytest.fixture
def pane(qtbot: QtBot, lab: Lab, model: str) -> PolicyPane:
    made = PolicyPane(lab)
    qtbot.addWidget(made, before_close_func=lambda widget: lab.let_go())
    made.resize(1120, 740)
    with qtbot.waitExposed(made):
        made.show()
    made.fill_in({"dataset": "talks", "model": model})
    return made


def field_of(pane: PolicyPane) -> FunctionEditor:
    return pane.launcher.form.editor("reward_function")


def type_path(qtbot: QtBot, pane: PolicyPane, path: Path) -> FunctionEditor:
    pane.launcher.form.sections["Rewards"].open()
    field = field_of(pane)
    field.path.setFocus()
    field.path.selectAll()
    qtbot.keyClicks(field.path, str(path))
    qtbot.waitUntil(lambda: not field.read.isHidden() and not pane.launcher._timer.isActive())
    return field


def opened(qtbot: QtBot, field: FunctionEditor) -> ApprovalDialog:
    qtbot.mouseClick(field.read, Qt.MouseButton.LeftButton)
    return next(widget for widget in QApplication.topLevelWidgets() if isinstance(widget, ApprovalDialog))


def closed(qtbot: QtBot, dialog: ApprovalDialog) -> None:
    with qtbot.waitSignal(dialog.destroyed):
        dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Close).click()


def test_without_a_file_there_is_nothing_to_approve(pane) -> None:
    field = field_of(pane)

    assert field.answer() == ""
    assert field.read.isHidden()
    assert field.state.isHidden()
    assert pane.launcher.form.config()[0].reward_function is None


def test_a_file_is_read_and_approved_before_a_run_can_start(qtbot, pane, file) -> None:
    field = type_path(qtbot, pane, file)
    assert "is not approved yet" in pane.launcher.form.problem("reward_function")
    assert not pane.launcher.start.isEnabled()
    assert field.read.text() == "Read and approve…"

    dialog = opened(qtbot, field)
    assert dialog.text.toPlainText() == TEXT
    told = [label.text() for label in dialog.findChildren(QLabel)]
    assert str(file) in told
    assert f"2 lines · SHA-256 {hashlib.sha256(TEXT.encode()).hexdigest()}" in told
    assert WARNING in told
    assert all(label.textFormat() == Qt.TextFormat.PlainText for label in dialog.findChildren(QLabel))
    with qtbot.waitSignal(dialog.destroyed):
        qtbot.mouseClick(dialog.approve, Qt.MouseButton.LeftButton)

    assert approved(file)
    qtbot.waitUntil(pane.launcher.start.isEnabled)
    assert not field.state.isHidden()
    assert field.read.text() == "Read it…"
    assert pane.launcher.form.config()[0].reward_function == str(file)


def test_enter_and_closing_approve_nothing(qtbot, pane, file) -> None:
    field = type_path(qtbot, pane, file)
    dialog = opened(qtbot, field)

    qtbot.keyClick(dialog.text, Qt.Key.Key_Return)
    assert not approved(file)
    closed(qtbot, dialog)

    assert not approved(file)
    assert not approvals_file().exists()
    assert not pane.launcher.start.isEnabled()


def test_what_is_approved_is_what_was_shown_and_not_what_the_file_became(qtbot, pane, file) -> None:
    field = type_path(qtbot, pane, file)
    dialog = opened(qtbot, field)
    file.write_text("import os\n")

    with qtbot.waitSignal(dialog.destroyed):
        qtbot.mouseClick(dialog.approve, Qt.MouseButton.LeftButton)

    assert field.state.isHidden()
    assert "is not approved yet" in pane.launcher.form.problem("reward_function")
    file.write_text(TEXT)
    assert approved(file)


def test_another_text_in_an_approved_file_is_noticed_when_the_form_comes_into_view(qtbot, pane, file) -> None:
    approve(read_function(file))
    field = type_path(qtbot, pane, file)
    qtbot.waitUntil(lambda: not field.state.isHidden())

    file.write_text(TEXT + "\n")
    pane.hide()
    pane.show()

    assert field.state.isHidden()
    assert field.read.text() == "Read and approve…"
    assert "is not approved yet" in pane.launcher.form.problem("reward_function")


def test_an_approved_function_can_be_read_again(qtbot, pane, file) -> None:
    approve(read_function(file))
    field = type_path(qtbot, pane, file)

    dialog = opened(qtbot, field)

    assert not dialog.approve.isVisible()
    assert APPROVED in [label.text() for label in dialog.findChildren(QLabel)]
    closed(qtbot, dialog)


def test_an_approval_that_cannot_be_kept_is_none(qtbot, pane, file) -> None:
    field = type_path(qtbot, pane, file)
    dialog = opened(qtbot, field)
    approvals_file().parent.parent.mkdir(parents=True, exist_ok=True)
    approvals_file().parent.write_text("a file where the folder should be")

    qtbot.mouseClick(dialog.approve, Qt.MouseButton.LeftButton)

    assert dialog.problem.text().startswith("The list of approved reward functions cannot be read")
    approvals_file().parent.unlink()
    assert not approved(file)
    closed(qtbot, dialog)


def test_nobody_approves_what_cannot_be_shown(qtbot, file) -> None:
    file.write_text(TEXT + "# dots\n" * (MOST_SHOWN // 7) + "import os\n")
    dialog = ApprovalDialog(read_function(file))
    qtbot.addWidget(dialog)

    assert "import os" not in dialog.text.toPlainText()
    assert not dialog.approve.isEnabled()
    assert dialog.problem.text().startswith("It has more than 200,000 characters")


def test_a_file_that_went_away_is_said_below_the_field(qtbot, pane, file) -> None:
    field = type_path(qtbot, pane, file)
    file.unlink()

    qtbot.mouseClick(field.read, Qt.MouseButton.LeftButton)

    assert field.read.isHidden()
    qtbot.waitUntil(lambda: "cannot be read" in pane.launcher.form.problem("reward_function"))


def test_a_file_is_chosen_from_the_disk(qtbot, pane, file, monkeypatch) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(file), ""))
    pane.launcher.form.sections["Rewards"].open()
    field = field_of(pane)

    qtbot.mouseClick(field.browse, Qt.MouseButton.LeftButton)

    assert field.answer() == str(file)
    assert not field.read.isHidden()
