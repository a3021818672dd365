"""Curves of the selected runs over each other: any metric, one colour a run."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QComboBox, QCompleter, QHBoxLayout, QVBoxLayout, QWidget

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import AnyEvent, Metrics
from rlhf_lab.core.metrics import METRICS, describe
from rlhf_lab.core.naming import run_title
from rlhf_lab.gui.background import Background
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.curves import Curve
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.models.overlay import MOST, Key, Overlay, common_metrics, curve_of, first_metric
from rlhf_lab.gui.models.plot_spec import PlotSpec, label
from rlhf_lab.gui.plots.band_plot import BandPlot
from rlhf_lab.gui.plots.board import PlotControls
from rlhf_lab.gui.plots.card import CurveCard
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.band_choice import BandChoice
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


CLOSER_MS = 60
"""After the last turn of a wheel, before what it shows is read."""


class RunOverlay(QWidget):
    """Shows the first ten runs of a selection; a long curve from its sketch, where somebody zooms in from more of it.

    What is smoothed is read whole: a smoothed sketch would be another curve than the smoothed curve.
    """

    failed = Signal(str)

    def __init__(self, lab: Lab):
        super().__init__()
        self._lab = lab
        self._names: list[str] = []
        self._reading: Background | None = None
        self._looking: Background | None = None
        self._view: tuple[float, float] | None = None
        self._closer = QTimer(self, singleShot=True, interval=CLOSER_MS)
        self._closer.timeout.connect(self._look_closer)
        self.overlay = Overlay()
        self.metric_box = QComboBox()
        self.metric_box.setAccessibleName("Metric")
        self.metric_box.setEditable(True)
        self.metric_box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.metric_box.setMinimumContentsLength(26)
        completer = self.metric_box.completer()
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        theme().dress(completer.popup())  # Qt gives it no parent
        self.seeds = BandChoice(lab)
        self.note = PlainLabel(role="caption")
        self.controls = PlotControls()
        self._card: CurveCard | None = None
        self._bands: BandPlot
        self._selected = 0
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(PlainLabel("Metric", role="muted"))
        head.addWidget(self.metric_box)
        head.addWidget(self.seeds)
        head.addWidget(self.note, 1)
        head.addWidget(self.controls)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 8, 0, 0)
        self._column.setSpacing(6)
        self._column.addLayout(head)
        self._column.addStretch(1)
        self.metric_box.activated.connect(self._choose_metric)
        self.seeds.chosen.connect(self._paint)
        self.controls.reset_asked.connect(self._reset)
        self.controls.smoothing_changed.connect(self._smooth)
        lab.events_arrived.connect(self._take)

    @property
    def card(self) -> CurveCard:
        """The plot; it is made after the table beside it is seen, for it takes as long as all the rest."""
        if self._card is None:
            self._bands = BandPlot(SPEC)
            self._card = CurveCard(SPEC, self._bands)
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
        self._selected = len(runs)
        try:
            self.seeds.show_runs(runs)
            self._names = common_metrics(self._lab.project.store, runs[:MOST])
        except LabError as error:
            self.failed.emit(str(error))
            return
        metric = first_metric(self._names, self.overlay.metric)
        self.metric_box.clear()
        for name in self._names:
            self.metric_box.addItem(f"{label(name)} ({name})" if name in METRICS else name, name)
        self.metric_box.setCurrentIndex(self._names.index(metric) if metric else -1)
        self._show(runs, metric)

    def choose(self, metric: str) -> None:
        """Show another metric of the same runs."""
        self.metric_box.setCurrentIndex(self._names.index(metric))
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
        self.metric_box.setToolTip(plain_tip(describe(metric)) if metric else "")
        self.note.setText(visible(_note(self._selected, bool(self._names))))
        if self._card is None:
            QTimer.singleShot(0, self, self._make)
        else:
            self._paint()
        self._view = None
        self._read(self.overlay.unread() if self._smoothed() else self.overlay.rough())

    @Slot(object)
    def _zoomed(self, view: tuple[float, float] | None) -> None:
        """Of what is drawn from a sketch more is read once somebody looks closer."""
        self.card.plot.set_view(view)
        self._view = view
        if view is not None and self.overlay.unread() and not self.seeds.on:
            self._closer.start()

    @Slot()
    def _look_closer(self) -> None:
        view, keys = self._view, self.overlay.unread()
        if view is None or not keys or self._reading is not None:
            return
        if self._looking is not None:
            self._looking.cancel()

        def work(store: Store, task: Background) -> None:
            for key in keys:
                if task.cancelled():
                    return
                task.part.emit((key, curve_of(store.sketch(*key, between=view)[0])))

        self._looking = self._lab.in_background(work)
        self._looking.part.connect(self._take_part)
        self._looking.finished.connect(self._read_all)

    @Slot(object)
    def _take_part(self, found: tuple[Key, Curve]) -> None:
        if self.sender() is not self._looking:
            return
        self.overlay.take_part(*found)
        if not self.seeds.on:
            self.card.keep_view(self.overlay.history())

    @Slot(float)
    def _smooth(self, weight: float) -> None:
        if weight and self._reading is None:
            self._read(self.overlay.unread())

    def _smoothed(self) -> bool:
        return self.controls.slider.value() > 0

    @Slot()
    def _make(self) -> None:
        _ = self.card

    @Slot()
    def _paint(self) -> None:
        metric = self.overlay.metric
        self.card.set_title(label(metric) if metric else SPEC.title)
        self.note.setText(visible("" if self.seeds.on else _note(self._selected, bool(self._names))))
        if self.seeds.on:
            self._paint_bands(metric)
            return
        self._bands.show_bands({})
        self.card.legend.set_names(
            {place: (run_title(run), run_title(run)) for place, run in zip(PLACES, self.overlay.runs, strict=False)}
        )
        history = self.overlay.history()
        self.card.legend.set_there(history.curves)
        self.card.show_history(history)

    def _paint_bands(self, metric: str, *, keep_view: bool = False) -> None:
        try:
            found = dict(zip(PLACES, self.seeds.bands(metric, MOST), strict=False))
        except LabError as error:
            self.failed.emit(str(error))
            return
        history = RunHistory("")
        history.curves = {place: mean for place, (_, mean, _) in found.items() if len(mean)}
        names = {place: (one.title, ", ".join(map(run_title, one.runs))) for place, (one, _, _) in found.items()}
        self.card.legend.set_names(names)
        self.card.legend.set_there(history.curves)
        (self.card.keep_view if keep_view else self.card.show_history)(history)
        self._bands.show_bands({place: band for place, (one, _, band) in found.items() if len(one.runs) > 1})

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
        if self.seeds.on:
            return
        if key[0] in self.overlay.runs and key[1] == self.overlay.metric:
            self.card.keep_view(self.overlay.history())

    @Slot()
    def _read_all(self) -> None:
        if self.sender() is self._reading:
            self._reading = None
        elif self.sender() is self._looking:
            self._looking = None

    @Slot(str, list)
    def _take(self, run: str, events: list[AnyEvent]) -> None:
        shown = self.overlay.take(run, events)
        self.seeds.forget(run)
        if self.seeds.on:
            if self.seeds.concerns(run) and any(isinstance(event, Metrics) for event in events):
                self._paint_bands(self.overlay.metric, keep_view=True)
            return
        if not shown:
            return
        if self.overlay.history().curves.keys() != self.card.plot.history.curves.keys():
            self._show(self.overlay.runs, self.overlay.metric)
        self.card.plot.ask_redraw()

    @Slot()
    def _reset(self) -> None:
        self._view = None
        self.card.plot.set_view(None)


def _note(runs: int, measured: bool) -> str:
    if not runs:
        return "Select runs in the table: Ctrl or Shift adds to the selection."
    if not measured:
        return "Nothing was measured in the selected runs."
    return f"The first {MOST} of {runs:,} selected runs" if runs > MOST else ""
