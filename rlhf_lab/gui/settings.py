"""What a person may set for the whole application, and the dialog for it."""

import json
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QSettings, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.gui.diagnostics import CopyDiagnostics, Diagnostics
from rlhf_lab.gui.theme import Choice, theme
from rlhf_lab.gui.widgets.help_mark import explain
from rlhf_lab.gui.widgets.plain_text import PlainLabel

_THEMES: tuple[tuple[Choice, str], ...] = (("system", "Like the system"), ("light", "Light"), ("dark", "Dark"))

MOST_PROJECTS = 10
"""Of those that were open before."""


class Settings(QObject):
    """Kept in an INI file beside the default project; every change is written at once."""

    changed = Signal()

    def __init__(self, file: Path, parent: QObject | None = None):
        super().__init__(parent)
        self._file = QSettings(str(file), QSettings.Format.IniFormat)

    @property
    def theme(self) -> Choice:
        """Which colours."""
        found = str(self._file.value("theme", "system"))
        return next((choice for choice, _ in _THEMES if choice == found), "system")

    @property
    def warm(self) -> bool:
        """Whether a trainer stands by, so that a run starts at once (some 360 MB)."""
        return self._file.value("warm", True, type=bool)

    @property
    def threads(self) -> int:
        """For runs that leave it open; 0: one fewer than the cores."""
        return self._file.value("threads", 0, type=int)

    @property
    def awake(self) -> bool:
        """Whether the machine is kept from falling asleep while a run trains."""
        return self._file.value("awake", True, type=bool)

    @property
    def notify(self) -> bool:
        """Whether the system tells of a run that ends while another window is in front."""
        return self._file.value("notify", True, type=bool)

    @property
    def recent(self) -> list[str]:
        """Names of the actions that were chosen from the palette last, the newest first."""
        return self._names("recent")

    def put_recent(self, names: list[str]) -> None:
        """Keep them; nothing else depends on them."""
        self._file.setValue("recent", json.dumps(names))

    @property
    def projects(self) -> list[str]:
        """Folders of the projects that were open, the newest first."""
        return self._names("projects")

    def put_project(self, folder: Path) -> None:
        """This project is open now."""
        others = [name for name in self.projects if name != str(folder)]
        self._file.setValue("projects", json.dumps([str(folder), *others][:MOST_PROJECTS]))
        self._file.sync()

    def _names(self, key: str) -> list[str]:
        """A list; an older version wrote a name on each line, which a folder's name can break."""
        said = str(self._file.value(key, ""))
        try:
            found = json.loads(said)
        except ValueError:
            found = said.split("\n")
        return [name for name in found if isinstance(name, str) and name] if isinstance(found, list) else []

    def put(self, name: str, value: str | bool | int) -> None:
        """Set one of them."""
        self._file.setValue(name, value)
        self._file.sync()
        self.changed.emit()


class SettingsDialog(QDialog):
    """Each control acts at once; there is nothing to confirm."""

    backups_asked = Signal()

    def __init__(self, settings: Settings, diagnostics: Diagnostics, parent: QWidget | None = None):
        super().__init__(parent)
        self._settings = settings
        self.setWindowTitle("Settings")
        self.setMinimumWidth(480)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 16)
        column.setSpacing(16)
        column.addWidget(PlainLabel("Settings", role="title"))
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(12)
        column.addLayout(form)

        self.theme = QComboBox()
        self.theme.setAccessibleName("Colours")
        for choice, title in _THEMES:
            self.theme.addItem(title, choice)
        self.theme.setCurrentIndex(self.theme.findData(settings.theme))
        self.theme.currentIndexChanged.connect(self._choose_theme)
        form.addRow("Colours", self.theme)

        self.warm = self._switch(
            "warm", settings.warm, "control.warm", "Keep a trainer ready, so that runs start at once"
        )
        form.addRow("Trainer", self.warm)

        self.threads = QSpinBox()
        self.threads.setAccessibleName("Threads of a run")
        self.threads.lineEdit().setTextMargins(6, 0, 0, 0)
        self.threads.setRange(0, 1024)
        self.threads.setSpecialValueText("One fewer than the cores")
        explain(self.threads, "control.threads")
        self.threads.setValue(settings.threads)
        self.threads.valueChanged.connect(partial(settings.put, "threads"))
        form.addRow("Threads", self.threads)

        self.awake = self._switch("awake", settings.awake, "control.awake", "Keep the machine awake while a run trains")
        form.addRow("Sleep", self.awake)

        self.notify = self._switch(
            "notify", settings.notify, "control.notify", "Tell me when a run ends while I am in another window"
        )
        form.addRow("Notifications", self.notify)

        self.backups = QPushButton("Backups…")
        self.backups.setAccessibleName("Backups of the database")
        self.backups.setToolTip("Which copies of the project's database there are, and the way back to one")
        self.backups.setProperty("help", "help:control.backups")
        self.backups.clicked.connect(self._show_backups)
        self.copy = CopyDiagnostics(diagnostics)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.backups)
        row.addWidget(self.copy)
        row.addStretch(1)
        form.addRow("Project", row)

        column.addWidget(PlainLabel("The size of text follows the system's font.", role="caption"))
        buttons = QDialogButtonBox()
        close = buttons.addButton("Close", QDialogButtonBox.ButtonRole.RejectRole)
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)
        close.setDefault(True)  # else Enter in a field would press what stands first

    def _switch(self, name: str, on: bool, about: str, words: str) -> QCheckBox:
        """For the setting of that name; ``about`` is what help says of it."""
        box = QCheckBox(words)
        explain(box, about)
        box.setChecked(on)
        box.toggled.connect(partial(self._settings.put, name))
        return box

    def _show_backups(self) -> None:
        self.accept()
        self.backups_asked.emit()

    def _choose_theme(self) -> None:
        self._settings.put("theme", self.theme.currentData())
        theme().choose(self._settings.theme)
