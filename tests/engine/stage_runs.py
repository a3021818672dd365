"""Drive a stage directly, as a run would, without process or window."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rlhf_lab.core.config import RunConfig
from rlhf_lab.core.control import Control, NoControl, StopRequested
from rlhf_lab.core.events import Event, Finished, Metrics, Phase, Resumed
from rlhf_lab.core.records import AnyRecord
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.stages import TRAIN

VARYING = ("time/", "perf/")


def parts(folder: Path, model: Path, records: Sequence[AnyRecord], **changes: Any) -> Parts:
    """What a stage needs, with nothing merged and nobody at the controls."""
    folder.mkdir(exist_ok=True)
    fields: dict[str, Any] = {
        "start_adapters": (),
        "reward_adapter": None,
        "reward_model": None,
        "reward_start_adapters": (),
        "control": NoControl(),
    }
    return Parts(folder=folder, model=model, records=records, **{**fields, **changes})


def run(config: RunConfig, given: Parts) -> list[Event]:
    """All events of one attempt."""
    return list(TRAIN[config.stage](config, given))


def last(events: Sequence[Event]) -> Finished:
    """The one `Finished`, which must come last."""
    assert [isinstance(event, Finished) for event in events].count(True) == 1
    assert isinstance(events[-1], Finished)
    return events[-1]


def curves(*attempts: Sequence[Event]) -> dict[tuple[int, str], float]:
    """What counts of several attempts: {(step, metric): value}, without what depends on the clock."""
    found: dict[tuple[int, str], float] = {}
    for events in attempts:
        for event in events:
            if isinstance(event, Resumed):
                found = {key: value for key, value in found.items() if key[0] <= event.step}
            if isinstance(event, Metrics):
                values = event.values.items()
                found |= {(event.step, name): v for name, v in values if not name.startswith(VARYING)}
    return found


class StopAfterTicks(Control):
    """Asks to stop when it has been polled so many times."""

    def __init__(self, ticks: int) -> None:
        self._left = ticks

    def tick(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise StopRequested

    def changes(self) -> dict[str, float]:
        return {}


def metric(events: Sequence[Event], name: str) -> list[float]:
    """The values of one curve, in order."""
    return [event.values[name] for event in events if isinstance(event, Metrics) and name in event.values]


def of(events: Sequence[Event], kind: type[Any]) -> Iterator[Any]:
    """Events of one kind."""
    return (event for event in events if isinstance(event, kind))


class Person(NoControl):
    """Changes settings at given updates."""

    def __init__(self, wishes: dict[int, dict[str, float]]) -> None:
        self._wishes = wishes
        self._updates = 0

    def changes(self) -> dict[str, float]:
        self._updates += 1
        return self._wishes.get(self._updates, {})


class Counter(NoControl):
    """Counts how often it was polled."""

    ticks = 0

    def tick(self) -> None:
        self.ticks += 1


def polled_at(events: Iterator[Event], counter: Counter) -> tuple[list[Event], dict[tuple[int, str], int]]:
    """The events, and how many polls lay before each phase: {(step, phase): polls}."""
    seen, polls = [], {}
    for event in events:
        seen.append(event)
        if isinstance(event, Phase):
            polls[event.step, event.name] = counter.ticks
    return seen, polls
