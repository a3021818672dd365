"""What the three training panes share: the form on the left; the run, its numbers and plots on the right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from rlhf_lab.core.events import AnyEvent
from rlhf_lab.core.naming import Stage
from rlhf_lab.gui.background import Background
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.history import RunHistory
from rlhf_lab.gui.models.loading import load_history
from rlhf_lab.gui.plots.board import PlotBoard
from rlhf_lab.gui.widgets.launcher import Launcher
from rlhf_lab.gui.widgets.launchers import Launchers
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.gui.widgets.run_face import FillBoard, RunFace
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
    fill_board: FillBoard
    no_samples: str
    live_fields: tuple[str, ...] = ("learning_rate",)
    step_name: str = "Step"
    """What stands before the number of a step above its samples."""


class TrainingPane(QWidget):
    """Shows one run at a time, stored or live, of any of its stages; it never depends on the form."""

    def __init__(self, lab: Lab, *views: StageView):
        super().__init__()
        self._lab = lab
        self._views = {view.stage: view for view in views}
        self._faces: dict[Stage, RunFace] = {}
        self._run: str | None = None
        self._history: RunHistory | None = None
        self._reading: Background | None = None
        self._early: list[AnyEvent] = []
        self.setAccessibleName(views[0].title)
        self.launchers = Launchers(lab, [view.stage for view in views])
        self.header = RunHeader(lab, {view.stage: view.live_fields for view in views})
        self._title = PlainLabel(role="title")
        self._lead = PlainLabel(role="muted", wrap=True)
        self._faces_stack, self._stack = QStackedWidget(), QStackedWidget()
        self._lay_out()
        self._face = self._face_of(views[0].stage)
        self.launchers.started.connect(self.show_run)
        self.launchers.chosen.connect(self._introduce)
        self._introduce()
        self.header.chosen.connect(self.show_run)
        lab.events_arrived.connect(self._take)
        lab.run_changed.connect(self._run_changed)
        lab.runs_changed.connect(self._runs_changed)
        self._look()

    @property
    def run(self) -> str | None:
        """The run that is shown."""
        return self._run

    @property
    def history(self) -> RunHistory | None:
        """What is known of it; None while it is being read."""
        return self._history

    @property
    def launcher(self) -> Launcher:
        """The form, and the buttons below it."""
        return self.launchers.launcher

    @property
    def views(self) -> tuple[StageView, ...]:
        """The stages whose runs are shown here."""
        return tuple(self._views.values())

    @property
    def tiles(self) -> Tiles:
        """The headline numbers of the run that is shown."""
        return self._face.tiles

    @property
    def board(self) -> PlotBoard:
        """Its plots."""
        return self._face.board

    @property
    def samples(self) -> SampleViewer:
        """Its answers."""
        return self._face.samples

    @Slot(str)
    def show_run(self, run: str) -> None:
        """Show a run of this pane's stages: what is stored of it is read beside the window, what comes is added."""
        self._run, self._history, self._early = run, None, []
        self.header.show_run(run)
        self._face = self._face_of(self._lab.state(run).stage)
        self._faces_stack.setCurrentWidget(self._face)
        self._stack.setCurrentIndex(1)
        self._show(None)
        self._reading = self._lab.in_background(lambda store, _: load_history(store, run))
        self._reading.done.connect(self._loaded)
        self._reading.failed.connect(self._not_loaded)

    def fill_in(self, fields: Mapping[str, Any]) -> None:
        """Put these settings into the form; "stage" among them chooses which."""
        self.launchers.fill(fields)

    def _face_of(self, stage: Stage) -> RunFace:
        if stage not in self._faces:
            view = self._views[stage]
            self._faces[stage] = RunFace(view.tiles, view.fill_board, SampleViewer(view.no_samples, view.step_name))
            self._faces_stack.addWidget(self._faces[stage])
        return self._faces[stage]

    @Slot(object)
    def _loaded(self, history: RunHistory) -> None:
        if self.sender() is not self._reading:  # of another run, or of this one before it was left and chosen again
            return
        self._begin_with(history)

    def _begin_with(self, history: RunHistory) -> None:
        history.feed(self._early)
        self._history, self._early = history, []
        self._show(history)

    @Slot(str)
    def _not_loaded(self, reason: str) -> None:
        self._lab.message.emit(reason)
        if self.sender() is self._reading and self._run is not None:
            self._begin_with(RunHistory(self._run))  # what comes is shown

    def _show(self, history: RunHistory | None) -> None:
        self._face.show_history(history)
        self.header.show_history(history)

    @Slot(str, list)
    def _take(self, run: str, events: list[AnyEvent]) -> None:
        if run != self._run:
            return
        if self._history is None:
            self._early += events
            return
        changed = self._history.feed(events)
        self._face.take_changes(self._history, changed)
        self.header.show_history(self._history)

    @Slot(str)
    def _run_changed(self, run: str) -> None:
        if run == self._run:
            self.header.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        """A pane that comes into view shows the project as it is now."""
        super().showEvent(event)
        self._look()

    @Slot()
    def _runs_changed(self) -> None:
        if self.isVisible():  # else it looks when it is shown
            self._look()

    def _look(self) -> None:
        runs = [row.run for row in self._lab.project.store.runs(stages=self._views)]
        if self._run not in runs:  # none is shown yet, or it was put into the trash
            self._run = None
            self._stack.setCurrentIndex(0)
            live = [run for run in runs if run in self._lab.live()]
            if runs:
                self.show_run((live or runs)[-1])
        else:
            self.header.show_run(self._run)

    @Slot()
    def _introduce(self) -> None:
        view = self._views[self.launchers.stage]
        self._title.setText(view.title)
        self._lead.setText(view.lead)

    def _lay_out(self) -> None:
        empty = QWidget()
        middle = QVBoxLayout(empty)
        middle.setContentsMargins(48, 0, 48, 0)
        middle.setSpacing(8)
        middle.addStretch(2)
        for label in (self._title, self._lead):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            middle.addWidget(label)
        middle.addStretch(3)
        shown = QWidget()
        column = QVBoxLayout(shown)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.header)
        column.addWidget(self._faces_stack, 1)
        self._stack.addWidget(empty)
        self._stack.addWidget(shown)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 12, 12, 12)
        row.setSpacing(12)
        row.addWidget(self.launchers)
        row.addWidget(self._stack, 1)
