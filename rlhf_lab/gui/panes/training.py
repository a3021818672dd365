"""What the three training panes share: the form on the left; the run, its numbers and plots on the right."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from rlhf_lab.core.config import Stage
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import AnyEvent
from rlhf_lab.gui.background import Background
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.models.loading import load_history
from rlhf_lab.gui.plots.board import PlotBoard
from rlhf_lab.gui.widgets.launcher import Launcher
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.gui.widgets.run_header import RunHeader
from rlhf_lab.gui.widgets.sample_viewer import SampleViewer
from rlhf_lab.gui.widgets.tiles import Tiles, TileSpec


@dataclass(frozen=True)
class StageView:
    """What differs between the stages."""

    stage: Stage
    title: str
    lead: str
    """What the stage does, and what to do first; shown while there is no run."""
    tiles: Sequence[TileSpec]
    fill_board: Callable[[PlotBoard, SampleViewer], None]
    no_samples: str
    live_fields: tuple[str, ...] = ("learning_rate",)


class TrainingPane(QWidget):
    """Shows one run at a time, stored or live; it never depends on the form."""

    def __init__(self, lab: Lab, view: StageView):
        super().__init__()
        self._lab, self._view = lab, view
        self._run: str | None = None
        self._history: RunHistory | None = None
        self._early: list[AnyEvent] = []
        self.setAccessibleName(view.title)
        self.launcher = Launcher(lab, view.stage)
        self.header = RunHeader(lab, view.stage, view.live_fields)
        self.tiles = Tiles(view.tiles)
        self.samples = SampleViewer(view.no_samples)
        self.board = PlotBoard()
        view.fill_board(self.board, self.samples)
        self._stack = QStackedWidget()
        self._lay_out()
        self.launcher.started.connect(self.show_run)
        self.header.chosen.connect(self.show_run)
        lab.events_arrived.connect(self._take)
        lab.run_changed.connect(self._run_changed)
        lab.runs_changed.connect(self._runs_changed)
        self._runs_changed()

    @property
    def run(self) -> str | None:
        """The run that is shown."""
        return self._run

    @property
    def history(self) -> RunHistory | None:
        """What is known of it; None while it is being read."""
        return self._history

    @Slot(str)
    def show_run(self, run: str) -> None:
        """Show a run of this stage: what is stored of it is read beside the window, what comes is added."""
        self._run, self._history, self._early = run, None, []
        self.header.show_run(run)
        self._stack.setCurrentIndex(1)
        self._show(None)
        task: Background = self._lab.in_background(lambda store, _: load_history(store, run))
        task.done.connect(self._loaded)
        task.failed.connect(self._lab.message)

    def fill_in(self, fields: Mapping[str, Any]) -> None:
        """Put these settings into the form."""
        self.launcher.fill(fields)

    @Slot(object)
    def _loaded(self, history: RunHistory) -> None:
        if history.run != self._run or self._history is not None:
            return
        history.feed(self._early)
        self._history, self._early = history, []
        self._show(history)

    def _show(self, history: RunHistory | None) -> None:
        self.board.show_history(history)
        self.tiles.show_history(history)
        self.samples.show_history(history)

    def _show_changes(self, changed: set[str]) -> None:
        """What came while the run is shown; the names are those of `RunHistory.feed`."""
        self.board.take_changes(changed)
        self.tiles.show_history(self._history)
        if "samples" in changed:
            self.samples.refresh()

    @Slot(str, list)
    def _take(self, run: str, events: list[AnyEvent]) -> None:
        if run != self._run:
            return
        if self._history is None:
            self._early += events
            return
        self._show_changes(self._history.feed(events))

    @Slot(str)
    def _run_changed(self, run: str) -> None:
        if run == self._run:
            self.header.refresh()

    @Slot()
    def _runs_changed(self) -> None:
        if self._run is None:
            runs = [row.run for row in self._lab.project.store.runs() if row.stage == self._view.stage]
            live = [run for run in runs if run in self._lab.live()]
            if runs:
                self.show_run((live or runs)[-1])
            return
        try:
            self.header.show_run(self._run)
        except LabError:  # it is gone
            self._run = None
            self._stack.setCurrentIndex(0)

    def _lay_out(self) -> None:
        empty = QWidget()
        middle = QVBoxLayout(empty)
        middle.setContentsMargins(48, 0, 48, 0)
        middle.setSpacing(8)
        middle.addStretch(2)
        heading = PlainLabel(self._view.title, role="title")
        lead = PlainLabel(self._view.lead, role="muted", wrap=True)
        for label in (heading, lead):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            middle.addWidget(label)
        middle.addStretch(3)
        shown = QWidget()
        column = QVBoxLayout(shown)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.header)
        column.addWidget(self.tiles)
        column.addWidget(self.board, 1)
        self._stack.addWidget(empty)
        self._stack.addWidget(shown)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 12, 12, 12)
        row.setSpacing(12)
        row.addWidget(self.launcher)
        row.addWidget(self._stack, 1)
