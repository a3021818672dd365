"""A run without a process: its events come from a callable that is handed in. For tests and debugging."""

import queue
from collections.abc import Callable, Iterable, Iterator

from rlhf_lab.core.control import Command, Control, GoOn, Pause, Set, Stop, StopRequested
from rlhf_lab.core.events import AnyEvent, Event, Finished
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.log import EventLog, Tail, end_attempt
from rlhf_lab.runs.outcome import to_the_end


class InlineControl:
    """A `Control` of this process: commands come through a queue, from any thread."""

    def __init__(self) -> None:
        self.commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._paused = False
        self._stop = False
        self._changes: dict[str, float] = {}

    def tick(self) -> None:
        """See `rlhf_lab.core.control.Control.tick`."""
        while not self.commands.empty() or self._paused:
            self._obey(self.commands.get())
        if self._stop:
            raise StopRequested

    def changes(self) -> dict[str, float]:
        """See `rlhf_lab.core.control.Control.changes`."""
        changes, self._changes = self._changes, {}
        return changes

    def held(self, why: str) -> bool:
        """See `rlhf_lab.core.control.Control.held`: nobody sees why it would wait."""
        return False

    def _obey(self, command: Command) -> None:
        match command:
            case Pause():
                self._paused = True
            case GoOn():
                self._paused = False
            case Stop():
                self._stop, self._paused = True, False
            case Set():
                self._changes[command.field] = command.value


class InlineRun:
    """A `rlhf_lab.runs.source.RunSource` whose work is done inside `poll`, one event a call."""

    def __init__(self, folder: RunFolder, make_events: Callable[[Control], Iterable[Event]]) -> None:
        self.run = folder.run
        self.attempt = 0
        self._folder, self._make_events = folder, make_events
        self._control = InlineControl()
        self._tail = Tail(folder.events_path)
        self._events: Iterator[Event] | None = None
        self._log: EventLog | None = None

    def start(self, resume: bool = False) -> None:
        """Begin a new attempt; whether it resumes is the callable's to know."""
        self.attempt = self._folder.claim_attempt()
        self._log = EventLog(self._folder.events_path, self.attempt)
        self._events = to_the_end(lambda: self._make_events(self._control))

    def seek(self, offset: int) -> None:
        """See `RunSource`."""
        self._tail.offset = offset

    def poll(self) -> list[tuple[AnyEvent, int]]:
        """See `RunSource`."""
        if self._events is not None and self._log is not None:
            event = next(self._events, None)
            if event is None:
                self.close()
            else:
                self._log.append(event)
        return self._tail.read()

    def send(self, command: Callable[..., Command], **fields: object) -> None:
        """See `RunSource`."""
        self._control.commands.put(command(attempt=self.attempt, **fields))

    def alive(self) -> bool:
        """See `RunSource`."""
        return self._events is not None

    def beat(self) -> float | None:
        """See `RunSource`; it cannot be looked at while it works."""
        return None

    def doing(self) -> str:
        """See `RunSource`."""
        return ""

    def ask_to_end(self) -> None:
        """See `RunSource`; the same as a stop."""
        self.send(Stop)

    def kill(self) -> None:
        """See `RunSource`: it goes on no more."""
        self.close()

    def exit_words(self) -> str:
        """See `RunSource`."""
        return "It ended without saying why."

    def end(self, finished: Finished) -> Finished | None:
        """See `RunSource`."""
        return end_attempt(self._folder.events_path, self.attempt, finished)

    def close(self) -> None:
        """See `RunSource`."""
        if self._log is not None:
            self._log.close()
        self._events = self._log = None
