"""A record's texts to change: prompt turns, answers, and what is said of them. Saved as a whole or not at all."""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QTextOption
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import AnyRecord, Pair, Ranking, Rated, Unpaired
from rlhf_lab.gui.actions import bind
from rlhf_lab.gui.models.answers import answers
from rlhf_lab.gui.models.record_edit import Draft, draft_of, edited
from rlhf_lab.gui.widgets.plain_text import LONG_LINE, PlainLabel, one_line, visible

MOST_EDITED = 200_000
"""Characters of a text that the editor takes; laying out more would stop the window."""

_ROLES = {"system": "System", "user": "Prompt", "assistant": "Earlier answer"}
_WIDEST_RATING = 1e6


class RecordEditor(QWidget):
    """Takes the place of the reading view while a record is edited."""

    saved = Signal(object)
    """The record as it is now."""
    left = Signal()
    """The person does not want to change anything."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._record: AnyRecord | None = None
        self.turns: list[_Text] = []
        self.texts: list[_Text] = []
        self.split = QComboBox()
        self.split.setAccessibleName("Split")
        self.split.setToolTip("Records that are held out are never trained on; the model is judged by them.")
        self.split.addItem("train", "train")
        self.split.addItem("held out", "heldout")
        self.tie = QCheckBox("Neither is better")
        self.tie.setToolTip("A tie counts as half a vote for each answer.")
        self.liked = QCheckBox("Liked")
        self.swap = QPushButton("The other is better")
        self.swap.setToolTip("Swap the two answers")
        self.swap.clicked.connect(self._swap)
        self.problem = PlainLabel(role="bad", wrap=True)
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Leave the record as it was (Esc)")
        self.cancel.clicked.connect(self.left)
        self.save = QPushButton("Save")
        self.save.setProperty("look", "primary")
        self.save.setToolTip("Keep the changes (Ctrl+Enter); they can be undone")
        self.save.clicked.connect(self._save)
        bind("editor.save", self, self._save, Qt.ShortcutContext.WidgetWithChildrenShortcut)
        bind("editor.leave", self, self.left.emit, Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self._lay_out()

    def show_record(self, record: AnyRecord) -> None:
        """Begin with what the record holds; `LabError` for one that is too long to be edited here."""
        draft = draft_of(record)
        if any(len(text) > MOST_EDITED for text in (*draft.turns, *draft.texts)):
            raise LabError(
                f"This record has a text of more than {MOST_EDITED:,} characters; export it and edit the file."
            )
        self._record = record
        self.problem.hide()
        for old in (*self.turns, *self.texts):
            old.setParent(None)
            old.deleteLater()
        self.turns = [_Text(_ROLES[message.role], message.content) for message in record.prompt.messages]
        titles = {answer.place: answer for answer in answers(record)}
        ranked = isinstance(record, Ranking | Rated)
        self.texts = [
            _Text(titles[place].title if not ranked else f"Answer {place + 1}", text, titles[place].source)
            for place, text in enumerate(draft.texts)
        ]
        for part, number in zip(self.texts, draft.numbers, strict=False):
            part.add_number(number, whole=isinstance(record, Ranking))
        for turn in self.turns:
            self._column.insertWidget(self._column.count() - 1, turn, 1)
        for text in self.texts:
            self._row.addWidget(text, 1)
        self.split.setCurrentIndex(self.split.findData(record.split))
        self.tie.setVisible(isinstance(record, Pair))
        self.swap.setVisible(isinstance(record, Pair))
        self.liked.setVisible(isinstance(record, Unpaired))
        self.tie.setChecked(draft.tie)
        self.liked.setChecked(draft.liked)
        (self.texts or self.turns)[0].edit.setFocus()

    def draft(self) -> Draft:
        """What stands there now."""
        return Draft(
            turns=tuple(turn.text() for turn in self.turns),
            texts=tuple(text.text() for text in self.texts),
            split=self.split.currentData(),
            numbers=tuple(text.value() for text in self.texts if text.number is not None),
            liked=self.liked.isChecked(),
            tie=self.tie.isChecked(),
        )

    def changed(self) -> AnyRecord | None:
        """The record as it was changed, None where it was not; `LabError` where it cannot be one like this."""
        assert self._record is not None
        if self.draft() == draft_of(self._record):
            return None
        return edited(self._record, self.draft())

    @Slot()
    def _save(self) -> None:
        try:
            record = self.changed()
        except LabError as error:
            self.problem.setText(str(error))
            self.problem.show()
            return
        if record is None:
            self.left.emit()
        else:
            self.saved.emit(record)

    @Slot()
    def _swap(self) -> None:
        first, second = self.draft().swapped().texts
        self.texts[0].put(first)
        self.texts[1].put(second)

    def _lay_out(self) -> None:
        answers_row = QWidget()
        self._row = QHBoxLayout(answers_row)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(8)
        inside = QWidget()
        self._column = QVBoxLayout(inside)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(8)
        self._column.addWidget(answers_row, 3)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(inside)
        scroll.viewport().setAutoFillBackground(False)
        inside.setAutoFillBackground(False)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        label = PlainLabel("Split")
        label.setBuddy(self.split)
        for widget in (label, self.split, self.swap, self.tie, self.liked):
            buttons.addWidget(widget)
        buttons.addStretch(1)
        buttons.addWidget(self.cancel)
        buttons.addWidget(self.save)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(scroll, 1)
        column.addWidget(self.problem)
        column.addLayout(buttons)


class _Text(QWidget):
    """A heading and a text to change; one that was not touched is given back to the letter."""

    def __init__(self, title: str, text: str, source: str = ""):
        super().__init__()
        self._before, self._number = text, 0.0
        self.number: QDoubleSpinBox | None = None
        self.heading = PlainLabel(f"{title} · {one_line(source, 60)}" if source else title, role="caption")
        self.hidden = PlainLabel(role="warn")
        self.edit = QPlainTextEdit()
        self.edit.setAccessibleName(title)
        self.edit.setTabChangesFocus(True)
        self.edit.setMinimumHeight(56)
        self.heading.setBuddy(self.edit)
        self.setMinimumWidth(200)
        self._head = QHBoxLayout()
        self._head.setContentsMargins(0, 0, 0, 0)
        self._head.setSpacing(8)
        self._head.addWidget(self.heading)
        self._head.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(self._head)
        column.addWidget(self.edit, 1)
        column.addWidget(self.hidden)
        self.put(text)

    def add_number(self, value: float, *, whole: bool) -> None:
        """A rank or a rating beside the heading."""
        self._number = value
        self.number = QDoubleSpinBox()
        self.number.setAccessibleName(f"{'Rank' if whole else 'Rating'} of {self.edit.accessibleName()}")
        self.number.setToolTip("1 is best; equal ranks are ties." if whole else "Higher is better.")
        self.number.setDecimals(0 if whole else 3)
        self.number.setRange(1 if whole else -_WIDEST_RATING, 64 if whole else _WIDEST_RATING)
        self.number.setValue(value)
        self.number.lineEdit().setTextMargins(6, 0, 0, 0)
        self._head.addWidget(PlainLabel("Rank" if whole else "Rating", role="caption"))
        self._head.addWidget(self.number)

    def value(self) -> float:
        """The rank or rating; one that was not touched keeps all its digits."""
        assert self.number is not None
        shown = self.number.value()
        return self._number if shown == round(self._number, self.number.decimals()) else shown

    def put(self, text: str) -> None:
        """Replace the text."""
        self._before = text
        long = any(len(line) > LONG_LINE for line in text.split("\n"))
        mode = QTextOption.WrapMode.WrapAnywhere if long else QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere
        self.edit.setWordWrapMode(mode)
        self.edit.setPlainText(text)
        self.edit.document().setModified(False)
        # Here the text is as it is: somebody who edits it must know of what cannot be seen.
        self.hidden.setText("It holds control characters that are not shown here; the reading view shows them.")
        self.hidden.setVisible(visible(text) != text.replace("\r\n", "\n"))

    def text(self) -> str:
        """What stands there, spaces that do not break included."""
        if not self.edit.document().isModified():
            return self._before
        return self.edit.document().toRawText().replace("\u2029", "\n").replace("\u2028", "\n")
