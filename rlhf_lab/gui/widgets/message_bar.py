"""Messages above the pane instead of dialogs: what happened, and buttons for a way on."""

from collections.abc import Callable
from typing import Literal

from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainLabel

Surface = Literal["note", "problem", "success", "banner"]
Action = tuple[str, Callable[[], object]]

_MOST = 3


class Message(QFrame):
    """One message; it stays until it is closed or one of its buttons is pressed."""

    def __init__(self, text: str, surface: Surface, actions: tuple[Action, ...], parent: QWidget | None = None):
        super().__init__(parent)
        self.text = text
        self.setProperty("surface", surface)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 8, 8, 8)
        row.setSpacing(8)
        label = PlainLabel(text, wrap=True)
        label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        row.addWidget(label, 1)
        for title, act in actions:
            button = QPushButton(title)
            button.setAccessibleName(title)
            button.clicked.connect(lambda _=False, act=act: self._act(act))
            row.addWidget(button)
        close = QToolButton()
        close.setProperty("look", "quiet")
        close.setAccessibleName("Close this message")
        close.setToolTip("Close this message")
        theme().keep_icon(close, "close")
        close.clicked.connect(self.leave)
        row.addWidget(close)
        self.setAccessibleName(text)

    def leave(self) -> None:
        """Go away."""
        self.hide()
        bar = self.parentWidget()
        if bar is not None:  # it stays the bar's child until Qt deletes it: its own button's click may still be at work
            bar.layout().removeWidget(self)
        self.deleteLater()

    def _act(self, act: Callable[[], object]) -> None:
        self.leave()
        act()


class MessageBar(QWidget):
    """The newest messages, one below the other; the same text is shown once."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)

    def show_message(self, text: str, surface: Surface = "note", *actions: Action) -> None:
        """Add a message; the oldest one goes when there are too many."""
        for old in self.messages():
            if old.text == text:
                old.leave()
        for old in self.messages()[: 1 - _MOST]:
            old.leave()
        self._column.addWidget(Message(text, surface, actions))

    def take_back(self, text: str) -> None:
        """Take a message away that holds no longer."""
        for old in self.messages():
            if old.text == text:
                old.leave()

    def messages(self) -> list[Message]:
        """What is shown, oldest first."""
        found = (self._column.itemAt(i).widget() for i in range(self._column.count()))
        return [widget for widget in found if isinstance(widget, Message)]
