"""What can befall a run from outside, for real: a locked database, a stopped process, a folder that goes, a clock that is set."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from rlhf_lab.core.events import AnyEvent, Finished, Metrics, Phase, Warned
from rlhf_lab.runs import follow
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.follow import Limits
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.recorder import Recorder
from rlhf_lab.runs.source import ProcessRun
from rlhf_lab.store import Store

from .conftest import follow_on, start

NewRun = Callable[..., RunFolder]
pytestmark = pytest.mark.usefixtures("warm_children")
HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process holds the write lock."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLD, str(database)], stdin=pipe, stdout=pipe) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        yield
        other.communicate(b"\n")


def at_work(events: list[AnyEvent]) -> bool:
    return any(isinstance(event, Metrics) for event in events)


def pid_of(folder: RunFolder) -> int:
    process = folder.process()
    assert process is not None
    return process.pid


def test_a_run_goes_on_while_its_database_is_locked_and_says_so(
    new_run: NewRun, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_UNRECORDED_S", 1.0)
    folder = new_run("talk on")
    source = start(folder)
    follow_on(source, Recorder(project.store), until=at_work)
    with Store.open(project.store.path, busy_ms=20) as impatient:
        with locked(project.store.path):
            heard, _ = follow_on(
                source, Recorder(impatient), until=lambda events: any(isinstance(e, Warned) for e in events)
            )
            said = next(event for event in heard if isinstance(event, Warned))
            assert said.code == "not_recorded"
            assert "in use by another process" in said.text
            assert sum(isinstance(event, Metrics) for event in heard) > 10, "the curves went on"
        _, finished = follow_on(source, Recorder(impatient), stop=lambda _: True)
    assert finished is not None
    stored = project.store.events(folder.run)
    assert [event.seq for event in stored] == list(range(1, len(stored) + 1))
    assert isinstance(stored[-1], Finished)


def test_the_end_waits_for_a_locked_database(new_run: NewRun, project: Project) -> None:
    folder = new_run("well", max_steps=5)
    ends: list[AnyEvent] = []
    with Store.open(project.store.path, busy_ms=20) as impatient, locked(project.store.path):
        follow_on(start(folder), Recorder(impatient), until=lambda events: bool(ends.extend(events) or at_work(events)))
    _, finished = follow_on(attached(folder), Recorder(project.store))
    assert finished is not None
    assert project.run_row(folder.run).outcome == "done"


def attached(folder: RunFolder) -> ProcessRun:
    source = ProcessRun(folder)
    source.attach()
    return source


def test_a_dead_run_waits_for_the_lock_to_be_told_and_the_others_do_not(new_run: NewRun, project: Project) -> None:
    dead, alive = new_run("until stopped"), new_run("until stopped")
    sources = [start(folder) for folder in (dead, alive)]
    for source in sources:
        follow_on(source, until=at_work)
    psutil.Process(pid_of(dead)).kill()
    sources[0].close()
    with Project.open(project.folder, busy_ms=20) as window, locked(project.store.path):
        found = window.recover()
        assert [folder.run for folder in found.live] == [alive.run]
        assert found.undone is not None
        assert "in use by another process" in str(found.undone)
    assert [folder.run for folder in project.recover(but=[alive.run]).interrupted] == [dead.run]
    follow_on(sources[1], stop=lambda _: True)


def test_no_run_is_left_half_made_where_the_database_is_locked(new_run: NewRun, project: Project) -> None:
    config = new_run("well").config
    with Project.open(project.folder, busy_ms=20) as window, locked(project.store.path):
        try:
            window.reserve_run(config)
            said = ""
        except Exception as error:
            said = str(error)
    assert "in use by another process" in said
    assert len(list(project.runs_folder.iterdir())) == 1


def test_a_stopped_process_is_told_before_it_is_ended(new_run: NewRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_QUIET_S", 0.5)
    folder = new_run("talk on")
    source = start(folder)
    follow_on(source, until=lambda events: sum(isinstance(e, Metrics) for e in events) > 20)
    os.kill(pid_of(folder), signal.SIGSTOP)
    heard, finished = follow_on(source, limits=Limits(look=0.05, silence=2, silence_factor=0), until=_worked(source))
    assert any(isinstance(event, Phase) and "no sign of life for" in event.name for event in heard)
    assert finished is not None
    assert finished.message.startswith("Hung while")
    assert not source.alive()


def _worked(source: ProcessRun) -> Callable[[list[AnyEvent]], bool]:
    """Let the new follower hear that the run worked: what it said is read again."""
    source.seek(0)
    return lambda events: False


def test_a_run_whose_folder_is_moved_ends_in_words_there(new_run: NewRun, project: Project) -> None:
    folder = new_run("until stopped")
    source = start(folder)
    follow_on(source, until=at_work)
    moved = folder.path.rename(project.folder / "moved")
    _, finished = follow_on(source)
    assert finished is not None
    assert "was moved or deleted" in finished.message
    assert not folder.path.exists(), "it is not made anew"
    assert b"was moved or deleted" in (moved / "events.jsonl").read_bytes().splitlines()[-1]


def test_a_clock_that_was_set_makes_no_dead_of_the_living(new_run: NewRun, project: Project) -> None:
    folder = new_run("until stopped")
    source = start(folder)
    follow_on(source, until=at_work)
    note = folder.path / "process.json"
    noted = json.loads(note.read_text())
    note.write_text(json.dumps(noted | {"create_time": noted["create_time"] + 3600}))
    os.utime(folder.heartbeat_path, (4e9, 4e9))
    assert [found.run for found in project.recover().live] == [folder.run]
    _, finished = follow_on(source, stop=lambda _: True)
    assert finished is not None


@pytest.mark.parametrize("earlier_s", [5.0, 1e6], ids=["a moment later", "days later"])
def test_a_pid_that_is_anothers_now_is_left_alone(new_run: NewRun, project: Project, earlier_s: float) -> None:
    folder = new_run("until stopped")
    source = start(folder)
    follow_on(source, until=at_work)
    psutil.Process(pid_of(folder)).kill()
    source.close()
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    note = folder.path / "process.json"
    folder.write_process(stranger.pid, 1)
    noted = json.loads(note.read_text())
    before = {time: noted[time] - earlier_s for time in ("create_time", "since_boot")}
    note.write_text(json.dumps(noted | before))
    assert [found.run for found in project.recover().interrupted] == [folder.run]
    attached(folder).kill()
    assert stranger.poll() is None
    stranger.communicate(b"\n")
