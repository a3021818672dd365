"""One record to read: the prompt, and its answers side by side with what differs marked."""

import difflib
import re

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QTextCharFormat
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from rlhf_lab.core.records import AnyRecord, Demonstration, Pair, Unpaired
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainLabel, PlainView, one_line

_MOST_WORDS = 3_000
"""Longer answers are shown unmarked: the comparison grows with the product of their lengths."""

Spans = list[tuple[str, bool]]


class ReadingView(QWidget):
    """Shows a record, or what to do when none is chosen."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._record: AnyRecord | None = None
        self.prompt = _Part("Prompt")
        self.left = _Part("Chosen")
        self.right = _Part("Rejected")
        self.tags = PlainLabel(role="caption")
        answers = QSplitter(Qt.Orientation.Horizontal)
        answers.setChildrenCollapsible(False)
        answers.setHandleWidth(8)
        answers.addWidget(self.left)
        answers.addWidget(self.right)
        halves = QSplitter(Qt.Orientation.Vertical)
        halves.setChildrenCollapsible(False)
        halves.setHandleWidth(8)
        halves.addWidget(self.prompt)
        halves.addWidget(answers)
        halves.setStretchFactor(1, 3)
        halves.setSizes([72, 216])
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(halves, 1)
        column.addWidget(self.tags)
        theme().changed.connect(self._paint)
        self.show_record(None)

    def show_record(self, record: AnyRecord | None) -> None:
        """Show the record; None empties the view."""
        self._record = record
        self._paint()

    def _paint(self) -> None:
        record = self._record
        self.prompt.show_text("" if record is None else record.prompt.text)
        self.left.setVisible(isinstance(record, Pair | Demonstration | Unpaired))
        self.right.setVisible(isinstance(record, Pair))
        tags = {} if record is None else {**record.prompt.tags, **record.tags}
        self.tags.setText(one_line("   ".join(f"{name}: {value}" for name, value in tags.items()), 200))
        self.tags.setVisible(bool(tags))
        if isinstance(record, Pair):
            chosen, rejected = differences(record.chosen.text, record.rejected.text)
            colours = theme().colours
            self.left.show_spans(_title("Chosen", record.chosen.source, record.tie), chosen, colours.good_soft)
            self.right.show_spans(_title("Rejected", record.rejected.source, record.tie), rejected, colours.bad_soft)
        elif isinstance(record, Demonstration | Unpaired):
            title = "Answer"
            if isinstance(record, Unpaired):
                title = "Answer, liked" if record.label else "Answer, not liked"
            self.left.show_spans(_title(title, record.completion.source), [(record.completion.text, False)], "")


class _Part(QWidget):
    """A heading and a text."""

    def __init__(self, title: str):
        super().__init__()
        self.heading = PlainLabel(title, role="caption")
        self.view = PlainView()
        self.view.setAccessibleName(title)
        self.view.setMinimumHeight(48)
        self.heading.setBuddy(self.view)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.heading)
        column.addWidget(self.view, 1)

    def show_text(self, text: str) -> None:
        self.view.set_text(text)

    def show_spans(self, title: str, spans: Spans, colour: str) -> None:
        self.heading.setText(title)
        self.view.setAccessibleName(title)
        marked = QTextCharFormat()
        if colour:
            marked.setBackground(QColor(colour))
            marked.setFontUnderline(True)  # colour alone would not do
        self.view.set_spans([(text, marked if differs else None) for text, differs in spans])


def differences(one: str, other: str) -> tuple[Spans, Spans]:
    """Both texts in pieces, each with whether the other text lacks it, word by word."""
    first, second = re.findall(r"\s+|\w+|[^\w\s]", one), re.findall(r"\s+|\w+|[^\w\s]", other)
    if len(first) > _MOST_WORDS or len(second) > _MOST_WORDS:
        return [(one, False)], [(other, False)]
    left: Spans = []
    right: Spans = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        differs = kind != "equal"
        left.append(("".join(first[a:b]), differs))
        right.append(("".join(second[c:d]), differs))
    return [piece for piece in left if piece[0]], [piece for piece in right if piece[0]]


def _title(title: str, source: str, tie: bool = False) -> str:
    said = f"{title} (a tie: neither is better)" if tie else title
    return f"{said} · {one_line(source, 60)}" if source else said
