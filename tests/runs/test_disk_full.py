"""A full disk: the run waits with its heart beating, says what it needs, and goes on when there is room.

The limit on a file's size, put on the living trainer from outside, is what a full disk is to it; it holds for root too.
"""

import resource
from collections.abc import Callable

import psutil

from rlhf_lab.core.events import AnyEvent, Metrics, Paused
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.follow import Limits
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.recorder import Recorder
from rlhf_lab.runs.source import ProcessRun

from .conftest import follow_on, start

NewRun = Callable[..., RunFolder]


def room_of(source: ProcessRun, most: int) -> None:
    """How large a file the trainer may write from now on."""
    process = source.folder.process()
    assert process is not None
    psutil.Process(process.pid).rlimit(psutil.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def waits(events: list[AnyEvent]) -> bool:
    return any(isinstance(event, Paused) and event.paused for event in events)


def full(folder: RunFolder, project: Project) -> tuple[ProcessRun, list[AnyEvent]]:
    """A run whose log can take no more; what was heard of it until it waits."""
    source = start(folder)
    follow_on(source, until=lambda events: any(isinstance(e, Metrics) for e in events))
    room_of(source, folder.events_path.stat().st_size)
    more, finished = follow_on(source, Recorder(project.store), until=waits)
    assert finished is None
    return source, more


def test_a_run_waits_for_room_says_what_it_needs_and_goes_on(new_run: NewRun, project: Project) -> None:
    folder = new_run("talk on")
    source, events = full(folder, project)
    [said] = [event for event in events if isinstance(event, Paused)]
    assert "1 MB are needed" in said.reason
    assert str(folder.path) in said.reason
    assert "MB are free" in said.reason
    assert folder.events_path.read_bytes().endswith(b"}\n"), "no half line is left"
    room_of(source, resource.RLIM_INFINITY)
    events, finished = follow_on(source, Recorder(project.store), stop=lambda events: len(events) > 6)
    assert finished is not None
    assert finished.outcome == "stopped"
    assert [event.paused for event in events if isinstance(event, Paused)][-1] is False
    stored = project.store.events(folder.run)
    assert [event.seq for event in stored] == list(range(1, len(stored) + 1)), "nothing is missing"
    assert not any(isinstance(event, Paused) for event in stored)


def test_a_stop_does_not_wait_for_room(new_run: NewRun, project: Project) -> None:
    source, _ = full(new_run("talk on"), project)
    limits = Limits(look=0.02, stop=600)
    _, finished = follow_on(source, Recorder(project.store), stop=lambda _: True, limits=limits)
    assert finished is not None
    assert finished.outcome == "stopped"
    assert "could" in finished.message
    assert "MB are needed" in finished.message
    assert not source.alive()
