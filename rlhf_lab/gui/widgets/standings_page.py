"""The standings of models that people voted on: what can be said, strengths with intervals, and who beat whom."""

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models import standing_words
from rlhf_lab.gui.models.blind import VOTES, standings_of
from rlhf_lab.gui.rank_work import make_dataset
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.help_mark import HelpMark
from rlhf_lab.gui.widgets.interval_chart import IntervalCard
from rlhf_lab.gui.widgets.matrix_table import MatrixTable
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line
from rlhf_lab.store import RankedDataset

if TYPE_CHECKING:
    from rlhf_lab.data.standings import Standings

_ROWS_SHOWN = 10
_PERCENT = ((0.0, "0%"), (0.5, "50%"), (1.0, "100%"))


class StandingsPage(QWidget):
    """Weighs beside the window whenever it is asked to; `weighed` says that another result is shown."""

    weighed = Signal(object)
    """A `rlhf_lab.data.standings.Standings`."""

    def __init__(self, lab: Lab):
        super().__init__()
        self._lab = lab
        self._busy = self._again = False
        self.title, self.about = PlainLabel(role="title"), PlainLabel(role="caption", wrap=True)
        self.said = PlainLabel(wrap=True)
        self.train = QPushButton(" Train a reward model on the blind votes")
        self.train.setProperty("look", "primary")
        self.train.setToolTip("Each vote becomes a preference pair; ties and “both bad” are left out or count as ties")
        theme().keep_icon(self.train, "reward")
        self.train.clicked.connect(self._train)
        self.strengths = IntervalCard.about("control.strength", (0.0, 1.0), 0.5, _PERCENT)
        self.table = MatrixTable("How often the row's model was preferred to the column's")
        self._lay_out()
        self._lab.datasets_changed.connect(self._votes_may_be_others)

    def open(self) -> None:
        """Weigh the votes as they are now; what is shown stays until that is done."""
        if self._busy:
            self._again = True
            return
        self._busy = True
        if self.strengths.isHidden():  # "No votes yet" may hold no longer
            self._show_title("Counting the votes…", "muted")
            self.about.clear()
        task = self._lab.in_background(lambda store, task: standings_of(store))
        task.done.connect(self._show)
        task.failed.connect(self._failed)

    @Slot(object)
    def _show(self, found: "Standings") -> None:
        self._ended()
        title, role = standing_words.headline(found)
        self._show_title(title, role)
        self.about.setText(standing_words.about(found))
        self.said.setText("\n".join(f"•  {sentence}" for sentence in standing_words.sentences(found)))
        self.said.setVisible(bool(self.said.text()))
        self.strengths.show_lines(standing_words.strength_lines(found))
        names, cells = standing_words.table(found)
        shown = [one_line(name, 24) for name in names]
        self.table.show_cells(shown, shown, cells, _ROWS_SHOWN)
        for widget in (self.strengths, self._matrix):
            widget.setVisible(bool(found.duels))
        blind = VOTES in {row.name for row in self._lab.project.store.datasets()}
        self.train.setVisible(blind and bool(found.votes))
        self.weighed.emit(found)

    @Slot(str)
    def _failed(self, reason: str) -> None:
        self._ended()
        self._show_title("The votes cannot be read", "bad")
        self.about.setText(reason)

    def _ended(self) -> None:
        self._busy = False
        if self._again:
            self._again = False
            self.open()

    @Slot()
    def _votes_may_be_others(self) -> None:
        if self.isVisible():
            self.open()

    def _show_title(self, title: str, role: str) -> None:
        self.title.setText(title)
        self._mark.setProperty("surface", f"mark-{role}")
        self._mark.style().unpolish(self._mark)
        self._mark.style().polish(self._mark)

    @Slot()
    def _train(self) -> None:
        task = self._lab.in_background(make_dataset(VOTES, f"{VOTES} ranked", each=True))
        task.done.connect(self._made)
        task.failed.connect(self._lab.message)

    @Slot(object)
    def _made(self, made: RankedDataset) -> None:
        self._lab.datasets_changed.emit()
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in made.left_out.items())
        aside = f" Left out: {left_out}." if left_out else ""
        self._lab.message.emit(f"“{made.name}” holds {made.records:,} records made from the votes.{aside}")
        self._lab.pane_asked.emit("reward", {"dataset": made.name})

    def _lay_out(self) -> None:
        self._mark = QFrame()
        self._mark.setFixedWidth(4)
        words = QVBoxLayout()
        words.setSpacing(8)
        for label in (self.title, self.about, self.said):
            words.addWidget(label)
        row = QHBoxLayout()
        row.addWidget(self.train)
        row.addStretch(1)
        words.addLayout(row)
        card = QFrame()
        card.setProperty("surface", "card")
        inner = QHBoxLayout(card)
        inner.setContentsMargins(16, 16, 20, 16)
        inner.setSpacing(16)
        inner.addWidget(self._mark)
        inner.addLayout(words, 1)
        self._matrix = QFrame()
        self._matrix.setProperty("surface", "card")
        grid = QVBoxLayout(self._matrix)
        grid.setContentsMargins(14, 10, 12, 12)
        head = QHBoxLayout()
        head.addWidget(PlainLabel("How often the row was preferred to the column", role="strong"))
        head.addStretch(1)
        head.addWidget(HelpMark.about("control.win_rates"))
        grid.addLayout(head)
        grid.addWidget(self.table)
        grid.addStretch(1)
        pictures = QHBoxLayout()
        pictures.setSpacing(12)
        pictures.addWidget(self.strengths, 1)
        pictures.addWidget(self._matrix, 1)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addWidget(card)
        column.addLayout(pictures)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidget(inside)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scroll)
        for widget in (self.strengths, self._matrix, self.train, self.said):
            widget.hide()
