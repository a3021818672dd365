"""What stands where the answers would be: what is so, what to do about it, and how far that is."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from rlhf_lab.gui.models.rank_words import Empty
from rlhf_lab.gui.widgets.plain_text import PlainLabel

_WIDTH = 520


class EmptyPage(QWidget):
    """Says `asked` with the name of the button that was pressed."""

    asked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.buttons: dict[str, QPushButton] = {}
        self.title = PlainLabel(role="title")
        self.title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.advice = PlainLabel(role="muted", wrap=True)
        self.advice.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.advice.setFixedWidth(_WIDTH)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(280)
        self.bar.setAccessibleName("Progress")
        self.bar.hide()
        self._row = QHBoxLayout()
        self._row.setSpacing(8)
        column = QVBoxLayout(self)
        column.setSpacing(12)
        column.addStretch(2)
        column.addWidget(self.title)
        for part in (self.advice, self.bar, self._row):
            column.addLayout(_centred(part))
        column.addStretch(3)

    def show_empty(self, empty: Empty) -> None:
        """Show another reason; the first button is the one to press."""
        self.title.setText(empty.title)
        self.advice.setText(empty.advice)
        self.advice.setVisible(bool(empty.advice))
        self.bar.hide()
        for button in self.buttons.values():
            button.hide()
            button.deleteLater()
        self.buttons = {}
        for name, words in empty.actions:
            button = QPushButton(words)
            button.setAccessibleName(words)
            if not self.buttons:
                button.setProperty("look", "primary")
            button.clicked.connect(lambda _=False, n=name: self.asked.emit(n))
            self._row.addWidget(button)
            self.buttons[name] = button

    def show_progress(self, done: int, total: int) -> None:
        """The work that was asked for goes on; total 0: nobody knows how long."""
        self.bar.setRange(0, 1000 if total else 0)
        self.bar.setValue(min(1000, 1000 * done // total) if total else 0)
        self.bar.show()


def _centred(part: QWidget | QHBoxLayout) -> QHBoxLayout:
    """Between stretches: an alignment would not let wrapped words be as high as they are."""
    row = QHBoxLayout()
    row.addStretch(1)
    row.addWidget(part) if isinstance(part, QWidget) else row.addLayout(part)
    row.addStretch(1)
    return row
