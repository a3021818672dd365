"""The agreement page: whether the labels are good enough to train on, in words, with the pictures behind the words."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.gui.models.rank_quality import Line
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.interval_chart import IntervalCard
from rlhf_lab.gui.widgets.plain_text import PlainLabel

_PERCENT = ((0.0, "0%"), (0.5, "50%"), (1.0, "100%"))
_SHARE = (0.0, 1.0)
_COEFFICIENT = ((0.0, "chance"), (0.4, "0.4"), (0.8, "0.8"))


class QualityPage(QWidget):
    """Says `train_asked` with whether every verdict is to be a record of its own."""

    train_asked = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.title = PlainLabel(role="title")
        self.about = PlainLabel(role="caption", wrap=True)
        self.verdict = PlainLabel(wrap=True)
        self.advice = PlainLabel(role="muted", wrap=True)
        self.train = QPushButton("Train a reward model on these verdicts")
        self.train.setProperty("look", "primary")
        theme().keep_icon(self.train, "reward")
        self.how = QComboBox()
        self.how.setAccessibleName("What becomes of several verdicts on one record")
        self.how.addItem("One label for each record, by majority", False)
        self.how.addItem("Every verdict is a label of its own", True)
        self.train.clicked.connect(lambda: self.train_asked.emit(bool(self.how.currentData())))
        self.cards = {
            name: IntervalCard.about(f"control.agree_{name}", ends, fair, ticks)
            for name, ends, fair, ticks in (
                ("alpha", (-0.2, 1.0), 0.0, _COEFFICIENT),
                ("with_others", _SHARE, None, _PERCENT),
                ("with_self", _SHARE, None, _PERCENT),
                ("first_shown", _SHARE, 0.5, _PERCENT),
                ("longer", _SHARE, 0.5, _PERCENT),
                ("pace", _SHARE, None, ()),
            )
        }
        self._lay_out()

    def show_quality(
        self, title: tuple[str, str], about: str, advice: tuple[str, ...], *, trainable: bool, own: bool = True
    ) -> None:
        """Show the words; ``title`` with the role of its colour. ``own``: verdicts that were given here."""
        self.title.setText(title[0])
        self._mark.setProperty("surface", f"mark-{title[1]}")
        self._mark.style().unpolish(self._mark)
        self._mark.style().polish(self._mark)
        self.about.setText(about)
        self.verdict.setText(advice[0] if advice else "")
        self.advice.setText("\n".join(f"•  {sentence}" for sentence in advice[1:]))
        for label in (self.verdict, self.advice, self.about):
            label.setVisible(bool(label.text()))
        self.train.setEnabled(trainable)
        self.train.setText(f" Train a reward model on these {'verdicts' if own else 'labels'}")
        self.how.setVisible(own)
        self.how.setEnabled(trainable)
        self.train.setToolTip("" if trainable else "There are no verdicts of your own yet: rank some first.")

    def show_lines(self, lines: dict[str, list[Line]]) -> None:
        """Show the pictures; without lines there are none."""
        for name, card in self.cards.items():
            card.setVisible(bool(lines.get(name)))
            card.show_lines(lines.get(name, []))

    def _lay_out(self) -> None:
        self._mark = QFrame()
        self._mark.setFixedWidth(4)
        words = QVBoxLayout()
        words.setSpacing(8)
        for label in (self.title, self.about, self.verdict, self.advice):
            words.addWidget(label)
        words.addSpacing(4)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.train)
        row.addWidget(self.how)
        row.addStretch(1)
        words.addLayout(row)
        card = QFrame()
        card.setProperty("surface", "card")
        inner = QHBoxLayout(card)
        inner.setContentsMargins(16, 16, 20, 16)
        inner.setSpacing(16)
        inner.addWidget(self._mark)
        inner.addLayout(words, 1)
        grid = QGridLayout()
        grid.setSpacing(12)
        for at, part in enumerate(self.cards.values()):
            grid.addWidget(part, at // 3, at % 3)
        for at in range(3):
            grid.setColumnStretch(at, 1)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addWidget(card)
        column.addLayout(grid)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidget(inside)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scroll)
