"""The same run without the window: the exact command line and the TOML file that it reads."""

import shlex
import subprocess
import sys
from pathlib import Path

from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.config_toml import render_toml
from rlhf_lab.core.typed_path import typed_path
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainLabel, PlainView


def command_line(file: str, project: Path) -> str:
    """What to type in a terminal, quoted for this system's shell."""
    words = ["rlhf-lab", "run", file, "--project", str(project)]
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


class CommandDialog(QDialog):
    """Shows both to copy; the file can be saved, and the line then names it."""

    def __init__(self, config: RunConfig, project: Path, parent: QWidget | None = None):
        super().__init__(parent)
        self._toml, self._project = render_toml(config), project
        self.setWindowTitle("Run it from a terminal")
        self.resize(680, 560)
        self.line = self._view(command_line(f"{config.stage}.toml", project), "Command line")
        self.line.setFixedHeight(3 * self.line.fontMetrics().lineSpacing() + 16)
        self.toml = self._view(self._toml, "Config file")
        self._saved = PlainLabel(role="muted", wrap=True)
        save = QPushButton("Save…")
        save.setAccessibleName("Save the config file")
        save.clicked.connect(self._save)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 12)
        column.setSpacing(8)
        column.addLayout(self._head("Command", "Copy the command", lambda: self.line.toPlainText()))
        column.addWidget(self.line)
        column.addLayout(self._head(f"{config.stage}.toml", "Copy the config file", lambda: self._toml, save))
        column.addWidget(self.toml, 1)
        column.addWidget(self._saved)
        column.addWidget(buttons)

    def _head(self, title: str, copy_name: str, text: object, *more: QPushButton) -> QHBoxLayout:
        copy = QPushButton("Copy")
        copy.setAccessibleName(copy_name)
        theme().keep_icon(copy, "copy")
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(text()))
        row = QHBoxLayout()
        row.addWidget(PlainLabel(title, role="strong"), 1)
        for button in (*more, copy):
            row.addWidget(button)
        return row

    def _view(self, text: str, name: str) -> PlainView:
        view = PlainView(text)
        view.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        view.setAccessibleName(name)
        view.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        return view

    def _save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "Save the config", str(typed_path("~") / "run.toml"), "TOML (*.toml)"
        )
        if not name:
            return
        try:
            Path(name).write_text(self._toml, encoding="utf-8")
        except OSError as error:
            self._saved.setText(f"{name} could not be written: {error.strerror}. Choose another place.")
            return
        self.line.set_text(command_line(name, self._project))
        self._saved.setText(f"Saved as {name}.")
