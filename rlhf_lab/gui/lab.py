"""What every pane gets: the project, the runs as they stand, and the signals that tell of changes."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEvent, QObject, QTimer, Signal, Slot

from rlhf_lab.core.errors import LabError
from rlhf_lab.gui.actions import Actions
from rlhf_lab.gui.background import Background, Work
from rlhf_lab.gui.collector import Collector
from rlhf_lab.gui.recipes import Recipes
from rlhf_lab.gui.run_state import RunState
from rlhf_lab.runs.queue import RunQueue

if TYPE_CHECKING:
    from rlhf_lab.core.config import RunConfig
    from rlhf_lab.core.control import Command
    from rlhf_lab.core.events import AnyEvent, Finished
    from rlhf_lab.core.recipe import Place
    from rlhf_lab.gui.trainer import TrainerThread
    from rlhf_lab.runs.folder import RunFolder
    from rlhf_lab.runs.project import Project
    from rlhf_lab.runs.recovering import Recovered
    from rlhf_lab.runs.source import RunSource
    from rlhf_lab.store import Store

Begin = Callable[["RunFolder", str], "RunSource"]
"""Makes the source of a run and begins it: "start", "resume" or "attach". Called in the trainer thread."""


_AGAIN_MS = 2000


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
    pane_asked = Signal(str, dict)
    """Show this pane ("sft", "reward", ...) with these fields of its form filled in."""
    run_asked = Signal(str)
    """Show this run in the pane of its stage."""
    models_asked = Signal(str)
    """Show the models, to choose one for the form of this stage; "" for none."""
    models_changed = Signal()
    """Another model can be used, or one is gone."""
    keeping = Signal(object)
    """The window is about to close: store what was typed, and add to this list, in words, what could not be stored."""
    closing = Signal()
    """The window closes: end what is not a run."""

    def __init__(self, project: "Project", begin: Begin, parent: QObject | None = None):
        super().__init__(parent)
        self.project = project
        self.default_threads = 0
        """For runs that leave ``threads`` at 0; 0 leaves it to the run."""
        self.actions = Actions(self)
        self._begin = begin
        self._states: dict[str, RunState] = {}
        self._queue = RunQueue()
        self._hows: dict[str, str] = {}
        self._held = self._left = False
        self._freezing: list[str] = []
        self._unread: set[str] = set()
        self._trainers: dict[str, TrainerThread] = {}
        self._tasks: set[Background] = set()
        self.collector = Collector(self)
        self.recipes = Recipes(self)
        """What starts several runs, one after the other."""

    def start(self, config: "RunConfig", place: "Place | None" = None) -> str:
        """Make the run and put it in the queue; raises `LabError` that says why it cannot start.

        Its data is copied beside the window first; until then it counts as waiting. ``place``: which step of which
        recipe it is.
        """
        if config.threads == 0 and self.default_threads:
            config = config.model_copy(update={"threads": self.default_threads})
        folder = self.project.reserve_run(config, place)
        self._states[folder.run] = RunState(run=folder.run, stage=config.stage)
        self._freeze(folder)
        self.runs_changed.emit()
        self.run_changed.emit(folder.run)
        return folder.run

    def resume(self, run: str, changes: Mapping[str, object] | None = None) -> None:
        """Go on from the last save of a run that ended, with ``changes`` further than was planned.

        Raises `LabError` where it cannot: see `rlhf_lab.runs.going_on.go_on_with`.
        """
        from rlhf_lab.core.config import total_steps  # the first window needs none of it
        from rlhf_lab.runs.going_on import go_on_with

        if self.state(run).live or run in self.queued():
            raise LabError(f"{self.state(run).title} is running or waiting already.")
        folder, row = go_on_with(self.project, run, changes), self.project.run_row(run)
        total = total_steps(folder.config)
        self.project.store.set_run_state(run, "queued", "")
        self._states[run] = RunState(run=run, stage=folder.config.stage, step=row.step, total=total)
        self._enqueue(folder, "resume")

    def stop(self, run: str) -> None:
        """Save the last whole step and end; a run that waits is cancelled."""
        state = self.state(run)
        if run in self._trainers:
            state.stopping = True
            self._trainers[run].stop()
        elif run in self._freezing:
            state.stopping = True
            self._freezing.remove(run)
        elif run in self._queue.waiting():
            if self._hows[run] == "start":
                self.project.cancel(run)
            else:
                self.project.store.set_run_state(run, "stopped", "Taken out of the queue before it was resumed.")
            self._queue.cancel(run)
            del self._hows[run], self._states[run]
            self.runs_changed.emit()
        self.run_changed.emit(run)

    def pause(self, run: str) -> None:
        """Wait at the next tick of the work."""
        from rlhf_lab.core.control import Pause

        self._send(run, Pause)

    def go_on(self, run: str) -> None:
        """Stop waiting."""
        from rlhf_lab.core.control import GoOn

        self._send(run, GoOn)

    def step(self, run: str) -> None:
        """Finish the step that is being worked on, or do one whole step where it waits; then wait."""
        from rlhf_lab.core.control import Step

        self._send(run, Step)

    def set(self, run: str, field: str, value: float) -> None:
        """Change ``kl_coef`` or ``learning_rate`` from the next step on."""
        from rlhf_lab.core.control import Set

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
        return self._queue.waiting() + self._freezing

    def being_copied(self) -> list[str]:
        """Of those that wait, the runs whose data is being copied."""
        return list(self._freezing)

    @property
    def held(self) -> bool:
        """Whether nothing more is started, since the window closes."""
        return self._held

    def in_line(self) -> list[str]:
        """Of these, those whose data is frozen: they can be put into another order."""
        return self._queue.waiting()

    def move_in_line(self, run: str, places: int) -> None:
        """Let a run that waits have its turn so many places later, or earlier where negative."""
        self._queue.move(run, places)
        for other in self._queue.waiting():
            self.run_changed.emit(other)

    @Slot()
    def find_runs(self) -> None:
        """At start: follow the runs that live, queue those that never began, tell of those that died.

        Those of which the locked database cannot be told yet are looked after a little later.
        """
        if self._held:
            return
        found = self.project.recover(but={*self._trainers, *self.queued(), *self._unread})
        for folder in found.live:
            self._attach(folder, found)
        for folder in found.waiting:
            self._freeze(folder)
        self.runs_changed.emit()
        for folder in found.interrupted:
            self._states.pop(folder.run, None)
            self.run_changed.emit(folder.run)
        self._unread |= found.unread.keys()
        if found.unread:
            from rlhf_lab.runs.recovering import unread_in_words

            self.message.emit(unread_in_words(found))
        if found.undone is not None:
            self.message.emit(f"Some runs could not be looked after. {found.undone} It is tried again by itself.")
            QTimer.singleShot(_AGAIN_MS, self, self.find_runs)

    def _attach(self, folder: "RunFolder", found: "Recovered") -> None:
        try:
            device = self.project.run(folder.run).config.device
        except (LabError, OSError) as error:
            found.unread[folder.run] = str(error)
            return
        try:
            past = self.project.store.events(
                folder.run, ("started", "resumed", "progress", "paused", "warned", "health")
            )
            self.state(folder.run).take(past)
        except LabError as error:
            found.undone = error
            return
        self._queue.occupy(folder.run, device)
        self._follow(folder.run, "attach")

    def in_background(self, work: Work, title: str = "") -> Background:
        """Do the work in a thread of its own; connect to what is returned before the next turn of the loop.

        After `let_go` it is not begun: nobody would wait for its thread. ``title``: see `Background.title`.
        """
        task = Background(work, self.project.store.path, self, title)
        if self._left:
            return task
        task.finished.connect(self._task_ended)
        self._tasks.add(task)
        task.start_soon()
        return task

    def under_way(self) -> list[str]:
        """The titles of the work that would end with the window and be missed."""
        return [*sorted(task.title for task in self._tasks if task.title), *self.recipes.losses()]

    def hold_queue(self) -> None:
        """Start nothing more: the window closes. What waits is queued again the next time."""
        self._held = True

    def let_go(self) -> None:
        """Before the window closes: leave living runs to themselves and wait for the threads."""
        self._held = True
        self.closing.emit()
        self.actions.forget()
        for task in self._tasks:
            task.let_go()
        for trainer in self._trainers.values():
            trainer.let_go()
        for thread in (*self._tasks, *self._trainers.values()):
            thread.wait()
        self._left = True
        # What the threads said last is delivered now, while there is somebody to hear it.
        QCoreApplication.sendPostedEvents(None, QEvent.Type.MetaCall)
        self.collector.close()

    def _freeze(self, folder: "RunFolder") -> None:
        run, project = folder.run, self.project.folder

        def work(store: "Store", task: Background) -> bool:
            from rlhf_lab.runs.project import Project

            with Project.open(project) as opened:
                return opened.freeze(folder, lambda: task.cancelled() or run not in self._freezing)

        self._freezing.append(run)
        task = self.in_background(work)
        task.setObjectName(run)
        task.done.connect(self._frozen)
        task.failed.connect(self._not_frozen)

    @Slot(object)
    def _frozen(self, whole: bool) -> None:
        run = self.sender().objectName()
        if run in self._freezing:
            if whole:  # else the window closes, and it waits for the next one
                self._freezing.remove(run)
                self._enqueue(self.project.run(run), "start")
            return
        self.project.cancel(run)
        self._states.pop(run, None)
        self.runs_changed.emit()
        self.run_changed.emit(run)

    @Slot(str)
    def _not_frozen(self, reason: str) -> None:
        from rlhf_lab.core.events import Finished

        run = self.sender().objectName()
        self._freezing = [other for other in self._freezing if other != run]
        end = Finished(outcome="failed", message=reason)
        self._note_end(run, end)
        self.state(run).take([end])
        self.runs_changed.emit()
        self.run_changed.emit(run)

    def _enqueue(self, folder: "RunFolder", how: str) -> None:
        self._hows[folder.run] = how
        self._queue.add(folder.run, folder.config.device)
        self.runs_changed.emit()
        self.run_changed.emit(folder.run)
        self._next()

    def _next(self) -> None:
        for run in [] if self._held else self._queue.take():
            self._follow(run, self._hows.pop(run))

    def _follow(self, run: str, how: str) -> None:
        from rlhf_lab.gui.trainer import TrainerThread

        state, folder = self.state(run), self.project.run(run)
        if how != "attach":
            state.outcome, state.phase = "starting", "starting"
        trainer = TrainerThread(run, lambda: self._begin(folder, how), self.project.store.path, self)
        trainer.events_arrived.connect(self._take)
        trainer.ended.connect(self._trainer_ended)
        self._trainers[run] = trainer
        trainer.start()
        self.run_changed.emit(run)

    def _send(self, run: str, command: Callable[..., "Command"], **fields: object) -> None:
        if run not in self._trainers:
            return
        try:
            self._trainers[run].send(command, **fields)
        except OSError as error:
            self.message.emit(f"{self.state(run).title} could not be told: {error.strerror or error}.")

    @Slot(str, list)
    def _take(self, run: str, events: list["AnyEvent"]) -> None:
        from rlhf_lab.core.events import Finished

        state = self.state(run)
        state.take(events)
        for event in events:
            # One that no log holds: the run could not begin. The others are recorded already.
            if isinstance(event, Finished) and not event.attempt:
                self._note_end(run, event)
        self.events_arrived.emit(run, events)
        self.run_changed.emit(run)
        if any(isinstance(event, Finished) for event in events):
            self.runs_changed.emit()

    def _note_end(self, run: str, end: "Finished") -> None:
        try:
            self.project.store.set_run_state(run, end.outcome, end.message)
        except LabError as error:  # the next start finds out by itself
            self.message.emit(str(error))

    @Slot(str)
    def _trainer_ended(self, run: str) -> None:
        trainer = self._trainers.pop(run)
        trainer.wait()
        trainer.forget()
        trainer.deleteLater()
        if not trainer.heard_end:  # let go: the run still has its device
            return
        self._queue.finished(run)
        self.run_changed.emit(run)
        self._next()

    @Slot()
    def _task_ended(self) -> None:
        task = self.sender()
        assert isinstance(task, Background)
        self._tasks.discard(task)
        task.wait()
        task.forget()
        task.deleteLater()
