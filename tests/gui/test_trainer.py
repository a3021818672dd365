"""The lab and its trainer threads, with fake runs: order, one end each, commands, leaving."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, Slot
from pytestqt.qtbot import QtBot

from rlhf_lab.core.config import SftConfig
from rlhf_lab.core.control import GoOn, Pause, Set
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import AnyEvent, Finished, Metrics, Progress, Started
from rlhf_lab.core.records import AnyRecord, dump_record
from rlhf_lab.gui.background import Background
from rlhf_lab.gui.lab import Lab
from rlhf_lab.runs import log, making
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.source import RunSource
from tests.gui.conftest import FakeRuns


class Listener(QObject):
    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self.events: list[AnyEvent] = []
        self.threads: set[int] = set()
        lab.events_arrived.connect(self.take)

    @Slot(str, list)
    def take(self, run: str, events: list[AnyEvent]) -> None:
        self.events += events
        self.threads.add(threading.get_ident())


def test_events_arrive_in_the_gui_thread_recorded_with_one_end(
    qtbot: QtBot, lab: Lab, fakes: FakeRuns, begun_run: Callable[..., str]
) -> None:
    heard = Listener(lab)
    run = begun_run()
    fakes.runs[run].feed(Started(device="cpu", total_steps=2), Metrics(step=1, values={"train/loss": 3.0}))
    fakes.runs[run].feed(Progress(step=1, done=1, total=2), Finished(outcome="done"))
    qtbot.waitUntil(lambda: not lab.live())
    assert [event.kind for event in heard.events] == ["started", "metrics", "progress", "finished"]
    assert heard.threads == {threading.get_ident()}
    assert lab.state(run).outcome == "done"
    assert lab.project.run_row(run).outcome == "done"
    assert lab.project.store.curves(run)["train/loss"] == ([1], [3.0])
    assert fakes.runs[run].closed == 1


def test_a_run_that_dies_is_failed_with_its_reason(
    qtbot: QtBot, lab: Lab, fakes: FakeRuns, begun_run: Callable[..., str]
) -> None:
    heard = Listener(lab)
    run = begun_run()
    fakes.runs[run].die()
    qtbot.waitUntil(lambda: not lab.live())
    assert [event.kind for event in heard.events] == ["finished"]
    assert (lab.state(run).outcome, lab.state(run).message) == ("failed", "The fake died.")


def test_one_run_trains_and_the_next_one_follows(
    qtbot: QtBot, lab: Lab, fakes: FakeRuns, begun_run: Callable[..., str], model: str
) -> None:
    first = begun_run()
    second = lab.start(SftConfig(dataset="talks", model=model))
    assert (lab.live(), lab.queued()) == ([first], [second])
    fakes.runs[first].feed(Finished(outcome="done"))
    qtbot.waitUntil(lambda: lab.live() == [second] and second in fakes.runs)
    lab.stop(second)
    qtbot.waitUntil(lambda: not lab.live())
    assert lab.state(second).outcome == "stopped"


def test_a_waiting_run_can_be_cancelled(qtbot: QtBot, lab: Lab, begun_run: Callable[..., str], model: str) -> None:
    begun_run()
    second = lab.start(SftConfig(dataset="talks", model=model))
    qtbot.waitUntil(lambda: lab.project.run_row(second).outcome == "queued" and second in lab._queue.waiting())
    lab.stop(second)
    assert lab.queued() == []
    assert lab.state(second).outcome == "stopped"


def test_a_run_can_be_cancelled_while_its_data_is_copied(qtbot: QtBot, lab: Lab, fakes: FakeRuns, model: str) -> None:
    run = lab.start(SftConfig(dataset="talks", model=model))
    lab.stop(run)
    qtbot.waitUntil(lambda: lab.state(run).outcome == "stopped")
    assert fakes.begun == []


def test_data_that_cannot_be_copied_any_more_fails_the_run(qtbot: QtBot, lab: Lab, model: str) -> None:
    run = lab.start(SftConfig(dataset="talks", model=model))
    lab.project.store.delete_dataset("talks")
    qtbot.waitUntil(lambda: lab.state(run).outcome == "failed")
    assert "no data set 'talks'" in lab.state(run).message
    assert lab.project.run_row(run).outcome == "failed"


def test_so_does_a_run_that_waited_since_an_earlier_window(qtbot: QtBot, lab: Lab, fakes: FakeRuns, model: str) -> None:
    run = lab.project.reserve_run(SftConfig(dataset="talks", model=model)).run
    lab.project.store.delete_dataset("talks")
    lab.find_runs()
    qtbot.waitUntil(lambda: not lab.being_copied())
    assert lab.state(run).outcome == "failed"
    assert "no data set 'talks'" in lab.state(run).message
    assert fakes.begun == []


def test_a_copy_that_breaks_off_in_any_way_fails_the_run(
    qtbot: QtBot, lab: Lab, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def freeze(*_: object) -> bool:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(Project, "freeze", freeze)
    run = lab.start(SftConfig(dataset="talks", model=model))
    with qtbot.waitSignal(lab.run_changed, check_params_cb=lambda changed: changed == run and not lab.queued()):
        pass
    assert lab.state(run).outcome == lab.project.run_row(run).outcome == "failed"
    assert "nobody thought of this" in lab.project.run_row(run).message


@pytest.mark.parametrize(
    ("cancels", "leaves", "outcome"), [(False, True, "queued"), (True, True, "stopped"), (True, False, "stopped")]
)
def test_a_copy_of_data_ends_with_its_window_or_its_run(
    qtbot: QtBot,
    lab: Lab,
    fakes: FakeRuns,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
    cancels: bool,
    leaves: bool,
    outcome: str,
) -> None:
    """A run that was not cancelled waits for the next window."""
    begun, go_on, written = threading.Event(), threading.Event(), list[bytes]()

    def dump(record: AnyRecord) -> bytes:
        begun.set()
        go_on.wait(10)
        written.append(dump_record(record))
        return written[-1]

    monkeypatch.setattr(making, "dump_record", dump)
    run = lab.start(SftConfig(dataset="talks", model=model))
    qtbot.waitUntil(begun.is_set)
    if cancels:
        lab.stop(run)
    if leaves:
        for task in lab.findChildren(Background):
            monkeypatch.setattr(task, "wait", lambda wait=task.wait: (go_on.set(), wait()))
        lab.let_go()
    else:
        with qtbot.waitSignal(lab.run_changed):
            go_on.set()
    assert len(written) == 1
    assert (lab.project.run_row(run).outcome, fakes.begun) == (outcome, [])
    assert not (lab.project.runs_folder / run / "data.jsonl").exists()


def test_a_run_whose_data_was_not_copied_before_a_crash_is_found_again(
    qtbot: QtBot, lab: Lab, fakes: FakeRuns, model: str
) -> None:
    run = lab.project.reserve_run(SftConfig(dataset="talks", model=model)).run
    lab.find_runs()
    qtbot.waitUntil(lambda: fakes.begun == [(run, "start")])


def test_one_run_that_cannot_be_read_is_told_of_once_and_the_others_are_found(
    qtbot: QtBot, lab: Lab, fakes: FakeRuns, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, dead = (lab.project.create_run(SftConfig(dataset="talks", model=model)) for _ in range(2))
    for folder in (closed, dead):
        (folder.path / "attempt-1").touch()
        lab.project.store.set_run_state(folder.run, "running", "")
    waiting = lab.project.reserve_run(SftConfig(dataset="talks", model=model)).run
    read = log.read_lines

    def refuse(path: Path, offset: int) -> list[tuple[bytes, int]]:
        if path == closed.events_path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return read(path, offset)

    monkeypatch.setattr(log, "read_lines", refuse)
    said: list[str] = []
    lab.message.connect(said.append)
    lab.find_runs()
    assert lab.project.run_row(dead.run).outcome == "interrupted"
    qtbot.waitUntil(lambda: fakes.begun == [(waiting, "start")])
    assert len(said) == 1
    assert said[0].startswith(
        f"SFT 1 could not be looked after. {closed.events_path} cannot be read: Permission denied."
    )
    lab.find_runs()
    assert len(said) == 1


def test_a_living_run_whose_settings_are_gone_keeps_no_other_from_being_followed(
    qtbot: QtBot, lab: Lab, fakes: FakeRuns, model: str
) -> None:
    spoilt, sound = (lab.project.create_run(SftConfig(dataset="talks", model=model)) for _ in range(2))
    for folder in (spoilt, sound):
        (folder.path / "attempt-1").touch()
        folder.write_process(os.getpid(), 1)
    (spoilt.path / "config.json").write_text("{")
    with qtbot.waitSignal(lab.message) as said:
        lab.find_runs()
    assert said.args[0].startswith("SFT 1 could not be looked after.")
    assert lab.live() == [sound.run]
    qtbot.waitUntil(lambda: fakes.begun == [(sound.run, "attach")])


def test_commands_reach_the_run(qtbot: QtBot, lab: Lab, fakes: FakeRuns, begun_run: Callable[..., str]) -> None:
    run = begun_run()
    lab.pause(run)
    lab.go_on(run)
    lab.set(run, "learning_rate", 0.5)
    qtbot.waitUntil(lambda: len(fakes.runs[run].sent) == 3)
    kinds = [(type(command), command.attempt) for command in fakes.runs[run].sent]
    assert kinds == [(Pause, 1), (GoOn, 1), (Set, 1)]


def test_stopping_is_said_at_once(qtbot: QtBot, lab: Lab, fakes: FakeRuns, begun_run: Callable[..., str]) -> None:
    run = begun_run()
    with qtbot.waitSignal(lab.run_changed):
        lab.stop(run)
    assert lab.state(run).stopping
    qtbot.waitUntil(lambda: lab.state(run).outcome == "stopped")
    assert fakes.runs[run].levels == ["message"]


def test_a_run_that_cannot_begin_ends_in_words(qtbot: QtBot, project: Project, model: str) -> None:
    def begin(folder: RunFolder, how: str) -> RunSource:
        raise LabError("The trainer cannot start.")

    lab = Lab(project, begin)
    run = lab.start(SftConfig(dataset="talks", model=model))
    qtbot.waitUntil(lambda: lab.state(run).outcome == "failed")
    assert lab.state(run).message == lab.project.run_row(run).message == "The trainer cannot start."
    lab.let_go()


def test_what_cannot_start_says_why(lab: Lab, model: str) -> None:
    with pytest.raises(LabError, match="no data set 'nothing'"):
        lab.start(SftConfig(dataset="nothing", model=model))
    assert lab.live() == lab.queued() == []


def test_leaving_lets_the_run_go_on(qtbot: QtBot, lab: Lab, fakes: FakeRuns, begun_run: Callable[..., str]) -> None:
    heard = Listener(lab)
    run = begun_run()
    lab.let_go()
    assert fakes.runs[run].alive()
    assert fakes.runs[run].sent == []
    qtbot.waitUntil(lambda: not lab.live())
    assert heard.events == []


def test_a_stopped_run_resumes(qtbot: QtBot, lab: Lab, fakes: FakeRuns, begun_run: Callable[..., str]) -> None:
    run = begun_run()
    lab.stop(run)
    qtbot.waitUntil(lambda: not lab.live())
    lab.resume(run)
    qtbot.waitUntil(lambda: fakes.begun[-1] == (run, "resume"))
    with pytest.raises(LabError, match="running or waiting"):
        lab.resume(run)


def test_resuming_in_the_very_moment_of_the_end_is_not_lost(
    qtbot: QtBot, lab: Lab, fakes: FakeRuns, begun_run: Callable[..., str]
) -> None:
    run = begun_run()

    class Hasty(QObject):
        @Slot(str, list)
        def take(self, run: str, events: list[AnyEvent]) -> None:
            if isinstance(events[-1], Finished) and len(fakes.begun) == 1:
                lab.resume(run)  # the trainer thread of the first start has not ended yet

    hasty = Hasty(lab)
    lab.events_arrived.connect(hasty.take)
    fakes.runs[run].feed(Finished(outcome="stopped"))
    qtbot.waitUntil(lambda: fakes.begun[-1] == (run, "resume"))
    assert lab.live() == [run]
