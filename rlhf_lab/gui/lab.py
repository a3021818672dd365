"""What every pane gets: the project, the runs as they stand, and the signals that tell of changes."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.control import Command, GoOn, Pause, Set
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import AnyEvent, Finished
from rlhf_lab.gui.run_state import ENDED, RunState
from rlhf_lab.gui.trainer import TrainerThread

if TYPE_CHECKING:
    from rlhf_lab.runs.folder import RunFolder
    from rlhf_lab.runs.project import Project
    from rlhf_lab.runs.source import RunSource

Begin = Callable[["RunFolder", str], "RunSource"]
"""Makes the source of a run and begins it: "start", "resume" or "attach". Called in the trainer thread."""


class Lab(QObject):
    """Lives in the GUI thread, as its project does. One run trains at a time; the others wait in order."""

    events_arrived = Signal(str, list)
    """Run id and `AnyEvent`s in order, at most ten times a second for each run."""
    run_changed = Signal(str)
    """The run's `state` is another one: waiting, started, paused, stopping, a step further, ended."""
    runs_changed = Signal()
    """There are other runs than before, or one has ended."""
    datasets_changed = Signal()
    message = Signal(str)
    """One or two sentences for the message area."""

    def __init__(self, project: "Project", begin: Begin, parent: QObject | None = None):
        super().__init__(parent)
        self.project = project
        self._begin = begin
        self._states: dict[str, RunState] = {}
        self._waiting: list[tuple[RunFolder, str]] = []
        self._trainers: dict[str, TrainerThread] = {}

    def start(self, config: RunConfig) -> str:
        """Make the run and put it in the queue; raises `LabError` that says why it cannot start."""
        folder = self.project.create_run(config)
        self._enqueue(folder, "start")
        return folder.run

    def resume(self, run: str) -> None:
        """Go on from the last save of a run that ended; raises `LabError` when it lives."""
        if self.state(run).live or run in self.queued():
            raise LabError(f"{self.state(run).title} is running or waiting already.")
        self._enqueue(self.project.run(run), "resume")

    def stop(self, run: str) -> None:
        """Save the last whole step and end; a run that waits is cancelled."""
        state = self.state(run)
        if run in self._trainers:
            state.stopping = True
            self._trainers[run].stop()
        elif run in self.queued():
            how = next(how for folder, how in self._waiting if folder.run == run)
            self._waiting = [(folder, how) for folder, how in self._waiting if folder.run != run]
            if how == "start":
                self.project.cancel(run)
            self._states.pop(run)
            self.runs_changed.emit()
        self.run_changed.emit(run)

    def pause(self, run: str) -> None:
        """Wait at the next tick of the work."""
        self._send(run, Pause)

    def go_on(self, run: str) -> None:
        """Stop waiting."""
        self._send(run, GoOn)

    def set(self, run: str, field: str, value: float) -> None:
        """Change ``kl_coef`` or ``learning_rate`` from the next step on."""
        self._send(run, Set, field=field, value=value)

    def state(self, run: str) -> RunState:
        """Where the run stands; read from the database when the window has not seen it yet."""
        if run not in self._states:
            row = self.project.run_row(run)
            self._states[run] = RunState(
                run=run, stage=row.stage, outcome=row.outcome, step=row.step, total=row.total, message=row.message
            )
        return self._states[run]

    def live(self) -> list[str]:
        """Runs that this window follows."""
        return list(self._trainers)

    def queued(self) -> list[str]:
        """Runs that wait for their turn, the next one first."""
        return [folder.run for folder, _ in self._waiting]

    def find_runs(self) -> None:
        """At start: follow the runs that live, queue those that never began, tell of those that died."""
        found = self.project.recover()
        for folder in found.live:
            self._follow(folder, "attach")
        self._waiting += [(folder, "start") for folder in found.waiting]
        for folder in found.interrupted:
            self.message.emit(f"{self.state(folder.run).title} was interrupted: {self.state(folder.run).message}")
        self.runs_changed.emit()
        self._next()

    def let_go(self) -> None:
        """Before the window closes: leave living runs to themselves and wait for the threads."""
        for trainer in self._trainers.values():
            trainer.let_go()
        for trainer in self._trainers.values():
            trainer.wait()

    def _enqueue(self, folder: "RunFolder", how: str) -> None:
        self._states[folder.run] = RunState(run=folder.run, stage=folder.config.stage)
        if how == "resume":
            row = self.project.run_row(folder.run)
            self._states[folder.run].step, self._states[folder.run].total = row.step, row.total
            self.project.store.set_run_state(folder.run, "queued", "")
        self._waiting.append((folder, how))
        self.runs_changed.emit()
        self._next()
        self.run_changed.emit(folder.run)

    def _next(self) -> None:
        if self._trainers or not self._waiting:
            return
        folder, how = self._waiting.pop(0)
        self._follow(folder, how)

    def _follow(self, folder: "RunFolder", how: str) -> None:
        state = self.state(folder.run)
        state.outcome, state.stopping, state.phase = "starting", False, "starting"
        trainer = TrainerThread(folder.run, lambda: self._begin(folder, how), self.project.store.path, self)
        trainer.events_arrived.connect(self._take)
        trainer.ended.connect(self._trainer_ended)
        self._trainers[folder.run] = trainer
        trainer.start()
        self.run_changed.emit(folder.run)

    def _send(self, run: str, command: Callable[..., Command], **fields: object) -> None:
        if run not in self._trainers:
            return
        try:
            self._trainers[run].send(command, **fields)
        except OSError as error:
            self.message.emit(f"{self.state(run).title} could not be told: {error.strerror or error}.")

    @Slot(str, list)
    def _take(self, run: str, events: list[AnyEvent]) -> None:
        state = self.state(run)
        state.take(events)
        self.events_arrived.emit(run, events)
        self.run_changed.emit(run)
        if any(isinstance(event, Finished) for event in events):
            self.runs_changed.emit()

    @Slot(str)
    def _trainer_ended(self, run: str) -> None:
        trainer = self._trainers.pop(run)
        trainer.wait()
        trainer.deleteLater()
        if self.state(run).outcome not in ENDED:  # let go, not ended
            return
        self.run_changed.emit(run)
        self._next()
