"""A small "what is this?" mark: its tooltip opens on hover, on focus by Space or Enter, and by click."""

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QToolButton, QToolTip, QWidget

from rlhf_lab.core.help import tip, topic
from rlhf_lab.gui.actions import with_keys
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import plain_tip


def explain(widget: QWidget, name: str, action: str = "") -> None:
    """Tooltip and F1 of a widget from a topic of the catalogue; the keys of ``action`` stand behind the tooltip."""
    words = tip(name)
    widget.setToolTip(plain_tip(with_keys(words, action) if action else words))
    widget.setAccessibleDescription(words)
    widget.setProperty("help", f"help:{name}")


class HelpMark(QToolButton):
    """Stands beside what it explains."""

    def __init__(self, subject: str, text: str, refs: str = ""):
        """``refs``: pages of the help on it, for F1."""
        super().__init__()
        self.setProperty("help", refs)
        self.setProperty("look", "mark")
        self.setAccessibleName(f"About {subject}")
        self.setAccessibleDescription(text)
        self.setToolTip(plain_tip(text))
        self.setIconSize(QSize(14, 14))
        self.setFixedSize(20, 20)
        self.clicked.connect(self._show)
        theme().changed.connect(self._paint)
        self._paint()

    @classmethod
    def about(cls, name: str) -> "HelpMark":
        """A mark on a topic of the catalogue."""
        found = topic(name)
        return cls(found.title, found.tip, f"help:{name}")

    def _show(self) -> None:
        QToolTip.showText(self.mapToGlobal(self.rect().bottomLeft()), self.toolTip(), self)

    def _paint(self) -> None:
        self.setIcon(theme().icon("info", theme().colours.muted))
