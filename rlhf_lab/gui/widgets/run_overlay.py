"""Curves of the selected runs over each other: any metric, one colour a run."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QComboBox, QCompleter, QHBoxLayout, QVBoxLayout, QWidget

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import AnyEvent
from rlhf_lab.core.metrics import METRICS, describe
from rlhf_lab.gui.background import Background
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.curves import Curve
from rlhf_lab.gui.models.offers import run_title
from rlhf_lab.gui.models.overlay import MOST, Key, Overlay, common_metrics, curve_of, first_metric
from rlhf_lab.gui.models.plot_spec import PlotSpec, label
from rlhf_lab.gui.plots.board import PlotControls
from rlhf_lab.gui.plots.card import CurveCard
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip, visible
from rlhf_lab.store import Store

PLACES = tuple(str(place) for place in range(MOST))
SPEC = PlotSpec(
    "Selected runs",
    dict.fromkeys(PLACES, ""),
    note="One metric of every selected run over its steps. Choose the metric on the left, runs in the table.",
    dashed=frozenset(PLACES[8:]),
    optional=frozenset(PLACES),
)


class RunOverlay(QWidget):
    """Shows the first ten runs of a selection; a long curve from its sketch until somebody zooms in."""

    failed = Signal(str)

    def __init__(self, lab: Lab):
        super().__init__()
        self._lab = lab
        self._names: list[str] = []
        self._reading: Background | None = None
        self.overlay = Overlay()
        self.metric = QComboBox()
        self.metric.setAccessibleName("Metric")
        self.metric.setEditable(True)
        self.metric.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.metric.setMinimumContentsLength(26)
        completer = self.metric.completer()
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        self.note = PlainLabel(role="caption")
        self.controls = PlotControls()
        self._card: CurveCard | None = None
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(PlainLabel("Metric", role="muted"))
        head.addWidget(self.metric)
        head.addWidget(self.note, 1)
        head.addWidget(self.controls)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 8, 0, 0)
        self._column.setSpacing(6)
        self._column.addLayout(head)
        self._column.addStretch(1)
        self.metric.activated.connect(self._choose_metric)
        self.controls.reset_asked.connect(self._reset)
        lab.events_arrived.connect(self._take)

    @property
    def card(self) -> CurveCard:
        """The plot; it is made after the table beside it is seen, for it takes as long as all the rest."""
        if self._card is None:
            self._card = CurveCard(SPEC)
            self._column.takeAt(1)
            self._column.addWidget(self._card, 1)
            plot = self._card.plot
            self.controls.smoothing_changed.connect(plot.set_smoothing)
            self.controls.log_changed.connect(plot.set_log)
            plot.reset_asked.connect(self._reset)
            plot.hovered.connect(plot.set_cursor)
            plot.zoomed.connect(self._zoomed)
            plot.set_smoothing(self.controls.slider.value() / 100)
            plot.set_log(self.controls.log.isChecked())
            self._paint()
        return self._card

    @property
    def names(self) -> list[str]:
        """The metrics that can be chosen."""
        return self._names

    def show_runs(self, runs: Sequence[str]) -> None:
        """Lay these over each other, the metric of before where they have it."""
        try:
            self._names = common_metrics(self._lab.project.store, runs[:MOST])
        except LabError as error:
            self.failed.emit(str(error))
            return
        metric = first_metric(self._names, self.overlay.metric)
        self.metric.clear()
        for name in self._names:
            self.metric.addItem(f"{label(name)} ({name})" if name in METRICS else name, name)
        self.metric.setCurrentIndex(self._names.index(metric) if metric else -1)
        self._show(runs, metric)

    def choose(self, metric: str) -> None:
        """Show another metric of the same runs."""
        self.metric.setCurrentIndex(self._names.index(metric))
        self._show(self.overlay.runs, metric)

    @Slot(int)
    def _choose_metric(self, index: int) -> None:
        if 0 <= index < len(self._names):
            self._show(self.overlay.runs, self._names[index])

    def _show(self, runs: Sequence[str], metric: str) -> None:
        try:
            self.overlay.choose(self._lab.project.store, runs, metric)
        except LabError as error:
            self.failed.emit(str(error))
            return
        self.metric.setToolTip(plain_tip(describe(metric)) if metric else "")
        self.note.setText(visible(_note(len(runs), bool(self._names))))
        if self._card is None:
            QTimer.singleShot(0, self, self._make)
        else:
            self._paint()
        self._read(self.overlay.rough())

    @Slot(object)
    def _zoomed(self, view: tuple[float, float] | None) -> None:
        """What is drawn from a sketch is read in full once somebody looks closer."""
        self.card.plot.set_view(view)
        if view is not None and self._reading is None:
            self._read(self.overlay.unread())

    @Slot()
    def _make(self) -> None:
        _ = self.card

    def _paint(self) -> None:
        metric = self.overlay.metric
        self.card.set_title(label(metric) if metric else SPEC.title)
        self.card.legend.set_names(
            {place: (run_title(run), run_title(run)) for place, run in zip(PLACES, self.overlay.runs, strict=False)}
        )
        history = self.overlay.history()
        self.card.legend.set_there(history.curves)
        self.card.show_history(history)

    def _read(self, keys: Sequence[Key]) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if not keys:
            return

        def work(store: Store, task: Background) -> None:
            for run, name in keys:
                if task.cancelled():
                    return
                task.part.emit(((run, name), curve_of(store.curves(run, [name]).get(name, ([], [])))))

        self._reading = self._lab.in_background(work)
        self._reading.part.connect(self._take_whole)
        self._reading.finished.connect(self._read_all)

    @Slot(object)
    def _take_whole(self, found: tuple[Key, Curve]) -> None:
        key, curve = found
        self.overlay.take_whole(key, curve)
        if key[0] in self.overlay.runs and key[1] == self.overlay.metric:
            self.card.keep_view(self.overlay.history())

    @Slot()
    def _read_all(self) -> None:
        if self.sender() is self._reading:
            self._reading = None

    @Slot(str, list)
    def _take(self, run: str, events: list[AnyEvent]) -> None:
        if not self.overlay.take(run, events):
            return
        if self.overlay.history().curves.keys() != self.card.plot.history.curves.keys():
            self._show(self.overlay.runs, self.overlay.metric)
        self.card.plot.ask_redraw()

    @Slot()
    def _reset(self) -> None:
        self.card.plot.set_view(None)


def _note(runs: int, measured: bool) -> str:
    if not runs:
        return "Select runs in the table: Ctrl or Shift adds to the selection."
    if not measured:
        return "Nothing was measured in the selected runs."
    return f"The first {MOST} of {runs:,} selected runs" if runs > MOST else ""
