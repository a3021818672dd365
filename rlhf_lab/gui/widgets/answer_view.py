"""One side of a comparison: which model, whether the mode fits it, its answer as it comes, and the numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QVBoxLayout

from rlhf_lab.core.events import SampleRow
from rlhf_lab.gui.models.contenders import Contender, Mode, draws_problem, mismatch
from rlhf_lab.gui.models.plot_spec import number
from rlhf_lab.gui.widgets.help_mark import explain
from rlhf_lab.gui.widgets.name_box import NameBox
from rlhf_lab.gui.widgets.plain_text import PlainLabel, one_line, plain_tip
from rlhf_lab.gui.widgets.save_note import SaveNote
from rlhf_lab.gui.widgets.token_view import TokenView

SHOWN_EVERY_MS = 40
"""Tokens may come faster than anybody reads."""

VALUES = {
    "score": "score",
    "mean_score": "mean of all",
    "kl": "KL to its start",
    "kl_base": "KL to the base",
    "gold": "gold",
    "correct": "correct",
}
DRAWS = (1, 4, 16, 64)
"""From so many answers a reward model can choose."""


class AnswerView(QFrame):
    """Says `model_changed` when another model is chosen."""

    model_changed = Signal()

    def __init__(self, name: str):
        super().__init__()
        self.setProperty("surface", "card")
        self._mode: Mode = "chat"
        self._text = self._numbers = ""
        self._hidden = False
        self._reward: str | None = None
        self._tint: tuple[str, float] | None = None
        self.row: SampleRow | None = None
        """The answer with its tokens, once it is whole."""
        self._known: list[Contender] = []
        self.model = NameBox()
        self.model.setAccessibleName(f"Model {name}")
        self.model.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.model.setMinimumContentsLength(12)
        self.who = PlainLabel(role="muted")
        self.who.hide()
        self.save = SaveNote()
        self.warning = PlainLabel(role="warn", wrap=True)
        self.status = PlainLabel(role="muted")
        self.draws = QComboBox()
        self.draws.setAccessibleName(f"Answers that model {name} writes")
        explain(self.draws, "control.draws")
        for count in DRAWS:
            self.draws.addItem("one answer" if count == 1 else f"best of {count}", count)
        self.answer = TokenView()
        self.answer.setAccessibleName(f"Answer of model {name}")
        self.answer.setPlaceholderText("The answer appears here as it is written.")
        self.numbers = PlainLabel(role="caption", wrap=True)
        explain(self.numbers, "control.answer_numbers")
        self.setProperty("help", "help:control.answer_numbers")
        self._timer = QTimer(self, singleShot=True, interval=SHOWN_EVERY_MS)
        self._timer.timeout.connect(self._show_text)
        head = QHBoxLayout()
        self.letter = PlainLabel(f"Model {name}", role="strong")
        head.addWidget(self.letter)
        head.addWidget(self.who, 1)
        head.addStretch(1)
        head.addWidget(self.draws)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 10, 12, 10)
        column.setSpacing(6)
        column.addLayout(head)
        column.addWidget(self.model)
        column.addWidget(self.save)
        column.addWidget(self.warning)
        column.addWidget(self.status)
        column.addWidget(self.answer, 1)
        column.addWidget(self.numbers)
        for box in (self.model, self.draws):
            box.currentIndexChanged.connect(self._chosen)
        self.save.newer_chosen.connect(self._take_newer)
        self.show_status("")
        self._warn()

    def offer(self, known: Sequence[Contender], first: Contender) -> None:
        """Offer these models; the chosen one stays, a save that is gone gives way to a newer one, else it is ``first``."""
        before, self._known = self.model.currentData(), list(known)
        self.model.blockSignals(True)
        self.model.clear()
        for contender in known:
            self.model.addItem(one_line(contender.title, 80), contender)
            self.model.setItemData(self.model.count() - 1, plain_tip(contender.tip), Qt.ItemDataRole.ToolTipRole)
        later = before.newer(known) if before is not None else None
        wanted = before if before in known else later or first
        self.model.setCurrentIndex(list(known).index(wanted))
        self.model.blockSignals(False)
        self._warn()

    def contender(self) -> Contender | None:
        """The chosen model, and from how many of its answers the best is taken."""
        chosen: Contender | None = self.model.currentData()
        return replace(chosen, best_of=self.draws.currentData()) if chosen is not None else None

    def hide_model(self, hidden: bool) -> None:
        """Whether nothing may tell which model writes, its numbers neither."""
        self._hidden = hidden
        for box in (self.model, self.draws):
            box.setVisible(not hidden)
        self.who.setVisible(hidden)
        self.who.setText("named after the vote")
        self.numbers.setText("" if hidden else self._numbers)
        self._warn()

    def reveal(self, title: str) -> None:
        """Say which model wrote this, and the numbers of its answer."""
        self.who.setText(one_line(title, 60))
        self.numbers.setText(self._numbers)

    def set_mode(self, mode: Mode, reward: str | None = None) -> None:
        """How it will be asked, and which reward model looks at the answer."""
        self._mode, self._reward = mode, reward
        self._warn()

    def begin(self, status: str) -> None:
        """A question is on its way."""
        self._text = self._numbers = ""
        self.row = None
        self._show_text()
        self.numbers.setText("")
        self.show_status(status)

    def add_text(self, text: str) -> None:
        """More of the answer came."""
        self._text += text
        self.show_status("")
        if not self._timer.isActive():
            self._timer.start()

    def set_answer(self, text: str, values: Mapping[str, float]) -> None:
        """The whole answer and its numbers."""
        self.show_whole(text)
        self.set_numbers(values)

    def set_tokens(self, row: SampleRow) -> None:
        """The tokens of the whole answer, with what is known of each."""
        self.row = row

    def show_tint(self, name: str | None, full: float) -> None:
        """Tint the tokens by a number of theirs; None: plain text."""
        self._tint = (name, full) if name is not None else None
        if self.row is not None:
            self._show_text()

    def show_whole(self, text: str) -> None:
        """All of the answer at once."""
        self._text = text
        self._show_text()

    def set_numbers(self, values: Mapping[str, float]) -> None:
        """What is known of the answer; while the model is hidden they would tell it, and wait for `reveal`."""
        parts = [f"{words} {number(values[key])}" for key, words in VALUES.items() if key in values]
        if "tokens" in values:
            cut = "" if values.get("ended", 1.0) else ", cut at the limit"
            parts.append(f"{values['tokens']:.0f} tokens{cut}")
        self._numbers = " · ".join(parts)
        if not self._hidden:
            self.numbers.setText(self._numbers)

    def end(self, problem: str) -> None:
        """Nothing more will come."""
        self._timer.stop()
        self._show_text()
        self.show_status(problem or ("" if self._text else "(an empty answer)"), bad=bool(problem))

    def show_status(self, text: str, *, bad: bool = False) -> None:
        """A few words above the answer."""
        self.status.setText(text)
        self.status.set_role("bad" if bad else "muted")
        self.status.setWordWrap(bad)
        self.status.setVisible(bool(text))

    @Slot()
    def _show_text(self) -> None:
        if self.row is not None and self._tint is not None and not self._hidden:
            name, full = self._tint
            self.answer.show_row(self.row, name, full)
            return
        self.answer.show_plain(self._text)
        bar = self.answer.verticalScrollBar()
        bar.setValue(bar.maximum())

    @Slot()
    def _chosen(self) -> None:
        self._warn()
        self.model_changed.emit()

    @Slot(object)
    def _take_newer(self, newer: Contender) -> None:
        self.model.setCurrentIndex(self._known.index(newer))

    def _warn(self) -> None:
        contender = self.contender()
        self.save.show_of(None if self._hidden else contender, self._known)
        said = []
        if contender is not None and not self._hidden:
            said = [draws_problem(contender, self._mode, self._reward), mismatch(contender, self._mode)]
        self.warning.setText("\n".join(filter(None, said)))
        self.warning.setVisible(any(said))
