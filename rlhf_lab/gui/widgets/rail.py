"""The navigation rail: the panes in the order of the work."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QButtonGroup, QFrame, QMenu, QToolButton, QVBoxLayout, QWidget

from rlhf_lab.core.help import topic
from rlhf_lab.gui.actions import keys_of, with_keys
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.help_mark import explain
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line, plain_tip


class Rail(QFrame):
    """Exactly one place is chosen; the arrow keys move between them."""

    chosen = Signal(str)
    help_asked = Signal()
    settings_asked = Signal()

    def __init__(self, places: Sequence[str], parent: QWidget | None = None):
        super().__init__(parent)
        self.setProperty("surface", "rail")
        self.setAccessibleName("Navigation")
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 16, 8, 8)
        column.setSpacing(4)
        name = PlainLabel("RLHF Lab", role="heading")
        name.setContentsMargins(12, 0, 12, 12)
        column.addWidget(name)
        self._group = QButtonGroup(self)
        self._buttons: dict[str, QToolButton] = {}
        for place in places:
            button = self._entry(topic(f"pane.{place}").title, place)
            explain(button, f"pane.{place}", f"pane.{place}")
            button.setCheckable(True)
            button.clicked.connect(lambda _=False, n=place: self.chosen.emit(n))
            self._group.addButton(button)
            self._buttons[place] = button
            column.addWidget(button)
        column.addStretch(1)
        self.project = self._entry("Project", "folder")
        self.project.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.project.hide()
        column.addWidget(self.project)
        asks = self._entry("Help", "info")
        asks.setToolTip(
            f"Panes, controls, words, keys ({keys_of('help.contents')}). {keys_of('help.here')}: on what has the keyboard"
        )
        asks.clicked.connect(self.help_asked)
        column.addWidget(asks)
        settings = self._entry("Settings", "settings")
        settings.setToolTip(with_keys("Theme and training settings", "window.settings"))
        settings.clicked.connect(self.settings_asked)
        column.addWidget(settings)

    def show_project(self, folder: Path, menu: QMenu) -> None:
        """Which project is open, and the way to others."""
        self.project.setText("  ")
        self.project.setMenu(menu)
        room = self.project.minimumWidth() - self.project.sizeHint().width()  # whatever its name, the rail is as wide
        name = self.project.fontMetrics().elidedText(one_line(folder.name, 60), Qt.TextElideMode.ElideRight, room)
        self.project.setText(f"  {name}".replace("&", "&&"))
        self.project.setAccessibleName(f"Project {one_line(folder.name, 60)}")
        self.project.setToolTip(plain_tip(f"{folder}: open another project, or make a new one"))
        self.project.show()

    def choose(self, name: str) -> None:
        """Mark the place as the one that is shown; the keyboard goes along where it was on the rail, or nowhere."""
        self._buttons[name].setChecked(True)
        if (has_it := self.window().focusWidget()) is None or has_it in self._buttons.values():
            self._buttons[name].setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Up and down move through the entries."""
        step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
            return
        names = list(self._buttons)
        at = next((i for i, n in enumerate(names) if self._buttons[n].hasFocus()), 0)
        button = self._buttons[names[(at + step) % len(names)]]
        button.setFocus(Qt.FocusReason.TabFocusReason)
        button.click()

    def _entry(self, title: str, icon: str) -> QToolButton:
        button = QToolButton(self)
        button.setText(f"  {title}")  # the style leaves no gap to the icon
        button.setAccessibleName(title)
        button.setProperty("look", "rail")
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setIconSize(QSize(20, 20))
        button.setMinimumWidth(128)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        policy = button.sizePolicy()
        policy.setHorizontalPolicy(policy.Policy.Expanding)
        button.setSizePolicy(policy)
        theme().keep_icon(button, icon)
        return button
