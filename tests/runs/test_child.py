"""One real child process for each way that a run can go."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from rlhf_lab.core.control import GoOn, Pause, Set, Stop
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import AnyEvent, Finished, Metrics, Paused, Phase, Progress, Started
from rlhf_lab.runs.control_file import send_command
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.follow import Limits
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.recorder import Recorder
from rlhf_lab.runs.source import ProcessRun
from rlhf_lab.runs.warm import Standby

from .conftest import FAKE_CHILD, follow_on, start

NewRun = Callable[..., RunFolder]

pytestmark = pytest.mark.usefixtures("warm_children")


def reached(step: int) -> Callable[[list[AnyEvent]], bool]:
    return lambda events: any(isinstance(e, Metrics) and e.step >= step for e in events)


def test_done(new_run: NewRun, project: Project) -> None:
    folder = new_run("well", max_steps=5)
    events, finished = follow_on(start(folder), Recorder(project.store))
    assert finished is not None
    assert finished.outcome == "done"
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert isinstance(events[0], Phase)
    assert isinstance(events[1], Started)
    assert events[-1] == finished
    row = project.run_row(folder.run)
    assert (row.outcome, row.step, row.total) == ("done", 5, 5)
    assert project.store.curves(folder.run)["train/loss"] == ([1, 2, 3, 4, 5], [1.0, 0.5, 1 / 3, 0.25, 0.2])


def test_stopped(new_run: NewRun, project: Project) -> None:
    source = start(new_run("until stopped"))
    began = []
    _, finished = follow_on(source, stop=lambda events: reached(3)(events) and not began.append(time.monotonic()))
    assert finished is not None
    assert (finished.outcome, finished.step, finished.message) == ("stopped", 3, "Saved step 3.")
    assert time.monotonic() - began[0] < 10
    assert project.run(source.run).has_result()


def test_loading_is_stopped_at_once(new_run: NewRun) -> None:
    source = start(new_run("load for ever"))
    follow_on(source, until=lambda events: bool(events))
    began = time.monotonic()
    _, finished = follow_on(source, stop=lambda _: True)
    assert finished is not None
    assert (finished.outcome, finished.message) == ("stopped", "Stopped while it was being loaded.")
    assert time.monotonic() - began < 10


def test_a_signal_asks_to_stop(new_run: NewRun) -> None:
    folder = new_run("until stopped")
    source = start(folder)
    follow_on(source, until=reached(3))
    psutil.Process(folder.process().pid).send_signal(signal.SIGTERM)
    _, finished = follow_on(source)
    assert finished is not None
    assert (finished.outcome, finished.message) == ("stopped", "Saved step 3.")


def test_hung_step_is_killed_and_said(new_run: NewRun) -> None:
    source = start(new_run("hang"))
    limits = Limits(look=0.02, silence=2, silence_factor=0)
    _, finished = follow_on(source, limits=limits)
    assert finished is not None
    assert finished.outcome == "failed"
    assert finished.message.startswith("Hung while 'step ")
    assert not source.alive()


def test_stop_ends_with_the_kill_of_the_whole_tree(new_run: NewRun) -> None:
    folder = new_run("hang and ignore signals")
    source = start(folder)
    follow_on(source, until=reached(4))
    tree = psutil.Process(folder.process().pid).children(recursive=True)
    assert len(tree) == 1
    _, finished = follow_on(source, stop=lambda _: True, limits=Limits(look=0.02, stop=0.2, terminate=0.2))
    assert finished is not None
    assert finished.outcome == "stopped"
    assert "did not answer" in finished.message
    assert not source.alive()
    assert not psutil.wait_procs(tree, timeout=5)[1]


def test_killed_from_outside_is_noticed(new_run: NewRun, project: Project) -> None:
    folder = new_run("until stopped")
    source = start(folder)
    follow_on(source, until=reached(3))
    psutil.Process(folder.process().pid).kill()
    began = time.monotonic()
    _, finished = follow_on(source, Recorder(project.store), limits=Limits())
    assert time.monotonic() - began < 5
    assert finished is not None
    assert finished.outcome == "failed"
    assert "signal 9" in finished.message
    row = project.run_row(folder.run)
    assert (row.outcome, row.message) == ("failed", finished.message)
    assert project.store.curves(folder.run)["train/loss"][0] == [1, 2, 3]


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("raise", "ZeroDivisionError: a fake division. The run's child.log has the details."),
        ("refuse", "This fake cannot do it. Choose another."),
        ("out of memory", "Not enough memory. "),
        ("vanish", "The trainer process ended with status 3."),
    ],
)
def test_failures_are_words(new_run: NewRun, behaviour: str, words: str) -> None:
    folder = new_run(behaviour)
    events, finished = follow_on(start(folder))
    assert finished is not None
    assert finished.outcome == "failed"
    assert finished.message.startswith(words)
    assert finished.step == 3
    assert sum(isinstance(e, Finished) for e in events) == 1
    assert ("Traceback" in folder.child_log_path.read_text()) == (behaviour != "vanish")


def test_config_that_cannot_be_read_fails_in_words(new_run: NewRun) -> None:
    folder = new_run("well")
    (folder.path / "config.json").write_text('{"stage": "sft", "seed": -1}')
    _, finished = follow_on(start(folder))
    assert finished is not None
    assert finished.outcome == "failed"
    assert "config.json" in finished.message
    assert "seed" in finished.message


def test_pause_and_change_reach_the_child(new_run: NewRun) -> None:
    source = start(new_run("show changes", max_steps=4))
    follow_on(source, until=reached(3))
    source.send(Pause)
    events, _ = follow_on(source, until=lambda events: Paused in map(type, events))
    assert [e.paused for e in events if isinstance(e, Paused)] == [True]
    source.send(Set, field="learning_rate", value=0.5)
    source.send(GoOn)
    events, finished = follow_on(source)
    assert [e.paused for e in events if isinstance(e, Paused)] == [False]
    assert finished is not None
    assert finished.outcome == "done"
    assert any(isinstance(e, Metrics) and e.values == {"learning_rate": 0.5} for e in events)


def test_resume_supersedes_and_ignores_old_commands(new_run: NewRun, project: Project) -> None:
    folder = new_run("until stopped", max_steps=5)
    recorder = Recorder(project.store)
    follow_on(start(folder), recorder, stop=reached(3))
    assert project.run_row(folder.run).outcome == "stopped"
    send_command(folder, Stop(attempt=1))

    second = start(folder, resume=True)
    assert second.attempt == 2
    events, finished = follow_on(second, recorder)
    assert finished is not None
    assert (finished.outcome, finished.attempt) == ("done", 2)
    assert sum(isinstance(e, Finished) for e in events) == 1
    steps, losses = project.store.curves(folder.run)["train/loss"]
    assert steps == [1, 2, 3, 4, 5]
    assert losses[3] == 0.25 + 1
    assert project.run_row(folder.run).outcome == "done"


def test_recording_a_log_twice_changes_nothing(new_run: NewRun, project: Project) -> None:
    folder = new_run("well", max_steps=5)
    follow_on(start(folder), Recorder(project.store))
    before = project.store.events(folder.run), project.run_row(folder.run)
    again = ProcessRun(folder)
    again.attach()
    Recorder(project.store).record(folder.run, again.poll())
    assert (project.store.events(folder.run), project.run_row(folder.run)) == before


def test_a_living_run_cannot_be_started_again(new_run: NewRun) -> None:
    folder = new_run("until stopped")
    source = start(folder)
    with pytest.raises(LabError, match="already running"):
        start(folder, resume=True)
    follow_on(source, stop=reached(3))


def test_left_alone_and_attached_again(new_run: NewRun, project: Project) -> None:
    folder = new_run("until stopped")
    follow_on(start(folder), Recorder(project.store), until=reached(2))

    found = project.recover()
    assert [f.run for f in found.live] == [folder.run]
    assert not found.interrupted
    second = ProcessRun(found.live[0])
    second.attach()
    events, finished = follow_on(second, Recorder(project.store), stop=lambda _: True)
    assert finished is not None
    assert finished.outcome == "stopped"
    assert not any(isinstance(e, Started) for e in events)
    assert project.store.curves(folder.run)["train/loss"][0] == [1, 2, 3]


def test_death_of_an_attached_run_is_noticed(new_run: NewRun) -> None:
    folder = new_run("until stopped")
    follow_on(start(folder), until=reached(3))
    second = ProcessRun(folder)
    second.attach()
    psutil.Process(folder.process().pid).kill()
    _, finished = follow_on(second)
    assert finished is not None
    assert finished.outcome == "failed"


def test_two_followers_of_one_death_write_one_end(new_run: NewRun, project: Project) -> None:
    folder = new_run("until stopped")
    first = start(folder)
    follow_on(first, until=reached(3))
    second = ProcessRun(folder)
    second.attach()
    psutil.Process(folder.process().pid).kill()
    recorder = Recorder(project.store)
    ends = [follow_on(source, recorder)[1] for source in (first, second)]
    assert ends[0] == ends[1]
    assert sum(b'"finished"' in line for line in folder.events_path.read_bytes().splitlines()) == 1
    assert len(project.store.events(folder.run, ["finished"])) == 1


def test_dead_while_nobody_watched_is_interrupted(new_run: NewRun, project: Project) -> None:
    folder = new_run("until stopped")
    source = start(folder)
    follow_on(source, until=reached(3))
    psutil.Process(folder.process().pid).kill()
    source.close()

    assert [f.run for f in project.recover().interrupted] == [folder.run]
    row = project.run_row(folder.run)
    assert (row.outcome, row.step) == ("interrupted", 3)
    assert not project.recover().interrupted

    _, finished = follow_on(start(folder, resume=True), Recorder(project.store))
    assert finished is not None
    assert finished.outcome == "done"
    assert project.run_row(folder.run).outcome == "done"


def test_finished_while_nobody_watched_is_found(new_run: NewRun, project: Project) -> None:
    folder = new_run("well", max_steps=5)
    follow_on(start(folder))
    assert project.run_row(folder.run).outcome == "queued"
    found = project.recover()
    assert (found.live, found.interrupted, found.waiting) == ([], [], [])
    assert project.run_row(folder.run).outcome == "done"


def test_standby_child_is_adopted(new_run: NewRun) -> None:
    standby = Standby(entry=(*FAKE_CHILD, "--standby"))
    standby.prepare()
    source = ProcessRun(new_run("raise"), entry=("no-such-program",), standby=standby)
    source.start()
    events, finished = follow_on(source)
    assert finished is not None
    assert "ZeroDivisionError" in finished.message
    assert any(isinstance(e, Progress) for e in events)
    assert "Traceback" in source.folder.child_log_path.read_text()


def test_standby_child_goes_with_its_window() -> None:
    standby = Standby(entry=(*FAKE_CHILD, "--standby"))
    before = set(psutil.Process().children())
    standby.prepare()
    # Not known by its arguments: /proc shows none for a moment after the program's start.
    (child,) = set(psutil.Process().children()) - before
    standby.close()
    assert not child.is_running()


def test_standby_child_ends_with_its_input() -> None:
    child = subprocess.Popen([*FAKE_CHILD, "--standby"], stdin=subprocess.PIPE)
    child.communicate(timeout=30)
    assert child.returncode == 0


def test_the_interpreter_is_not_taken_apart_at_the_end() -> None:
    """With torch in it that takes a second or two, for which a person who pressed Stop would wait."""
    code = """
import atexit, runpy, sys, types
for name in ("rlhf_lab.engine", "rlhf_lab.engine.libraries", "rlhf_lab.engine.stages", "rlhf_lab.world.judge"):
    sys.modules[name] = types.ModuleType(name)  # else they take seconds
sys.modules["rlhf_lab.engine"].libraries = sys.modules["rlhf_lab.engine.libraries"]
sys.modules["rlhf_lab.engine.libraries"].load = lambda: None
class Kept:
    def __del__(self):
        print("taken apart")
kept = Kept()
atexit.register(print, "what is ours ends")
sys.argv = ["child", "--standby"]
runpy.run_module("rlhf_lab.runs.child", run_name="__main__")
"""
    ended = subprocess.run([sys.executable, "-c", code], input=b"", capture_output=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout.split(b"\n"), ended.stderr) == (0, [b"what is ours ends", b""], b"")


def test_standby_can_be_off() -> None:
    standby = Standby(enabled=False)
    standby.prepare()
    assert standby.adopt(["somewhere"]) is None
