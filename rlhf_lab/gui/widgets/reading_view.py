"""One record to read: the prompt, and its answers side by side, best first; of a pair, what differs is marked."""

import re
from collections import Counter

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QTextCharFormat
from PySide6.QtWidgets import QFrame, QScrollArea, QSizePolicy, QSplitter, QVBoxLayout, QWidget

from rlhf_lab.core.records import AnyRecord, Pair
from rlhf_lab.gui.models.answers import Answer, answers, facts
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainLabel, PlainView, one_line, plain_tip

_MOST_STEPS = 300_000
"""Comparisons of one word with one word; texts that would need more are compared by sentences, or not at all."""

_WORDS = re.compile(r"\s*\w+|\s*[^\w\s]|\s+")
_SENTENCES = re.compile(r"[^.!?\n]*[.!?\n]+\s*|[^.!?\n]+")
_MOST_COMPARED = 400_000
"""Characters of both texts."""
_NARROWEST = 232

Spans = list[tuple[str, bool]]


class ReadingView(QWidget):
    """Shows a record, or nothing while none is chosen."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._record: AnyRecord | None = None
        self.prompt = _Part("Prompt")
        self.parts = [_Part("Chosen"), _Part("Rejected")]
        self.tags = PlainLabel(role="caption")
        self.tags.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._answers = QSplitter(Qt.Orientation.Horizontal)
        self._answers.setChildrenCollapsible(False)
        self._answers.setHandleWidth(8)
        for part in self.parts:
            self._answers.addWidget(part)
        strip = QScrollArea()
        strip.setWidgetResizable(True)
        strip.setFrameShape(QFrame.Shape.NoFrame)
        strip.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        strip.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        strip.setWidget(self._answers)
        strip.viewport().setAutoFillBackground(False)
        self._answers.setAutoFillBackground(False)
        halves = QSplitter(Qt.Orientation.Vertical, self)
        halves.setChildrenCollapsible(False)
        halves.setHandleWidth(8)
        halves.addWidget(self.prompt)
        halves.addWidget(strip)
        halves.setStretchFactor(1, 3)
        halves.setSizes([72, 216])
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(halves, 1)
        column.addWidget(self.tags)
        theme().changed.connect(self._paint)
        self.show_record(None)

    @property
    def left(self) -> "_Part":
        """The first answer."""
        return self.parts[0]

    @property
    def right(self) -> "_Part":
        """The second one."""
        return self.parts[1]

    def show_record(self, record: AnyRecord | None) -> None:
        """Show the record; None empties the view."""
        self._record = record
        self._paint()

    def _paint(self) -> None:
        record = self._record
        self.prompt.show_text("" if record is None else record.prompt.text)
        shown = answers(record)
        while len(self.parts) < len(shown):
            self.parts.append(_Part("Answer"))
            self._answers.addWidget(self.parts[-1])
        for part, answer in zip(self.parts, shown, strict=False):
            part.show_spans(_title(answer), [(answer.text, False)], "")
        if isinstance(record, Pair):
            colours = theme().colours
            marked = differences(record.chosen.text, record.rejected.text)
            for part, answer, spans, colour in zip(
                self.parts, shown, marked, (colours.good_soft, colours.bad_soft), strict=False
            ):
                part.show_spans(_title(answer), spans, colour)
        for place, part in enumerate(self.parts):
            part.setVisible(place < len(shown))
        known = "   ".join(f"{name}: {value}" for name, value in facts(record))
        self.tags.setText(one_line(known, 400))
        self.tags.setToolTip(plain_tip(known))
        self.tags.setVisible(bool(known))


class _Part(QWidget):
    """A heading and a text."""

    def __init__(self, title: str):
        super().__init__()
        self.heading = PlainLabel(title, role="caption")
        self.heading.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.view = PlainView()
        self.view.setAccessibleName(title)
        self.view.setMinimumHeight(48)
        self.heading.setBuddy(self.view)
        self.setMinimumWidth(_NARROWEST)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.heading)
        column.addWidget(self.view, 1)

    def show_text(self, text: str) -> None:
        self.view.set_text(text)

    def show_spans(self, title: str, spans: Spans, colour: str) -> None:
        self.heading.setText(title)
        self.heading.setToolTip(plain_tip(title))
        self.view.setAccessibleName(title)
        marked = QTextCharFormat()
        if colour:
            marked.setBackground(QColor(colour))
            marked.setFontUnderline(True)  # colour alone would not do
        self.view.set_spans([(text, marked if differs else None) for text, differs in spans])


def differences(one: str, other: str) -> tuple[Spans, Spans]:
    """Both texts in pieces, each with whether the other text lacks it: word by word, long ones by sentences."""
    for pattern in (_WORDS, _SENTENCES) if len(one) + len(other) <= _MOST_COMPARED else ():
        first, second = pattern.findall(one), pattern.findall(other)
        counts = Counter(second)
        if sum(counts[piece] for piece in first) <= _MOST_STEPS:
            return _compared(first, second)
    return [(one, False)], [(other, False)]


def _compared(first: list[str], second: list[str]) -> tuple[Spans, Spans]:
    import difflib  # the first record has one answer, as a rule

    left: Spans = []
    right: Spans = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        differs = kind != "equal"
        left.append(("".join(first[a:b]), differs))
        right.append(("".join(second[c:d]), differs))
    return [piece for piece in left if piece[0]], [piece for piece in right if piece[0]]


def _title(answer: Answer) -> str:
    return f"{answer.title} · {one_line(answer.source, 60)}" if answer.source else answer.title
