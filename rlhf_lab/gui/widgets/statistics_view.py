"""A data set in numbers and pictures: lengths, ties, repetitions, sources, and whether length alone predicts the label."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QProgressBar,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from rlhf_lab.core.help import topic
from rlhf_lab.gui.background import Background, Work
from rlhf_lab.gui.data_process import DataProcess
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.answers import KIND_WORDS
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.help_mark import HelpMark
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip
from rlhf_lab.gui.widgets.share_bars import ShareBars

if TYPE_CHECKING:
    from rlhf_lab.data.statistics import DatasetStatistics
    from rlhf_lab.store import DatasetRow, Store

_LENGTH_NAMES = ("chosen", "rejected", "answer")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_PLOT_HEIGHT = 168


class StatisticsView(QWidget):
    """Counts when it is first looked at; another look at the same data set costs nothing."""

    def __init__(self, lab: Lab, parent: QWidget | None = None):
        super().__init__(parent)
        self._lab = lab
        self._row: DatasetRow | None = None
        self._counted: DatasetRow | None = None
        self._task: Background | None = None
        self._process = DataProcess(lab.project.store.path)
        lab.closing.connect(self._rest)
        self.doing = PlainLabel(role="muted")
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Counting")
        self.warnings = PlainLabel(role="warn", wrap=True)
        self.numbers = {name: _Number(f"control.count_{name}") for name in ("records", "ties", "repeated", "longer")}
        self.bars = {
            name: _Card(title, ShareBars(title), about)
            for name, title, about in (
                ("places", "Where the best answer stands", "control.count_places"),
                ("sources", "Who wrote the answers", "control.count_labels"),
                ("annotators", "Who judged", "control.count_labels"),
                ("languages", "Languages", "control.count_labels"),
                ("kinds", "Kinds of records", ""),
            )
        }
        self.lengths: dict[str, _Lengths] = {}
        self._lay_out()
        self._show_nothing()

    @Slot()
    def forget(self) -> None:
        """The records have changed: count anew when somebody looks."""
        self._stop()
        if self.isVisible():
            self._count()

    def show_dataset(self, row: "DatasetRow") -> None:
        """Show a data set, at once or when it is looked at."""
        if self._row != row:
            self._stop()
            self._row = row
            self._show_nothing()
        if self.isVisible():
            self._count()

    def showEvent(self, event: QShowEvent) -> None:
        """Now somebody looks."""
        super().showEvent(event)
        self._count()

    def show_statistics(self, found: "DatasetStatistics") -> None:
        """Show what was counted."""
        self.doing.hide()
        self.bar.hide()
        self._inside.show()
        self.warnings.setText("\n".join(found.warnings))
        self._warning.setVisible(bool(found.warnings))
        heldout = found.splits.get("heldout", 0)
        self.numbers["records"].say(f"{found.records:,}", f"{heldout:,} held out")
        self.numbers["ties"].say(f"{found.ties:,}", _share(found.ties, found.records))
        self.numbers["repeated"].say(f"{found.repeated_answers:,}", f"{found.repeated_prompts:,} repeat a prompt")
        wins = found.longer_wins
        self.numbers["longer"].say(
            f"{wins.value:.0%}" if wins.of else "–", f"{100 * wins.low:.0f}–{wins.high:.0%}" if wins.of else ""
        )
        self.numbers["longer"].setVisible(bool(wins.of))
        self.numbers["ties"].setVisible(bool(wins.of or found.ties))
        self._show_lengths(found)
        places = [(f"{_ORDINALS[at] if at < len(_ORDINALS) else at + 1}", n) for at, n in enumerate(found.best_places)]
        several = [(KIND_WORDS.get(kind, kind), count) for kind, count in found.kinds.items()]
        self._show_bars("places", places)
        self._show_bars("sources", [(name, n) for name, n in found.sources if name or len(found.sources) > 1])
        self._show_bars("annotators", found.annotators)
        self._show_bars("languages", found.languages)
        self._show_bars("kinds", several if len(several) > 1 else [])
        self._arrange()

    def _show_lengths(self, found: "DatasetStatistics") -> None:
        if not self.lengths:
            self.lengths = {
                "answers": _Lengths("Length of the answers in characters", _LENGTH_NAMES),
                "prompts": _Lengths("Length of the prompts in characters", ("prompt",)),
            }
        for card in self.lengths.values():
            card.show_lengths(found)

    def _show_bars(self, name: str, counts: Sequence[tuple[str, int]]) -> None:
        self.bars[name].content.show_counts(counts)
        self.bars[name].wanted = bool(counts)

    def _arrange(self) -> None:
        """Cards in two columns, without holes."""
        cards = [*self.lengths.values(), *self.bars.values()]
        for card in cards:
            self._grid.removeWidget(card)
            card.hide()
        for place, card in enumerate(card for card in cards if card.wanted):
            self._grid.addWidget(card, place // 2, place % 2)
            card.show()

    @Slot()
    def _count(self) -> None:
        if self._row is None or self._task is not None or self._counted == self._row:
            return
        self._show_nothing()
        self.doing.setText(f"Reading all {self._row.records:,} records…")
        self.doing.show()
        self.bar.show()
        self._counted = self._row
        self._task = self._lab.in_background(_counting(self._process, self._row.name))
        self._task.done.connect(self._done)
        self._task.failed.connect(self._failed)

    @Slot(object)
    def _done(self, found: "DatasetStatistics") -> None:
        if self.sender() is self._task:
            self._task = None
            self.show_statistics(found)

    @Slot(str)
    def _failed(self, reason: str) -> None:
        if self.sender() is self._task:
            self._task = self._counted = None
            self.bar.hide()
            self.doing.setText(reason)

    @Slot()
    def _rest(self) -> None:
        self._process.rest()

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = self._counted = None

    def _show_nothing(self) -> None:
        self._inside.hide()
        self.doing.hide()
        self.bar.hide()

    def _lay_out(self) -> None:
        self._warning = QFrame()
        self._warning.setProperty("surface", "card")
        told = QHBoxLayout(self._warning)
        told.setContentsMargins(12, 8, 12, 8)
        told.addWidget(self.warnings)
        numbers = QHBoxLayout()
        numbers.setSpacing(8)
        for number in self.numbers.values():
            numbers.addWidget(number, 1)
        self._grid = QGridLayout()
        self._grid.setSpacing(8)
        self._grid.setColumnStretch(0, 1)
        self._grid.setColumnStretch(1, 1)
        self._inside = QWidget()
        inside = QVBoxLayout(self._inside)
        inside.setContentsMargins(0, 0, 8, 0)
        inside.setSpacing(8)
        inside.addWidget(self._warning)
        inside.addLayout(numbers)
        inside.addLayout(self._grid)
        inside.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self._inside)
        scroll.viewport().setAutoFillBackground(False)
        self._inside.setAutoFillBackground(False)
        scroll.setAccessibleName("Statistics")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.doing)
        column.addWidget(self.bar)
        column.addWidget(scroll, 1)


class _Number(QFrame):
    """A number that is explained."""

    def __init__(self, about: str):
        super().__init__()
        title = topic(about).title
        self.setProperty("surface", "card")
        self.setToolTip(plain_tip(topic(about).tip))
        self.value = PlainLabel("–", role="number")
        self.detail = PlainLabel(role="caption")
        self._title = title
        head = QHBoxLayout()
        head.setSpacing(4)
        head.addWidget(PlainLabel(title, role="caption"))
        head.addWidget(HelpMark.about(about))
        head.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 5, 8, 5)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.value)
        column.addWidget(self.detail)

    def say(self, value: str, detail: str) -> None:
        self.value.setText(value)
        self.detail.setText(detail)
        self.setAccessibleName(f"{self._title}: {value}, {detail}")


class _Card(QFrame):
    """A picture under its title."""

    def __init__(self, title: str, content: QWidget, about: str = ""):
        super().__init__()
        self.setProperty("surface", "card")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.content = content
        self.wanted = False
        head = QHBoxLayout()
        head.setSpacing(4)
        head.addWidget(PlainLabel(title, role="strong"))
        if about:
            head.addWidget(HelpMark(title, topic(about).tip, f"help:{about}"))
        head.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 8)
        column.setSpacing(8)
        column.addLayout(head)
        column.addWidget(content)
        column.addStretch(1)


class _Lengths(_Card):
    """Distributions of lengths, with their medians as the legend. pyqtgraph is imported when the first is made."""

    def __init__(self, title: str, names: tuple[str, ...]):
        from rlhf_lab.gui.plots.lengths_plot import LengthsPlot

        self.plot = LengthsPlot(title, names)
        self.plot.setFixedHeight(_PLOT_HEIGHT)
        super().__init__(title, self.plot, "control.count_lengths")
        row = QHBoxLayout()
        row.setSpacing(4)
        self.layout().insertLayout(1, row)
        self.legend = {name: PlainLabel(role="caption") for name in names}
        self._swatches = {name: QFrame() for name in names}
        for name in names:
            self._swatches[name].setFixedSize(10, 10)
            row.addWidget(self._swatches[name])
            row.addWidget(self.legend[name])
            row.addSpacing(8)
        row.addStretch(1)
        theme().changed.connect(self._recolour)
        self._recolour()

    def show_lengths(self, found: "DatasetStatistics") -> None:
        names = [name for name in self.legend if name in found.lengths]
        if "chosen" in names:  # else three distributions lie above each other, and ties are few
            names = [name for name in names if name != "answer"]
        shown = {name: found.lengths[name] for name in names}
        self.plot.show_histograms(shown)
        self.wanted = bool(shown)
        for name, label in self.legend.items():
            label.setVisible(name in shown)
            self._swatches[name].setVisible(name in shown)
            label.setText(f"{name}, median {found.medians.get(name, 0):,}")

    def _recolour(self) -> None:
        for name, swatch in self._swatches.items():
            swatch.setStyleSheet(f"background: {self.plot.colour(name)}; border-radius: 2px;")


def _share(count: int, of: int) -> str:
    return f"{count / of:.0%} of all" if of else ""


def _counting(process: DataProcess, name: str) -> Work:
    """Work for `Lab.in_background`: a `DatasetStatistics`."""

    def work(store: "Store", task: Background) -> "DatasetStatistics":
        with process.use() as data:
            found = data.statistics(name, cancelled=task.cancelled)
        process.rest()
        return found

    return work
