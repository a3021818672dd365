"""Stand-ins that are told what to do: a run that says what a test feeds it."""

from collections.abc import Callable

from rlhf_lab.core.control import Command, Stop
from rlhf_lab.core.events import AnyEvent, Event, Finished
from rlhf_lab.runs.folder import RunFolder


def leave_adapter(folder: RunFolder) -> None:
    """The result of a run, as far as it is seen from outside."""
    folder.adapter.mkdir()
    (folder.adapter / "adapter_config.json").write_text("{}")


class FakeRun:
    """A `rlhf_lab.runs.source.RunSource` without a process: `feed` it events, let it `die`.

    It notes what it is asked: ``sent`` commands, and ``levels`` of a stop ("message", "signal", "kill").
    ``obedient`` ones finish as "stopped" at a stop message.
    """

    def __init__(self, run: str = "sft-1", attempt: int = 1, *, obedient: bool = True) -> None:
        self.run, self.attempt, self.obedient = run, attempt, obedient
        self.sent: list[Command] = []
        self.levels: list[str] = []
        self.closed = 0
        self.heart = 0.0
        self._living = True
        self._finished: Finished | None = None
        self._said: list[tuple[AnyEvent, int]] = []
        self._read = 0

    def feed(self, *events: Event) -> None:
        """Say these events; they get attempt, seq and an offset (one a line) as a log would give them."""
        for event in events:
            number = len(self._said) + 1
            said = event.model_copy(
                update={"attempt": event.attempt or self.attempt, "seq": event.seq or number, "time": float(number)}
            )
            self._said.append((said, number))
            if isinstance(said, Finished) and said.attempt == self.attempt:
                self._finished, self._living = said, False

    def die(self) -> None:
        """End without a word."""
        self._living = False

    def seek(self, offset: int) -> None:
        self._read = offset

    def poll(self) -> list[tuple[AnyEvent, int]]:
        new, self._read = self._said[self._read :], len(self._said)
        return new

    def send(self, command: Callable[..., Command], **fields: object) -> None:
        self.sent.append(command(attempt=self.attempt, **fields))
        if isinstance(self.sent[-1], Stop):
            self.levels.append("message")
            if self.obedient:
                self.feed(Finished(outcome="stopped", message="Stopped."))

    def alive(self) -> bool:
        return self._living

    def beat(self) -> float | None:
        return self.heart

    def doing(self) -> str:
        return "a fake step"

    def ask_to_end(self) -> None:
        self.levels.append("signal")

    def kill(self) -> None:
        self.levels.append("kill")
        self._living = False

    def exit_words(self) -> str:
        return "The fake died."

    def end(self, finished: Finished) -> Finished | None:
        if self._finished is None:
            self.feed(finished)
        return self._finished

    def close(self) -> None:
        self.closed += 1
