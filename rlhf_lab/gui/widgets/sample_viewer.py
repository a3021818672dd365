"""Answers beside the curves: the same held-out prompts over time, or the best and worst of a rollout."""

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QSlider,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.events import SampleRow
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.models.plot_spec import number
from rlhf_lab.gui.models.sample_order import ORDERS, ordered, score_of, values_in_words
from rlhf_lab.gui.models.token_tint import NO_TINT, TINTS, full_shade, names_of, sides_in_words
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainLabel, PlainView, one_line, plain_tip
from rlhf_lab.gui.widgets.still_text import StillLine
from rlhf_lab.gui.widgets.token_view import TintLegend, TokenView

SOURCES = {"heldout": "Held-out prompts", "rollout": "Sampled while training"}
"""Kinds of samples, by the name of their event."""

TINT_TIP = (
    "Tint the answer's tokens by a number of theirs. Point at a token, or move the text cursor to it with the arrow keys, "
    "to read all its numbers."
)
PROMPT_LINES = 4
"""Lines of the prompt in view; longer ones scroll."""


class SampleViewer(QWidget):
    """Left the prompts, right the answer at the start and at the chosen step."""

    def __init__(self, empty: str, step_name: str = "Step"):
        """``empty`` is shown while there are no samples; ``step_name`` stands before the number of a step."""
        super().__init__()
        self._step_name = step_name
        self._history: RunHistory | None = None
        self._order: list[int] = []
        self._follows = True
        self._empty = empty
        self.source = QComboBox()
        self.source.setAccessibleName("Which samples")
        self.setProperty("help", "help:control.samples")
        for name, words in SOURCES.items():
            self.source.addItem(words, name)
        self.order = QComboBox()
        self.order.setAccessibleName("Order of the samples")
        for name, words in ORDERS.items():
            self.order.addItem(words, name)
        self.tint = QComboBox()
        self.tint.setAccessibleName("Tint of the tokens")
        self.tint.setToolTip(plain_tip(TINT_TIP))
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Step of the samples")
        self.slider.setToolTip("Go back and forth in the run; at the right end new samples show as they come")
        self.step_label = PlainLabel(role="strong")
        self.list = QListWidget()
        self.list.setAccessibleName("Prompts")
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setUniformItemSizes(True)
        self.prompt = PlainView()
        self.prompt.setAccessibleName("Prompt")
        self.prompt.setFixedHeight(PROMPT_LINES * self.prompt.fontMetrics().lineSpacing() + 20)
        self.before, self.after = TokenView(), TokenView()
        self.legend, self.pointed = TintLegend(), StillLine()
        self.before.setAccessibleName("Answer at the start")
        self.after.setAccessibleName("Answer at the chosen step")
        self._before_head, self._after_head = PlainLabel(role="strong"), PlainLabel(role="strong")
        self._before_values, self._after_values = PlainLabel(role="caption"), PlainLabel(role="caption")
        self.nothing = PlainLabel(empty, role="muted", wrap=True)
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._lay_out()
        self.source.currentIndexChanged.connect(self._reload)
        self.order.currentIndexChanged.connect(self._reload)
        self.tint.activated.connect(self._show_answer)
        self.before.pointed.connect(self._tell_token)
        self.after.pointed.connect(self._tell_token)
        theme().changed.connect(self._show_answer)
        self.slider.valueChanged.connect(self._moved)
        self.list.currentRowChanged.connect(self._show_answer)
        self._reload()

    def show_history(self, history: RunHistory | None) -> None:
        """Show another run."""
        self._history, self._follows = history, True
        known = [name for name in SOURCES if history is not None and history.sample_steps(name)]
        if known and self.source.currentData() not in known:
            self.source.setCurrentIndex(self.source.findData(known[0]))
        self._reload()

    def take_changes(self, history: RunHistory | None, names: set[str]) -> None:
        """Show new samples."""
        if "samples" not in names:
            return
        if self._history is not None and not self._steps():
            self.show_history(self._history)
        else:
            self._reload()

    def step(self) -> int | None:
        """The step whose samples are shown."""
        steps = self._steps()
        return steps[min(self.slider.value(), len(steps) - 1)] if steps else None

    def _steps(self) -> list[int]:
        return self._history.sample_steps(self.source.currentData()) if self._history is not None else []

    def _rows(self, step: int) -> tuple[SampleRow, ...]:
        assert self._history is not None
        return self._history.samples_at(self.source.currentData(), step)

    @Slot()
    def _reload(self) -> None:
        steps = self._steps()
        self.nothing.setVisible(not steps)
        self._body.setVisible(bool(steps))
        self.slider.setEnabled(len(steps) > 1)
        self.slider.blockSignals(True)
        self.slider.setRange(0, max(0, len(steps) - 1))
        if self._follows:
            self.slider.setValue(len(steps) - 1)
        self.slider.blockSignals(False)
        self._fill_list()

    @Slot(int)
    def _moved(self, place: int) -> None:
        self._follows = place == self.slider.maximum()
        self._fill_list()

    def _fill_list(self) -> None:
        step = self.step()
        self.step_label.setText("" if step is None else f"{self._step_name} {step:,}")
        rows = self._rows(step) if step is not None else ()
        before = self._before_rows(rows)
        chosen = self._chosen()
        self._order = ordered(rows, before, self.order.currentData())
        self._offer_tints((*rows, *before))
        self.list.blockSignals(True)
        self.list.clear()
        for place in self._order:
            score = score_of(rows[place])
            text = one_line(rows[place].prompt, 120)
            item = QListWidgetItem(text if score is None else f"{number(score):>6}  {text}")
            item.setToolTip(plain_tip(rows[place].prompt[:1000]))
            self.list.addItem(item)
        keep = chosen if self.order.currentData() == "given" else None
        self.list.setCurrentRow(self._order.index(keep) if keep in self._order else 0)
        self.list.blockSignals(False)
        self._show_answer()

    def _chosen(self) -> int | None:
        row = self.list.currentRow()
        return self._order[row] if 0 <= row < len(self._order) else None

    def _before_rows(self, rows: tuple[SampleRow, ...]) -> tuple[SampleRow, ...]:
        """The first answers to the same prompts; none where the prompts are other ones."""
        first = self._rows(self._steps()[0]) if self._steps() else ()
        return first if [r.prompt for r in first] == [r.prompt for r in rows] else ()

    @Slot()
    def _show_answer(self) -> None:
        step, place = self.step(), self._chosen()
        rows = self._rows(step) if step is not None else ()
        if step is None or place is None or place >= len(rows):
            return
        before = self._before_rows(rows)
        alone = not before or step == self._steps()[0]
        self.prompt.set_text(rows[place].prompt)
        name, full = self.tint.currentData(), 1.0
        if name is not None:
            full = full_shade((*rows, *before), name)
            self.legend.show_scale(name, full)
        self._foot.setVisible(name is not None)
        self._after_head.setText(f"{self._step_name} {step:,}")
        self._after_values.setText(values_in_words(rows[place]))
        self.after.show_row(rows[place], name, full)
        self._before_side.setVisible(not alone)
        if not alone:
            self._before_head.setText(f"{self._step_name} {self._steps()[0]:,}, before")
            self._before_values.setText(values_in_words(before[place]))
            self.before.show_row(before[place], name, full)

    @Slot(str)
    def _tell_token(self, words: str) -> None:
        """The numbers of a token; until one is pointed at, what the colours mean."""
        name = self.tint.currentData()
        self.pointed.show_text(words or (sides_in_words(name) if name else ""))

    def _offer_tints(self, rows: tuple[SampleRow, ...]) -> None:
        """What the tokens of these rows carry; the choice stays where it can."""
        names, chosen = names_of(rows), self.tint.currentData()
        if [self.tint.itemData(at) for at in range(1, self.tint.count())] != names:
            self.tint.clear()
            self.tint.addItem(NO_TINT, None)
            for name in names:
                self.tint.addItem(f"Tint: {TINTS[name].title if name in TINTS else name}", name)
            self.tint.setCurrentIndex(max(0, self.tint.findData(chosen)) if chosen is not None else 0)
        self.tint.setVisible(bool(names))

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(8)
        top.addWidget(self.source)
        top.addWidget(self.order)
        top.addWidget(self.tint)
        top.addSpacing(8)
        top.addWidget(self.slider, 1)
        top.addWidget(self.step_label)
        answers = QHBoxLayout()
        answers.setSpacing(8)
        self._before_side = _stacked(self._before_head, self._before_values, self.before)
        answers.addWidget(self._before_side, 1)
        answers.addWidget(_stacked(self._after_head, self._after_values, self.after), 1)
        self._foot = QWidget()
        foot = QHBoxLayout(self._foot)
        foot.setContentsMargins(0, 0, 0, 0)
        foot.setSpacing(12)
        foot.addWidget(self.legend)
        foot.addWidget(self.pointed, 1)
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(8, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(PlainLabel("Prompt", role="strong"))
        column.addWidget(self.prompt)
        column.addLayout(answers, 1)
        split = QSplitter()
        split.addWidget(self.list)
        split.addWidget(right)
        split.setSizes([270, 530])
        split.setChildrenCollapsible(False)
        self._body = QWidget()
        inside = QVBoxLayout(self._body)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addLayout(top)
        inside.addWidget(split, 1)
        inside.addWidget(self._foot)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 8, 0, 0)
        whole.addWidget(self._body, 1)
        whole.addWidget(self.nothing, 1)


def _stacked(*parts: QWidget) -> QWidget:
    side = QWidget()
    column = QVBoxLayout(side)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(3)
    for part in parts:
        column.addWidget(part)
    return side
