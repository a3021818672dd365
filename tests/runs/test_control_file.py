"""Commands that reach a stage through a file, and the heartbeat that leaves it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rlhf_lab.core.control import GoOn, Pause, Set, Step, Stop, StopRequested
from rlhf_lab.core.events import Event, Paused
from rlhf_lab.runs.control_file import FileControl, send_command
from rlhf_lab.runs.folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.fixture
def control(folder: RunFolder) -> Iterator[FileControl]:
    made = FileControl(folder, 2, lambda event: None)
    yield made
    made.close()


def stops(control: FileControl) -> bool:
    control.changes()  # looks at the file at once, where `tick` looks ten times a second
    try:
        control.tick()
    except StopRequested:
        return True
    return False


def test_nothing_asked_for(control: FileControl) -> None:
    assert not stops(control)
    assert control.changes() == {}


def test_stop(folder: RunFolder, control: FileControl) -> None:
    send_command(folder, Stop(attempt=2))
    assert stops(control)


def test_commands_of_other_attempts_are_not_meant(folder: RunFolder, control: FileControl) -> None:
    send_command(folder, Stop(attempt=1))
    send_command(folder, Pause(attempt=1))
    send_command(folder, Set(attempt=3, field="kl_coef", value=1.0))
    assert not stops(control)
    assert control.changes() == {}


def test_the_newest_change_counts_and_is_told_once(folder: RunFolder, control: FileControl) -> None:
    send_command(folder, Set(attempt=2, field="kl_coef", value=1.0))
    send_command(folder, Set(attempt=2, field="kl_coef", value=2.0))
    assert control.changes() == {"kl_coef": 2.0}
    assert control.changes() == {}


def test_damaged_lines_are_passed_over(folder: RunFolder, control: FileControl) -> None:
    folder.control_path.write_bytes(b'\xff\n{"kind": "stop"}\n{"kind": "set", "attempt": 2, "field": "seed"}\n')
    assert not stops(control)
    send_command(folder, Stop(attempt=2))
    assert stops(control)


@pytest.mark.parametrize(("command", "stopped"), [(GoOn, False), (Stop, True)])
def test_a_pause_waits_for_the_next_command(folder: RunFolder, command: Callable[..., GoOn], stopped: bool) -> None:
    said: list[bool] = []

    def say(event: Event) -> None:
        assert isinstance(event, Paused)
        said.append(event.paused)
        if event.paused:
            send_command(folder, command(attempt=2))

    control = FileControl(folder, 2, say)
    send_command(folder, Pause(attempt=2))
    assert stops(control) == stopped
    assert said == [True, False]
    control.close()


def test_one_step_at_a_time_waits_before_the_next(folder: RunFolder) -> None:
    said: list[bool] = []
    answers = iter([Step, GoOn])

    def say(event: Event) -> None:
        assert isinstance(event, Paused)
        said.append(event.paused)
        if event.paused:
            send_command(folder, next(answers)(attempt=2))

    control = FileControl(folder, 2, say)
    send_command(folder, Step(attempt=2))
    control.changes()  # looks, waits, is told to do another
    assert said == [True, False]
    control.tick()  # the step itself is not held up
    assert said == [True, False]
    control.changes()  # waits again, is told to go on
    control.changes()
    assert said == [True, False, True, False]
    control.close()


def test_who_stops_gets_the_changes_and_waits_for_no_step(folder: RunFolder, control: FileControl) -> None:
    for command in (Step(attempt=2), Set(attempt=2, field="kl_coef", value=0.7), Stop(attempt=2)):
        send_command(folder, command)
    assert control.changes() == {"kl_coef": 0.7}
    with pytest.raises(StopRequested):
        control.tick()


def test_the_heart_beats_with_the_work(folder: RunFolder, control: FileControl) -> None:
    control.beat("step 3 of 9")
    assert folder.heartbeat_path.read_text().strip() == "step 3 of 9"
    before = folder.heartbeat_path.stat().st_mtime_ns
    control.changes()
    assert folder.heartbeat_path.stat().st_mtime_ns > before
    control.beat("done")
    assert folder.heartbeat_path.read_text().strip() == "done"
