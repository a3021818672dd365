"""A stage under watch: its verdicts follow its events, and one of the level "stop" stops it."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.control import Control, StopRequested
from rlhf_lab.core.events import AnyEvent, Event, Finished, Health, Resumed, superseded_after
from rlhf_lab.core.health import Watch


class WatchedControl:
    """A `Control` that also asks for the stop when ``verdict`` does."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self.verdict: Health | None = None
        """Why the run must stop."""

    def tick(self) -> None:
        """See `rlhf_lab.core.control.Control.tick`."""
        self._control.tick()
        if self.verdict is not None:
            raise StopRequested

    def changes(self) -> dict[str, float]:
        """See `rlhf_lab.core.control.Control.changes`."""
        return self._control.changes()

    def held(self, why: str) -> bool:
        """See `rlhf_lab.core.control.Control.held`."""
        return self._control.held(why)


def watched(
    make: Callable[[Control], Iterable[Event]], control: Control, config: RunConfig, history: Sequence[AnyEvent] = ()
) -> Iterator[Event]:
    """The events of a stage, each followed by the verdicts that it brings; `Finished` says which one stopped it.

    ``history`` is what earlier attempts of the run said. A verdict that they gave stands and is not given
    again, so that whoever resumes a run that was stopped has decided to go on.
    """
    watch = Watch(config)
    watched_control = WatchedControl(control)
    for event in make(watched_control):
        if isinstance(event, Resumed):
            watch = Watch(config)
            for earlier in superseded_after([*history, event]):
                watch.take(earlier)
        elif isinstance(event, Finished) and event.outcome == "stopped" and watched_control.verdict is not None:
            event = event.model_copy(update={"message": _why(watched_control.verdict, event)})
        yield event
        for verdict in watch.take(event):
            if verdict.on and verdict.level == "stop":
                watched_control.verdict = watched_control.verdict or verdict
            yield verdict


def _why(verdict: Health, end: Finished) -> str:
    return f"{verdict.title}: {verdict.seen} {verdict.cause} {verdict.advice} {end.message}".strip()
