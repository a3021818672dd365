"""What to show of a data set: a search, and filters that open below it."""

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.gui.models.answers import ONE_KIND
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line
from rlhf_lab.store import Filters

_TYPING_MS = 250
_LONGEST = 99_999_999
_WIDEST = 168
_LETTERS = 3
"""Of a choice that can be read in a narrow window; a wide one shows it whole."""

_SPLITS = (("any split", {}), ("train", {"split": "train"}), ("held out", {"split": "heldout"}))
_STATES = (
    ("edited or not", {}),
    ("edited here", {"edited": True}),
    ("ranked here", {"judged": True}),
    ("not ranked yet", {"judged": False}),
)

Choices = Sequence[tuple[str, dict[str, Any]]]


class FilterBar(QWidget):
    """``changed`` comes once the person has stopped for a moment."""

    changed = Signal()
    opened = Signal()
    """The filters of a data set are seen for the first time."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search prompts and answers")
        self.search.setAccessibleName("Search records")
        self.search.setToolTip('Records that have all these words; "quoted words" stand together (Ctrl+F)')
        self.search.setClearButtonEnabled(True)
        self.search.setMaximumWidth(320)
        self.more = QToolButton()
        self.more.setCheckable(True)
        self.more.setProperty("look", "browse")
        self.more.setToolTip("Show only some splits, sources, lengths or kinds")
        self.more.setAccessibleName("Filters")
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        theme().keep_icon(self.more, "filter")
        self.matches = PlainLabel(role="muted")
        self.indexing = PlainLabel(role="caption")
        self.indexing.setToolTip("Until it is made, a search reads every record. It goes on while you work.")
        self.split = _choice("Split", _SPLITS)
        self.source = _choice("Source", [])
        self.kind = _choice("Kind", [])
        self.state = _choice("Edited or ranked", _STATES)
        self.choices = (self.split, self.source, self.kind, self.state)
        self.shortest = _length("Shortest", "Records whose longest answer has at least so many characters")
        self.longest = _length("Longest", "Records whose longest answer has at most so many characters")
        self.clear = QPushButton("Clear")
        self.clear.setAccessibleName("Clear the search and all filters")
        self.clear.setToolTip("Show all records again")
        self.clear.setProperty("look", "link")
        self.clear.clicked.connect(self._clear)
        self.tools = QHBoxLayout()
        self._told = True
        self._pause = QTimer(self, singleShot=True, interval=_TYPING_MS)
        self._pause.timeout.connect(self.changed)
        self.search.textChanged.connect(self._touched)
        for choice in self.choices:
            choice.currentIndexChanged.connect(self._touched)
        for length in (self.shortest, self.longest):
            length.valueChanged.connect(self._touched)
        self.more.toggled.connect(self._open)
        self._lay_out()
        self._open(False)

    def show_dataset(self, kind: str) -> None:
        """What can be chosen for a data set; nothing is at first."""
        self.offer_sources([])
        self._told = False
        kinds = [(words, {"kind": name}) for name, words in ONE_KIND.items()] if kind == "mixed" else []
        _fill(self.kind, [("any kind", {}), *kinds])
        self.kind.setVisible(bool(kinds))
        self._empty()
        self.wait_no_longer()
        self._open(self.more.isChecked())

    def offer_sources(self, sources: Sequence[str]) -> None:
        """Who wrote answers of this data set."""
        _fill(self.source, [("any source", {}), *((one_line(name, 60), {"source": name}) for name in sources)])
        self.source.setVisible(bool(sources))

    def filters(self) -> Filters:
        """What was chosen."""
        chosen: dict[str, Any] = {"search": self.search.text().strip()}
        for choice in self.choices:
            chosen |= choice.currentData() or {}
        if self.shortest.value():
            chosen["shortest"] = self.shortest.value()
        if self.longest.value():
            chosen["longest"] = self.longest.value()
        return Filters(**chosen)

    def say(self, text: str) -> None:
        """How many were found, or that the search goes on."""
        self.matches.setText(text)

    def say_indexing(self, text: str) -> None:
        """How far the search index is; "" when there is nothing to wait for."""
        self.indexing.setText(text)
        self.indexing.setVisible(bool(text))

    def wait_no_longer(self) -> None:
        """Forget a change that was not told yet."""
        self._pause.stop()

    @Slot()
    def _touched(self) -> None:
        self._count()
        self._pause.start()

    def _count(self) -> None:
        chosen = sum(choice.currentIndex() > 0 for choice in self.choices)
        chosen += bool(self.shortest.value()) + bool(self.longest.value())
        self.more.setText(f"Filters ({chosen})" if chosen else "Filters")
        self.clear.setVisible(bool(chosen or self.search.text()))

    @Slot()
    def _clear(self) -> None:
        self._empty()
        self.search.setFocus()
        self.changed.emit()

    def _empty(self) -> None:
        widgets = (self.search, *self.choices, self.shortest, self.longest)
        blockers = [QSignalBlocker(widget) for widget in widgets]
        self.search.clear()
        for choice in self.choices:
            choice.setCurrentIndex(0)
        self.shortest.setValue(0)
        self.longest.setValue(0)
        del blockers
        self._count()

    @Slot(bool)
    def _open(self, shown: bool) -> None:
        self._row.setVisible(shown)
        if shown and not self._told:
            self._told = True
            self.opened.emit()

    def _lay_out(self) -> None:
        upper = QHBoxLayout()
        upper.setSpacing(8)
        upper.addWidget(self.search, 1)
        upper.addWidget(self.more)
        upper.addWidget(self.matches)
        upper.addWidget(self.clear)
        upper.addStretch(1)
        upper.addWidget(self.indexing)
        self.tools.setSpacing(4)
        upper.addLayout(self.tools)
        self._row = QWidget()
        lower = QHBoxLayout(self._row)
        lower.setContentsMargins(0, 0, 0, 0)
        lower.setSpacing(8)
        for widget in self.choices:
            lower.addWidget(widget, 3)
        for text, widget in (("Length from", self.shortest), ("to", self.longest)):
            label = PlainLabel(text)
            label.setBuddy(widget)
            lower.addWidget(label)
            lower.addWidget(widget, 1 if widget in (self.shortest, self.longest) else 0)
        lower.addStretch(0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(upper)
        column.addWidget(self._row)


def _choice(title: str, choices: Choices) -> QComboBox:
    made = QComboBox()
    made.setAccessibleName(title)
    made.setToolTip(title)
    made.setMaximumWidth(_WIDEST)
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumContentsLength(_LETTERS)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    _fill(made, choices)
    return made


def _fill(choice: QComboBox, choices: Choices) -> None:
    with QSignalBlocker(choice):
        choice.clear()
        for text, fields in choices:
            choice.addItem(text, fields)


def _length(title: str, tip: str) -> QSpinBox:
    made = QSpinBox()
    made.setRange(0, _LONGEST)
    made.setSingleStep(100)
    made.setSpecialValueText("any")
    made.setAccessibleName(f"{title} answer in characters")
    made.setToolTip(tip)
    made.lineEdit().setTextMargins(6, 0, 0, 0)
    made.setMinimumWidth(72)
    made.setMaximumWidth(96)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return made
