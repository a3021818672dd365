"""A small "what is this?" mark: its tooltip opens on hover, on focus by Space or Enter, and by click."""

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QToolButton, QToolTip

from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import plain_tip


class HelpMark(QToolButton):
    """Stands beside what it explains."""

    def __init__(self, subject: str, text: str):
        super().__init__()
        self.setProperty("look", "mark")
        self.setAccessibleName(f"About {subject}")
        self.setAccessibleDescription(text)
        self.setToolTip(plain_tip(text))
        self.setIconSize(QSize(14, 14))
        self.setFixedSize(20, 20)
        self.clicked.connect(self._show)
        theme().changed.connect(self._paint)
        self._paint()

    def _show(self) -> None:
        QToolTip.showText(self.mapToGlobal(self.rect().bottomLeft()), self.toolTip(), self)

    def _paint(self) -> None:
        self.setIcon(theme().icon("info", theme().colours.muted))
