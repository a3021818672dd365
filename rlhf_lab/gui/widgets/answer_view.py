"""One side of a comparison: which model, whether the mode fits it, its answer as it comes, and the numbers."""

from collections.abc import Mapping, Sequence

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QVBoxLayout

from rlhf_lab.gui.models.contenders import Contender, Mode, mismatch
from rlhf_lab.gui.models.plot_spec import number
from rlhf_lab.gui.widgets.plain_text import PlainLabel, PlainView, one_line, plain_tip
from rlhf_lab.gui.widgets.save_note import SaveNote

SHOWN_EVERY_MS = 40
"""Tokens may come faster than anybody reads."""

VALUES = {"score": "score", "kl": "KL", "gold": "gold", "correct": "correct"}


class AnswerView(QFrame):
    """Says `model_changed` when another model is chosen."""

    model_changed = Signal()

    def __init__(self, name: str):
        super().__init__()
        self.setProperty("surface", "card")
        self._mode: Mode = "chat"
        self._text = self._numbers = ""
        self._hidden = False
        self._known: list[Contender] = []
        self.model = QComboBox()
        self.model.setAccessibleName(f"Model {name}")
        self.model.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.model.setMinimumContentsLength(12)
        self.who = PlainLabel(role="muted")
        self.who.hide()
        self.save = SaveNote()
        self.warning = PlainLabel(role="warn", wrap=True)
        self.status = PlainLabel(role="muted")
        self.answer = PlainView()
        self.answer.setAccessibleName(f"Answer of model {name}")
        self.answer.setPlaceholderText("The answer appears here as it is written.")
        self.numbers = PlainLabel(role="caption")
        self.numbers.setToolTip(
            plain_tip(
                "score: of the chosen reward model. KL: how much likelier this answer is than under the model's start, in "
                "nats. gold: the bundled world's hidden preference, where it knows the question."
            )
        )
        self._timer = QTimer(self, singleShot=True, interval=SHOWN_EVERY_MS)
        self._timer.timeout.connect(self._show_text)
        head = QHBoxLayout()
        self.letter = PlainLabel(f"Model {name}", role="strong")
        head.addWidget(self.letter)
        head.addWidget(self.model, 1)
        head.addWidget(self.who, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 10, 12, 10)
        column.setSpacing(6)
        column.addLayout(head)
        column.addWidget(self.save)
        column.addWidget(self.warning)
        column.addWidget(self.status)
        column.addWidget(self.answer, 1)
        column.addWidget(self.numbers)
        self.model.currentIndexChanged.connect(self._chosen)
        self.save.newer_chosen.connect(self._take_newer)
        self.show_status("")
        self._warn()

    def offer(self, known: Sequence[Contender], first: Contender) -> None:
        """Offer these models; the chosen one stays, a save that is gone gives way to a newer one, else it is ``first``."""
        before, self._known = self.contender(), list(known)
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
        """The chosen model."""
        return self.model.currentData()

    def hide_model(self, hidden: bool) -> None:
        """Whether nothing may tell which model writes, its numbers neither."""
        self._hidden = hidden
        self.model.setVisible(not hidden)
        self.who.setVisible(hidden)
        self.who.setText("named after the vote")
        self.numbers.setText("" if hidden else self._numbers)
        self._warn()

    def reveal(self, title: str) -> None:
        """Say which model wrote this, and the numbers of its answer."""
        self.who.setText(one_line(title, 60))
        self.numbers.setText(self._numbers)

    def set_mode(self, mode: Mode) -> None:
        """How it will be asked."""
        self._mode = mode
        self._warn()

    def begin(self, status: str) -> None:
        """A question is on its way."""
        self._text = self._numbers = ""
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
        self.answer.set_text(self._text)
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
        words = mismatch(contender, self._mode) if contender is not None and not self._hidden else ""
        self.warning.setText(words)
        self.warning.setVisible(bool(words))
