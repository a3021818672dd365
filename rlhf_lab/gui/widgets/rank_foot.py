"""The line below the answers: skip, note, what was said last and who had written it, undo and redo."""

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLineEdit, QToolButton, QVBoxLayout, QWidget

from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.rank_keys import KeyButton
from rlhf_lab.gui.widgets.still_text import StillLine


class RankFoot(QWidget):
    """The note belongs to the verdict that comes next."""

    skip_asked = Signal()
    undo_asked = Signal()
    redo_asked = Signal()
    note_left = Signal()
    confirm_toggled = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.skip = KeyButton("Skip", "S", "Go on without a verdict: S")
        self.note_button = KeyButton("Note", "N", "Say why, in a few words: N")
        self.undo = _tool("undo", "Undo the last verdict", "Ctrl+Z")
        self.redo = _tool("redo", "Give the undone verdict again", "Ctrl+Shift+Z")
        self.last = StillLine()
        self.confirm = QCheckBox("Confirm with Enter")
        self.confirm.setToolTip("A verdict is only marked until you press Enter: slower, and harder to slip")
        self.note = QLineEdit()
        self.note.setAccessibleName("Note on the next verdict")
        self.note.setPlaceholderText(
            "Why? Kept with the next verdict. Enter goes back to the answers, Esc throws it away."
        )
        self.note.setMaxLength(2000)
        self.note.hide()
        self.note.installEventFilter(self)
        self.skip.clicked.connect(self.skip_asked)
        self.note_button.clicked.connect(self.open_note)
        self.undo.clicked.connect(self.undo_asked)
        self.redo.clicked.connect(self.redo_asked)
        self.confirm.toggled.connect(self.confirm_toggled)
        row = QHBoxLayout()
        row.setSpacing(8)
        for widget in (self.skip, self.note_button):
            row.addWidget(widget)
        row.addSpacing(4)
        row.addWidget(self.last, 1)
        for widget in (self.confirm, self.undo, self.redo):
            row.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.note)
        column.addLayout(row)

    def offer_confirm(self, offered: bool) -> None:
        """Whether what is shown has verdicts of one key, which can be confirmed."""
        self.confirm.setVisible(offered)

    def open_note(self) -> None:
        """Write a note."""
        self.note.show()
        self.note.setFocus()

    @property
    def note_text(self) -> str:
        """The note on the verdict that comes next."""
        return self.note.text().strip() if not self.note.isHidden() else ""

    def take_note(self, text: str) -> None:
        """Begin with this note: that of a verdict that was undone, or none."""
        if text or not self.note.isHidden():
            self.note.setText(text)
            self.note.setVisible(bool(text))

    def show_last(self, words: str, *, role: str = "muted") -> None:
        """What was said last."""
        self.last.show_text(words, role)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Enter keeps the note and goes back to the answers; Esc throws it away."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            key = event.key()
            if key == Qt.Key.Key_Escape:
                self.note.clear()
            if key in (Qt.Key.Key_Escape, Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.note.setVisible(bool(self.note.text().strip()))
                self.note_left.emit()
                return True
        return False


def _tool(icon: str, words: str, keys: str) -> QToolButton:
    made = QToolButton()
    made.setAccessibleName(words)
    made.setToolTip(f"{words} ({keys})")
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    theme().keep_icon(made, icon)
    return made
