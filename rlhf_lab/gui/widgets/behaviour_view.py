"""A behaviour report to read: what it comes to, a table with intervals, and a picture with sentences for each row."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QComboBox, QFrame, QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from rlhf_lab.gui.models.behaviour import Picture, asked_in_words, cell_text, pictures, row_title
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.help_mark import HelpMark
from rlhf_lab.gui.widgets.interval_chart import IntervalCard
from rlhf_lab.gui.widgets.matrix_table import Cell, MatrixTable
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line

if TYPE_CHECKING:
    from rlhf_lab.data.behaviour import Row
    from rlhf_lab.runs.behaviour_report import BehaviourReport

_COLUMNS = 2
_MOST_NOTICES = 3


class BehaviourView(QWidget):
    """Says `compare_asked` with the name of another model to compare with, `save_asked` and `page_asked`."""

    compare_asked = Signal(str)
    save_asked = Signal()
    page_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.title = PlainLabel(role="title")
        self.about = PlainLabel(role="caption", wrap=True)
        self.said = PlainLabel(wrap=True)
        self.reference = QComboBox()
        self.reference.setAccessibleName("Compared with")
        self.reference.activated.connect(self._compare)
        self.save, self.page = QPushButton("Export…"), QPushButton("Open as a page")
        self.save.setToolTip("A page of HTML that loads nothing, and all numbers and answers beside it as JSON")
        self.page.setToolTip("In the browser: also with the answers of every model side by side")
        theme().keep_icon(self.save, "export")
        theme().keep_icon(self.page, "report")
        self.save.clicked.connect(self.save_asked)
        self.page.clicked.connect(self.page_asked)
        self.table = MatrixTable("Means of every model with their intervals, and what moved", lines=2)
        self.cards: list[PictureCard] = []
        self._grid = QGridLayout()
        self._grid.setSpacing(12)
        self._lay_out()

    def show_report(self, report: "BehaviourReport") -> None:
        """Show it in the place of the one before."""
        names = [model.name for model in report.models]
        self.title.setText("How it behaves" if len(names) == 1 else "What changed, and what did not")
        raw = [model.name for model in report.models if model.raw]
        about = [asked_in_words(report)]
        if raw:
            about.append(f"{', '.join(raw)} only continues text and was asked as “Question: … Answer:”.")
        self.about.setText("\n".join([" ".join(about), *_first(report.notices)]))
        self.said.setText("\n".join(f"•  {sentence}" for sentence in report.summaries))
        self.said.setVisible(bool(report.summaries))
        self.reference.clear()
        for name in names:
            self.reference.addItem(one_line(name, 40), name)
        self.reference.setCurrentIndex(self.reference.findData(report.reference))
        self._beside.setVisible(len(names) > 1)
        cells = [[_cell(row, name) for name in names] for row in report.rows]
        self.table.show_cells([one_line(name, 30) for name in names], [row_title(row) for row in report.rows], cells)
        self._show_pictures(pictures(report))

    @Slot()
    def _compare(self) -> None:
        self.compare_asked.emit(self.reference.currentData())

    def _show_pictures(self, shown: list[Picture]) -> None:
        for card in self.cards:
            self._grid.removeWidget(card)
            card.deleteLater()
        self.cards = [PictureCard(picture) for picture in shown]
        for at, card in enumerate(self.cards):
            self._grid.addWidget(card, at // _COLUMNS, at % _COLUMNS)

    def _lay_out(self) -> None:
        self._beside = QWidget()
        beside = QHBoxLayout(self._beside)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.setSpacing(8)
        label = PlainLabel("Compared with", role="muted")
        label.setBuddy(self.reference)
        beside.addWidget(label)
        beside.addWidget(self.reference)
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self.title, 1)
        for widget in (self._beside, self.page, self.save):
            head.addWidget(widget)
        summary, top = _card()
        for widget in (self.about, self.said):
            top.addWidget(widget)
        top.insertLayout(0, head)
        table, numbers = _card()
        line = QHBoxLayout()
        line.addWidget(PlainLabel("Means with 95% intervals", role="strong"))
        line.addStretch(1)
        line.addWidget(HelpMark.about("control.behaviour"))
        numbers.addLayout(line)
        numbers.addWidget(self.table)
        for column in range(_COLUMNS):
            self._grid.setColumnStretch(column, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(12)
        for part in (summary, table):
            whole.addWidget(part)
        whole.addLayout(self._grid)


class PictureCard(IntervalCard):
    """One row of the report, its sentences below the picture."""

    def __init__(self, picture: Picture):
        words = (
            "A dot is the mean over the questions, a line its 95% interval. Marked are the models in which it moved."
        )
        super().__init__(picture.title, words, picture.ends, None, picture.ticks)
        self.show_lines(picture.lines)
        self.said = PlainLabel("\n".join(picture.sentences), role="caption", wrap=True)
        column = self.layout()
        assert isinstance(column, QVBoxLayout)
        column.insertWidget(column.count() - 1, self.said)
        self.said.setVisible(bool(picture.sentences))


def _cell(row: "Row", model: str) -> Cell:
    text = cell_text(row, model)
    return text, f"{row_title(row)}, {model}: {text}"


def _card() -> tuple[QFrame, QVBoxLayout]:
    card = QFrame()
    card.setProperty("surface", "card")
    column = QVBoxLayout(card)
    column.setContentsMargins(16, 12, 16, 12)
    column.setSpacing(8)
    return card, column


def _first(notices: Sequence[str]) -> list[str]:
    more = len(notices) - _MOST_NOTICES
    return [*notices[:_MOST_NOTICES], *([f"And {more} more like these; the page has them all."] if more > 0 else [])]
