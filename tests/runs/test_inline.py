"""A run inside this process says the same things in the same way as one in a child."""

from collections.abc import Callable, Iterator

from rlhf_lab.core.control import Control, GoOn, Pause, Set, StopRequested
from rlhf_lab.core.events import Event, Finished, Metrics, Started
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.inline import InlineRun
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.recorder import Recorder

from .conftest import follow_on


def steps(control: Control) -> Iterator[Event]:
    yield Started(device="here")
    for step in range(1, 1000):
        try:
            control.tick()
        except StopRequested:
            yield Finished(step=step - 1, outcome="stopped")
            return
        yield Metrics(step=step, values=control.changes())


def test_events_are_logged_and_recorded(new_run: Callable[..., RunFolder], project: Project) -> None:
    source = InlineRun(new_run("inline"), steps)
    source.start()
    events, finished = follow_on(source, Recorder(project.store), stop=lambda events: len(events) > 3)
    assert finished is not None
    assert finished.outcome == "stopped"
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert project.store.events(source.run) == events
    assert project.run_row(source.run).outcome == "stopped"


def test_commands_come_from_any_thread_before_the_next_tick(new_run: Callable[..., RunFolder]) -> None:
    source = InlineRun(new_run("inline"), steps)
    source.start()
    source.send(Pause)
    source.send(Set, field="kl_coef", value=2.0)
    source.send(GoOn)
    events, _ = follow_on(source, stop=lambda events: len(events) > 2)
    assert events[1].values == {"kl_coef": 2.0}


def test_errors_end_it_in_words(new_run: Callable[..., RunFolder]) -> None:
    def broken(control: Control) -> Iterator[Event]:
        yield Started(device="here")
        raise ZeroDivisionError("inside")

    source = InlineRun(new_run("inline"), broken)
    source.start()
    _, finished = follow_on(source)
    assert finished is not None
    assert finished.outcome == "failed"
    assert finished.message.startswith("ZeroDivisionError: inside.")


def test_work_without_an_end_gets_one(new_run: Callable[..., RunFolder]) -> None:
    source = InlineRun(new_run("inline"), lambda control: [Started(device="here")])
    source.start()
    _, finished = follow_on(source)
    assert finished is not None
    assert finished.outcome == "failed"
