"""A plot over the steps of a run: a crosshair and a zoom that others follow, arrow keys from step to step."""

from abc import abstractmethod

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent

from rlhf_lab.gui.models.curves import Floats
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.plots.base import LabPlot, StepAxis, pen
from rlhf_lab.gui.theme import theme


class StepPlot(LabPlot):
    """``hovered`` and ``zoomed`` let other plots follow (None: no longer). A subclass says `steps` and draws."""

    hovered = Signal(object)
    zoomed = Signal(object)
    values_changed = Signal()

    def __init__(self, name: str):
        self._history: RunHistory | None = None
        self._view: tuple[float, float] | None = None
        self._cursor: float | None = None
        self._crosshair = pg.InfiniteLine(angle=90)
        super().__init__(name, {"bottom": StepAxis("bottom")})
        self.addItem(self._crosshair, ignoreBounds=True)
        self._crosshair.setVisible(False)
        self.getPlotItem().getViewBox().sigRangeChangedManually.connect(self._zoomed_by_hand)
        self.getPlotItem().getViewBox().sigResized.connect(self._resized)

    @property
    def history(self) -> RunHistory | None:
        """What it shows."""
        return self._history

    @abstractmethod
    def steps(self) -> Floats:
        """The steps at which there is something to see, rising."""

    @property
    @abstractmethod
    def cursor_step(self) -> float | None:
        """Where the crosshair stands, at the nearest step that has a value."""

    def show_history(self, history: RunHistory | None) -> None:
        """Show another run, all of it."""
        self._history, self._view, self._cursor = history, None, None
        self.ask_redraw(soon=True)

    def replace_history(self, history: RunHistory) -> None:
        """The same run, known better: what is in view stays in view."""
        self._history = history
        self.ask_redraw(soon=True)

    def set_view(self, view: tuple[float, float] | None) -> None:
        """Show these steps; None: all, also those to come."""
        self._view = view
        self.ask_redraw(soon=True)

    def set_cursor(self, step: float | None) -> None:
        """Put the crosshair at a step."""
        self._cursor = step
        self._crosshair.setVisible(step is not None)
        if step is not None:
            self._crosshair.setPos(step)
        self.values_changed.emit()

    def tell_nothing(self, empty: bool) -> None:
        """Say in the middle why the plot is empty; call after the ranges are set."""
        ended = self._history is not None and self._history.finished is not None
        self.tell("" if not empty else "Not measured in this run" if ended else "Nothing yet")

    def recolour(self) -> None:
        """Take the theme's colours."""
        self._crosshair.setPen(pen(theme().colours.muted))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Let the crosshair follow."""
        super().mouseMoveEvent(event)
        box = self.getPlotItem().getViewBox()
        place = self.mapToScene(event.position().toPoint())
        inside = box.sceneBoundingRect().contains(place)
        self.hovered.emit(box.mapSceneToView(QPointF(place)).x() if inside else None)

    def leaveEvent(self, event: QEvent) -> None:
        """Take the crosshair away."""
        super().leaveEvent(event)
        self.hovered.emit(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows move the crosshair from point to point, Escape takes it away."""
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right) and self._history is not None:
            self._step_cursor(1 if event.key() == Qt.Key.Key_Right else -1)
        elif event.key() == Qt.Key.Key_Escape and self._cursor is not None:
            self.hovered.emit(None)
        else:
            super().keyPressEvent(event)

    def zoom_centre(self) -> pg.Point | None:
        """The crosshair, where there is one."""
        return None if self._cursor is None else pg.Point(self._cursor, 0.0)

    def _step_cursor(self, direction: int) -> None:
        steps = self.steps()
        if not len(steps):
            return
        low, high = self.getPlotItem().getViewBox().viewRange()[0]
        first, last = int(np.searchsorted(steps, low)), int(np.searchsorted(steps, high, side="right")) - 1
        if self._cursor is None:
            at = last if direction < 0 else first
        else:
            at = int(np.searchsorted(steps, self._cursor)) + direction
        if first <= last:
            self.hovered.emit(float(steps[min(max(at, first), last)]))

    def _zoomed_by_hand(self) -> None:
        low, high = self.getPlotItem().getViewBox().viewRange()[0]
        self.zoomed.emit((float(low), float(high)))

    def _resized(self) -> None:
        self.ask_redraw(soon=True)
