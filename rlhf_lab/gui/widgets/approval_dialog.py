"""A person reads a reward function and lets it run, or does not: the one code of theirs that the lab runs."""

from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from rlhf_lab.core.errors import LabError
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import MOST_SHOWN, PlainLabel, PlainView, visible
from rlhf_lab.runs.approval import FunctionFile, approve, is_approved

WARNING = (
    "This file is a program. With your approval the lab runs it, with your rights on this computer, in a process of its "
    "own and with a time limit. Approve it only if you have read it and trust whoever wrote it."
)
NEEDS = (
    "It must define reward(prompts, answers, tags), which returns one number for each answer. The approval holds for "
    "exactly this text: after a change the lab asks again. It is kept with your settings, not with the project."
)
TOO_LONG = (
    f"It has more than {MOST_SHOWN:,} characters, and the rest is not shown: what nobody can read here is not approved "
    "here. Put the function into a file of its own."
)
APPROVED = "You approved exactly this text before."


class ApprovalDialog(QDialog):
    """Shows what was read; what is approved is this text, whatever the file holds by then."""

    def __init__(self, function: FunctionFile, parent: QWidget | None = None):
        super().__init__(parent)
        self._function = function
        self.setWindowTitle("Read and approve a reward function")
        self.resize(760, 600)
        self.text = PlainView(function.text)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setAccessibleName("The reward function")
        self.problem = PlainLabel(role="bad", wrap=True)
        self.problem.hide()
        self.approve = QPushButton("Approve and let it run")
        self.approve.setProperty("look", "primary")
        self.approve.setAutoDefault(False)  # Enter must not approve what nobody has read
        if len(visible(function.text)) > MOST_SHOWN:
            self.approve.setEnabled(False)
            self.problem.setText(TOO_LONG)
            self.problem.show()
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        if is_approved(function):
            state = PlainLabel(APPROVED, role="good", wrap=True)
        else:
            state = PlainLabel(WARNING, role="warn", wrap=True)
            buttons.addButton(self.approve, QDialogButtonBox.ButtonRole.ActionRole)
            self.approve.clicked.connect(self._approve)
        icon = PlainLabel()
        name, colour = ("check", "good") if is_approved(function) else ("warning", "warn")
        icon.setPixmap(theme().icon(name, getattr(theme().colours, colour)).pixmap(20, 20))
        told = QHBoxLayout()
        told.setSpacing(8)
        told.addWidget(icon)
        told.addWidget(state, 1)
        where = PlainLabel(str(function.path), role="strong", wrap=True)
        lines = function.text.count("\n") + (not function.text.endswith("\n"))
        about = PlainLabel(f"{lines:,} lines · SHA-256 {function.sha256}", role="caption", wrap=True)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 12)
        column.setSpacing(8)
        column.addWidget(where)
        column.addWidget(about)
        column.addLayout(told)
        column.addWidget(self.text, 1)
        column.addWidget(PlainLabel(NEEDS, role="muted", wrap=True))
        column.addWidget(self.problem)
        column.addWidget(buttons)
        self.text.setFocus()

    def _approve(self) -> None:
        try:
            approve(self._function)
        except LabError as error:
            self.problem.setText(str(error))
            self.problem.show()
            return
        self.accept()
