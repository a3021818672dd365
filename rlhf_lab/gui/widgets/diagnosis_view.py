"""Is this reward model good enough to optimise against? Everything that is known of it at one step, on one page."""

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QScrollArea, QSizePolicy, QSlider, QVBoxLayout, QWidget

from rlhf_lab.core.diagnosis import RewardDiagnosis
from rlhf_lab.core.help import topic
from rlhf_lab.gui.models.diagnosis import HEADLINES, length_rows, overall_rows
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.plots.diagnosis_cards import CalibrationCard, LengthCard
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.accuracy_view import AccuracyView
from rlhf_lab.gui.widgets.help_mark import HelpMark
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.gui.widgets.worst_pairs import WorstPairs

NOTHING = (
    "No diagnosis yet. At every look at held-out pairs the reward model is examined: how often it is right and for whom, "
    "whether it knows when it is unsure, and whether it merely pays for length."
)
NEVER = (
    "This run ended without a diagnosis: it was trained by an earlier version of the lab, or stopped before its first "
    "look at held-out pairs. Its curves are complete. For a diagnosis train it again with the same settings, or let it do "
    "a few more steps: each further look at held-out pairs brings one."
)
_ICON = 20
_SHARES = (13, 12)
"""Of the width: the table on the left has a column more."""


class Verdict(QFrame):
    """Level and sentences, with the slider that goes back in the run."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("surface", "card")
        self.icon = PlainLabel()
        self.icon.setFixedSize(_ICON, _ICON)
        self.headline = PlainLabel(role="heading")
        self.sentences = PlainLabel(wrap=True)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Step of the diagnosis")
        self.slider.setToolTip("Go back and forth in the run; at the right end new diagnoses show as they come")
        self.slider.setFixedWidth(140)
        self.step = PlainLabel(role="caption")
        head = QHBoxLayout()
        head.setSpacing(6)
        for part in (self.icon, self.headline, HelpMark.about("control.diagnosis")):
            head.addWidget(part)
        head.addStretch(1)
        head.addWidget(self.slider)
        head.addWidget(self.step)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 10)
        column.setSpacing(6)
        column.addLayout(head)
        column.addWidget(self.sentences)

    def show_diagnosis(self, found: RewardDiagnosis, step: int) -> None:
        """Say another one."""
        headline, colours = HEADLINES[found.level], theme().colours
        self.headline.setText(headline.text)
        self.headline.setStyleSheet(f"color: {getattr(colours, headline.role)};")
        self.icon.setPixmap(theme().icon(headline.icon, getattr(colours, headline.role)).pixmap(QSize(_ICON, _ICON)))
        self.sentences.setText("\n".join(found.verdict))
        self.sentences.setVisible(bool(found.verdict))
        self.step.setText(f"step {step:,}")


class DiagnosisView(QWidget):
    """Follows the newest diagnosis until the slider is moved back."""

    rank_asked = Signal(list)
    """`WorstPair`s that a person wants to judge."""
    try_asked = Signal(object)
    """A `WorstPair` whose words a person wants to change."""

    def __init__(self) -> None:
        super().__init__()
        self._history: RunHistory | None = None
        self._follows = True
        self.verdict = Verdict()
        self.slider = self.verdict.slider
        self.overall = AccuracyView("Accuracy", "Which pairs")
        self.by_length = AccuracyView("Accuracy by length", "Chosen is", margins=False)
        self.calibration, self.lengths = CalibrationCard(), LengthCard()
        self.worst = WorstPairs()
        self.nothing = PlainLabel(NOTHING, role="muted", wrap=True)
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.nothing.setContentsMargins(48, 0, 48, 0)
        self._lay_out()
        self.slider.valueChanged.connect(self._moved)
        self.worst.rank_asked.connect(self.rank_asked)
        self.worst.try_asked.connect(self.try_asked)
        theme().changed.connect(self._reload)
        self._reload()

    def show_history(self, history: RunHistory | None) -> None:
        """Show another run."""
        self._history, self._follows = history, True
        self._reload()

    def take_changes(self, history: RunHistory | None, names: set[str]) -> None:
        """The run has said something new."""
        if "diagnosis" in names or not self._steps():
            self._reload()

    def step(self) -> int | None:
        """The step whose diagnosis is shown."""
        steps = self._steps()
        return steps[min(self.slider.value(), len(steps) - 1)] if steps else None

    def _steps(self) -> list[int]:
        return sorted(self._history.diagnoses) if self._history is not None else []

    @Slot()
    def _reload(self) -> None:
        steps = self._steps()
        ended = self._history is not None and self._history.finished is not None
        self.nothing.setText(NEVER if ended else NOTHING)
        self.nothing.setVisible(not steps)
        self._page.setVisible(bool(steps))
        self.slider.setVisible(len(steps) > 1)
        self.slider.blockSignals(True)
        self.slider.setRange(0, max(0, len(steps) - 1))
        if self._follows:
            self.slider.setValue(len(steps) - 1)
        self.slider.blockSignals(False)
        self._show_step()

    @Slot(int)
    def _moved(self, place: int) -> None:
        self._follows = place == self.slider.maximum()
        self._show_step()

    def _show_step(self) -> None:
        step = self.step()
        if step is None or self._history is None:
            return
        found = self._history.diagnoses[step]
        self.verdict.show_diagnosis(found, step)
        self.overall.show_rows(overall_rows(found))
        self.by_length.show_rows(length_rows(found))
        self._by_length.setVisible(bool(found.by_length))
        self.calibration.show_diagnosis(found)
        self.calibration.setVisible(bool(found.calibration))
        self.lengths.show_diagnosis(found)
        self.lengths.setVisible(bool(found.points))
        self.worst.show_pairs(found.worst)
        self.worst.setVisible(bool(found.worst))

    def _lay_out(self) -> None:
        self._by_length = _framed("control.by_length", self.by_length)
        grid = QGridLayout()
        grid.setSpacing(8)
        for column, share in enumerate(_SHARES):
            grid.setColumnStretch(column, share)
        grid.addWidget(_framed("control.accuracy", self.overall), 0, 0)
        grid.addWidget(self._by_length, 0, 1)
        grid.addWidget(self.calibration, 1, 0)
        grid.addWidget(self.lengths, 1, 1)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 4, 0)
        column.setSpacing(8)
        column.addWidget(self.verdict)
        column.addLayout(grid)
        column.addWidget(self.worst)
        column.addStretch(1)
        self._page = QScrollArea()
        self._page.setAccessibleName("Diagnosis")
        self._page.setWidgetResizable(True)
        self._page.setFrameShape(QFrame.Shape.NoFrame)
        self._page.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._page.setWidget(inside)
        self._page.viewport().setAutoFillBackground(False)
        inside.setAutoFillBackground(False)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 8, 0, 0)
        whole.addWidget(self._page, 1)
        whole.addWidget(self.nothing, 1)


def _framed(about: str, content: QWidget) -> QFrame:
    card = QFrame()
    card.setProperty("surface", "card")
    card.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    head = QHBoxLayout()
    head.setSpacing(4)
    head.addWidget(PlainLabel(topic(about).title, role="strong"))
    head.addWidget(HelpMark.about(about))
    head.addStretch(1)
    column = QVBoxLayout(card)
    column.setContentsMargins(10, 6, 8, 6)
    column.setSpacing(2)
    column.addLayout(head)
    column.addWidget(content)
    column.addStretch(1)
    return card
