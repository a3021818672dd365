"""A heading that shows and hides what is below it; what is hidden cannot take the keyboard's focus."""

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget

from rlhf_lab.gui.theme import theme


class Disclosure(QWidget):
    """Closed at first."""

    toggled = Signal(bool)

    def __init__(self, title: str, content: QWidget):
        super().__init__()
        self._content = content
        self.button = QToolButton()
        self.button.setText(title)
        self.button.setProperty("look", "disclosure")
        self.button.setCheckable(True)
        self.button.setIconSize(QSize(12, 12))
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.button.toggled.connect(self._show_content)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.button)
        column.addWidget(content)
        theme().changed.connect(self._paint)
        self._show_content(False)

    def set_title(self, title: str) -> None:
        """Change the heading."""
        if self.button.text() != title:
            self.button.setText(title)

    def open(self) -> None:
        """Show the content."""
        self.button.setChecked(True)

    def _show_content(self, shown: bool) -> None:
        self._content.setVisible(shown)
        self._paint()
        self.toggled.emit(shown)

    def _paint(self) -> None:
        self.button.setIcon(theme().icon("arrow-up" if self.button.isChecked() else "arrow-down"))
