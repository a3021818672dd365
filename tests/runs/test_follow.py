"""Following a fake run under a fake clock: one end, patience that adapts, a stop in three levels."""

import sqlite3
from collections.abc import Callable

import pytest

from rlhf_lab.core.control import Set, Stop
from rlhf_lab.core.events import AnyEvent, Finished, Metrics, Phase, Progress, Resumed, Started
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.follow import Follower, Limits, follow
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.recorder import Recorder
from rlhf_lab.store import Store
from tests.fakes import FakeRun


class Clock:
    """Time that passes when it is told to, looked at every tenth of a second."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def wait(clock: Clock, follower: Follower, seconds: float) -> list[AnyEvent]:
    """Look every tenth of a second until time is up or the run has ended."""
    events = []
    until = clock.now + seconds
    while clock.now < until and follower.finished is None:
        clock.now += 0.1
        events += follower.step()
    return events


def at_work(run: FakeRun, follower: Follower) -> None:
    run.feed(Started(device="fake"), Metrics(step=1, values={"train/loss": 1.0}))
    follower.step()


def test_events_pass_through_and_end_once(clock: Clock) -> None:
    run = FakeRun()
    follower = Follower(run, now=clock)
    run.feed(Started(device="fake"), Progress(step=1, done=1, total=1), Finished(step=1, outcome="done"))
    assert [e.kind for e in follower.step()] == ["started", "progress", "finished"]
    assert follower.finished is not None
    assert follower.step() == []


def test_death_without_a_word_is_an_end(clock: Clock) -> None:
    run = FakeRun()
    follower = Follower(run, now=clock)
    at_work(run, follower)
    run.die()
    (end,) = follower.step()
    assert isinstance(end, Finished)
    assert (end.outcome, end.message, end.step) == ("failed", "The fake died.", 1)


def test_last_words_of_the_dead_are_heard_first(clock: Clock) -> None:
    run = FakeRun()
    follower = Follower(run, now=clock)
    at_work(run, follower)
    run.feed(Metrics(step=2, values={"train/loss": 0.5}))
    run.die()
    events = wait(clock, follower, 1)
    assert [e.kind for e in events] == ["metrics", "finished"]


def test_ends_of_earlier_attempts_do_not_count(clock: Clock) -> None:
    run = FakeRun(attempt=2)
    follower = Follower(run, now=clock)
    run.feed(Finished(attempt=1, seq=9, outcome="stopped"), Resumed(step=1, device="fake"))
    assert [e.kind for e in follower.step()] == ["resumed"]
    assert follower.finished is None


def test_an_end_that_was_read_before_is_still_the_end(clock: Clock) -> None:
    run = FakeRun()
    run.feed(Finished(outcome="done"))
    run.seek(1)
    run.poll()
    (end,) = Follower(run, now=clock).step()
    assert isinstance(end, Finished)
    assert end.outcome == "done"


def test_silence_while_loading_is_patience(clock: Clock) -> None:
    run = FakeRun()
    follower = Follower(run, limits=Limits(loading=300, silence=10), now=clock)
    run.feed(Phase(name="loading the model"))
    wait(clock, follower, 299)
    assert follower.finished is None
    events = wait(clock, follower, 5)
    assert "Hung while 'a fake step'" in events[-1].message
    assert run.levels == ["kill"]


def test_silence_at_work_is_a_hung_step(clock: Clock) -> None:
    run = FakeRun()
    follower = Follower(run, limits=Limits(silence=10), now=clock)
    at_work(run, follower)
    wait(clock, follower, 9)
    assert follower.finished is None
    wait(clock, follower, 2)
    assert follower.finished is not None
    assert follower.finished.outcome == "failed"


def test_a_slow_step_is_not_a_hung_one(clock: Clock) -> None:
    run = FakeRun()
    follower = Follower(run, limits=Limits(silence=10, silence_factor=20), now=clock)
    at_work(run, follower)
    for _ in range(3):
        run.heart += 1
        wait(clock, follower, 2)
    wait(clock, follower, 30)  # three times what is always allowed, less than 20 times its usual silence
    assert follower.finished is None
    wait(clock, follower, 15)
    assert follower.finished is not None


def test_the_machines_sleep_is_not_the_runs_silence(clock: Clock) -> None:
    run = FakeRun()
    follower = Follower(run, limits=Limits(silence=10), now=clock)
    at_work(run, follower)
    clock.now += 3600
    follower.step()
    wait(clock, follower, 9)
    assert follower.finished is None


def test_an_obedient_run_hears_one_message(clock: Clock) -> None:
    run = FakeRun()
    follower = Follower(run, now=clock)
    at_work(run, follower)
    follower.stop()
    wait(clock, follower, 1)
    assert run.sent == [Stop(attempt=1)]
    assert run.levels == ["message"]
    assert follower.finished is not None
    assert follower.finished.outcome == "stopped"


def test_a_stop_has_three_levels(clock: Clock) -> None:
    run = FakeRun(obedient=False)
    follower = Follower(run, limits=Limits(stop=5, terminate=3), now=clock)
    at_work(run, follower)
    follower.stop()
    for seconds, levels in ((4.5, ["message"]), (1, ["message", "signal"]), (3.5, ["message", "signal", "kill"])):
        run.heart += 1
        wait(clock, follower, seconds)
        assert run.levels == levels
    assert follower.finished is not None
    assert follower.finished.outcome == "stopped"
    assert "did not answer" in follower.finished.message


def test_what_the_database_cannot_take_now_it_gets_later(
    clock: Clock, project: Project, new_run: Callable[..., RunFolder]
) -> None:
    folder = new_run("well")
    run = FakeRun(folder.run)
    with Store.open(project.store.path, busy_ms=1) as impatient:
        follower = Follower(run, Recorder(impatient), now=clock)
        other = sqlite3.connect(project.store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        run.feed(Started(device="fake"), Metrics(step=1, values={"train/loss": 1.0}))
        assert len(follower.step()) == 2
        assert project.store.curves(folder.run) == {}
        other.execute("ROLLBACK")
        other.close()
        run.feed(Metrics(step=2, values={"train/loss": 0.5}))
        follower.step()
    assert project.store.curves(folder.run)["train/loss"] == ([1, 2], [1.0, 0.5])


def test_dying_of_a_stop_is_a_stop(clock: Clock) -> None:
    run = FakeRun(obedient=False)
    follower = Follower(run, now=clock)
    follower.stop()
    follower.step()
    run.die()
    follower.step()
    assert follower.finished is not None
    assert follower.finished.outcome == "stopped"


def test_following_leaves_without_an_end() -> None:
    run = FakeRun()
    run.feed(Started(device="fake"))
    seen: list[AnyEvent] = []
    assert follow(run, None, seen.extend, should_leave=lambda: bool(seen), wait=lambda seconds: None) is None
    assert [e.kind for e in seen] == ["started"]
    assert run.closed == 0


def test_following_closes_the_source_after_the_end() -> None:
    run = FakeRun()
    finished = follow(run, None, should_stop=lambda: True, wait=lambda seconds: None)
    assert finished is not None
    assert finished.outcome == "stopped"
    assert run.closed == 1


def test_commands_carry_their_attempt() -> None:
    run = FakeRun(attempt=4)
    run.send(Set, field="kl_coef", value=0.1)
    assert run.sent == [Set(attempt=4, field="kl_coef", value=0.1)]
