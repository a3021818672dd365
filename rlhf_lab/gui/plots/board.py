"""The live plots of a run, in tabs of cards: one crosshair, one zoom and one smoothing for all."""

from collections.abc import Callable, Sequence
from typing import Protocol

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSlider, QTabWidget, QToolButton, QWidget

from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.plots.card import Card, CurveCard, StepCard
from rlhf_lab.gui.widgets.help_mark import explain
from rlhf_lab.gui.widgets.plain_text import PlainLabel, plain_tip

MakeCards = Callable[[], Sequence[Card]]

UP_TO_TWO_COLUMNS = 4
"""Cards on a page up to which there are two columns; else three."""


SMOOTHING = 60
"""Percent, where the slider begins: TensorBoard's; a batch of eight makes every raw curve a comb."""


class PlotControls(QWidget):
    """Smoothing and scale of all plots of a board."""

    smoothing_changed = Signal(float)
    log_changed = Signal(bool)
    reset_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 99)
        self.slider.setFixedWidth(72)
        self.slider.setAccessibleName("Smoothing")
        self._value = PlainLabel("0.00", role="caption")
        self._value.setMinimumWidth(self._value.fontMetrics().horizontalAdvance("0.00 "))
        caption = PlainLabel("Smoothing", role="caption")
        for widget in (caption, self.slider, self._value):
            explain(widget, "control.smoothing")
        self.log = QToolButton()
        self.log.setText("Log")
        self.log.setCheckable(True)
        self.log.setProperty("look", "small")
        self.log.setAccessibleName("Logarithmic y axes")
        self.log.setToolTip(plain_tip("Logarithmic y axes; values that are not positive are not drawn then."))
        self.reset = QToolButton()
        self.reset.setText("Whole run")
        self.reset.setProperty("look", "small")
        self.reset.setToolTip(
            plain_tip(
                "Show all steps again (double click in a plot, or Home). Drag in a plot or turn the wheel to zoom into "
                "steps; arrow keys move the crosshair."
            )
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 4, 4)
        row.setSpacing(6)
        for widget in (caption, self.slider, self._value, self.log, self.reset):
            row.addWidget(widget)
        self.slider.valueChanged.connect(self._slid)
        self.log.toggled.connect(self.log_changed)
        self.reset.clicked.connect(self.reset_asked)

    @Slot(int)
    def _slid(self, value: int) -> None:
        self._value.setText(f"{value / 100:.2f}")
        self.smoothing_changed.emit(value / 100)


class HistoryView(Protocol):
    """A widget with a tab of its own that shows something else of a run than curves."""

    def show_history(self, history: RunHistory | None) -> None: ...

    def take_changes(self, history: RunHistory | None, names: set[str]) -> None: ...


class PlotBoard(QTabWidget):
    """Tabs of plots that move together, and of other views of the same run."""

    def __init__(self) -> None:
        super().__init__()
        self.controls = PlotControls()
        self.setCornerWidget(self.controls)
        self.tabBar().setDrawBase(False)
        self._cards: list[Card] = []
        self._pages: set[QWidget] = set()
        self._views: list[HistoryView] = []
        self._unmade: dict[QWidget, tuple[MakeCards, str]] = {}
        self._history: RunHistory | None = None
        self._smoothing, self._log = 0.0, False
        self._view: tuple[float, float] | None = None
        self.controls.smoothing_changed.connect(self._smooth)
        self.controls.log_changed.connect(self._set_log)
        self.controls.reset_asked.connect(self._reset)
        self.currentChanged.connect(self._make)
        self.controls.slider.setValue(SMOOTHING)

    def add_plots(self, title: str, make: MakeCards, note: str = "") -> None:
        """A tab with a grid of cards, made when it is first shown, and a sentence below them."""
        page = QWidget()
        self._unmade[page] = (make, note)
        self._pages.add(page)
        self.addTab(page, title)
        self._make(self.currentIndex())

    def add_view(self, title: str, view: QWidget) -> None:
        """A tab with a `HistoryView`."""
        self._views.append(view)
        self.addTab(view, title)

    def show_page(self, title: str) -> None:
        """Turn to the tab of that title, where there is one."""
        for index in range(self.count()):
            if self.tabText(index) == title:
                self.setCurrentIndex(index)

    def curve_cards(self) -> list[CurveCard]:
        """All cards with curves, in order."""
        return [card for card in self._cards if isinstance(card, CurveCard)]

    def show_history(self, history: RunHistory | None) -> None:
        """Show another run."""
        self._history, self._view = history, None
        for part in (*self._cards, *self._views):
            part.show_history(history)

    def take_changes(self, names: set[str]) -> None:
        """Redraw, at the clock's next tick, what changed."""
        for part in (*self._cards, *self._views):
            part.take_changes(self._history, names)

    @Slot(int)
    def _make(self, index: int) -> None:
        page = self.widget(index)
        self.controls.setVisible(page in self._pages)
        if page not in self._unmade:
            return
        make, note = self._unmade.pop(page)
        cards = make()
        columns = 2 if len(cards) <= UP_TO_TWO_COLUMNS else 3
        grid = QGridLayout(page)
        grid.setContentsMargins(0, 8, 0, 0)
        grid.setSpacing(8)
        for place, card in enumerate(cards):
            wide = columns - place % columns if place == len(cards) - 1 else 1  # the last one fills its row
            grid.addWidget(card, place // columns, place % columns, 1, wide)
            grid.setRowStretch(place // columns, 1)
            grid.setColumnStretch(place % columns, 1)
            self._add_card(card)
        if note:
            grid.addWidget(PlainLabel(note, role="caption", wrap=True), grid.rowCount(), 0, 1, columns)

    def _add_card(self, card: Card) -> None:
        self._cards.append(card)
        if isinstance(card, CurveCard):
            card.plot.set_smoothing(self._smoothing)
            if self._log:
                card.plot.set_log(True)
        card.show_history(self._history)
        if isinstance(card, StepCard):
            card.plot.hovered.connect(self._point_at)
            card.plot.zoomed.connect(self._zoom)
            card.plot.reset_asked.connect(self._reset)
            card.plot.set_view(self._view)

    def _step_cards(self) -> list[StepCard]:
        return [card for card in self._cards if isinstance(card, StepCard)]

    @Slot(object)
    def _point_at(self, step: float | None) -> None:
        for card in self._step_cards():
            if card.isVisible() or step is None:
                card.plot.set_cursor(step)

    @Slot(object)
    def _zoom(self, view: tuple[float, float] | None) -> None:
        self._view = view
        for card in self._step_cards():
            card.plot.set_view(view)

    @Slot()
    def _reset(self) -> None:
        self._zoom(None)

    @Slot(float)
    def _smooth(self, weight: float) -> None:
        self._smoothing = weight
        for card in self.curve_cards():
            card.plot.set_smoothing(weight)

    @Slot(bool)
    def _set_log(self, log: bool) -> None:
        self._log = log
        for card in self.curve_cards():
            card.plot.set_log(log)
