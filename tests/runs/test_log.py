"""The event log: whole lines or none, one writer, readers that never see half a line."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rlhf_lab.core.events import Finished, Metrics, Phase, Progress
from rlhf_lab.runs.log import EventLog, LogLockedError, Tail, end_attempt


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_events_are_stamped_and_read_back(path: Path) -> None:
    before = time.time()
    with EventLog(path, 3) as log:
        log.append(Phase(name="loading"))
        log.append(Metrics(step=1, values={"train/loss": float("nan")}))
    (first, middle), (second, end) = Tail(path).read()
    assert (first.attempt, first.seq, second.seq) == (3, 1, 2)
    assert before <= first.time <= second.time
    assert str(second.values["train/loss"]) == "nan"
    assert 0 < middle < end == path.stat().st_size
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_reader_waits_for_the_end_of_a_line(path: Path) -> None:
    with EventLog(path, 1) as log:
        log.append(Phase(name="one"))
        log.append(Phase(name="two"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:20])
    tail = Tail(path)
    assert [e.name for e, _ in tail.read()] == ["one"]
    assert tail.read() == []
    path.write_bytes(b"".join(lines))
    assert [e.name for e, _ in tail.read()] == ["two"]


def test_no_log_yet_is_nothing_new(path: Path) -> None:
    assert Tail(path).read() == []


def test_lines_that_are_no_events_are_passed_over(path: Path) -> None:
    with EventLog(path, 1) as log:
        log.append(Phase(name="one"))
    with path.open("ab") as file:
        file.write(b'\x00\x00\xff\n{"kind": "from the future", "step": 1}\nnull\n{"kind": "phase"}\n')
    with EventLog(path, 1) as log:
        log.append(Phase(name="two"))
    tail = Tail(path)
    assert [e.name for e, _ in tail.read()] == ["one", "two"]
    assert tail.offset == path.stat().st_size


def test_a_torn_line_is_cut_off_before_more_is_written(path: Path) -> None:
    with EventLog(path, 1) as log:
        log.append(Phase(name="one"))
        whole = path.stat().st_size
        log.append(Phase(name="torn"))
    with path.open("r+b") as file:
        file.truncate(whole + 10)
    with EventLog(path, 1) as log:
        log.append(Phase(name="two"))
    assert [(e.name, e.seq) for e, _ in Tail(path).read()] == [("one", 1), ("two", 2)]


def test_the_last_event_is_found_behind_long_lines(path: Path) -> None:
    with EventLog(path, 1) as log:
        log.append(Phase(name="one"))
        log.append(Phase(name="x" * 300_000))
    with EventLog(path, 1) as log:
        log.append(Phase(name="two"))
    assert [e.seq for e, _ in Tail(path).read()] == [1, 2, 3]


def test_a_new_attempt_counts_anew(path: Path) -> None:
    for attempt in (1, 2):
        with EventLog(path, attempt) as log:
            log.append(Phase(name="loading"))
            log.append(Progress(done=1, total=2))
    assert [(e.attempt, e.seq) for e, _ in Tail(path).read()] == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_one_writer_at_a_time(path: Path) -> None:
    with EventLog(path, 1), pytest.raises(LogLockedError):
        EventLog(path, 2)


def test_an_attempt_ends_once(path: Path) -> None:
    with EventLog(path, 1) as log:
        log.append(Phase(name="loading"))
        assert end_attempt(path, 1, Finished(outcome="failed", message="locked")) is None
    first = end_attempt(path, 1, Finished(outcome="failed", message="it died"))
    second = end_attempt(path, 1, Finished(outcome="failed", message="it died again"))
    assert first == second
    assert [e for e, _ in Tail(path).read() if isinstance(e, Finished)] == [first]


def test_a_full_disk_leaves_no_half_line(path: Path) -> None:
    with EventLog(path, 1) as log:
        log.append(Phase(name="one"))
        size = path.stat().st_size
        with files_of_at_most(size + 20), pytest.raises(OSError, match=r"File too large|No space left"):
            log.append(Phase(name="two"))
        assert path.stat().st_size == size
        log.append(Phase(name="three"))
    assert [(e.name, e.seq) for e, _ in Tail(path).read()] == [("one", 1), ("three", 2)]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
