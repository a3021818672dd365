"""A run's event log: appended by one writer, tailed by any number of readers to the last newline."""

import errno
import os
import stat
import time
from pathlib import Path
from typing import IO

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import AnyEvent, Event, Finished, dump_event, load_event
from rlhf_lab.core.small_files import NO_LINK
from rlhf_lab.runs import host

_CHUNK = 4 << 20
_LONGEST_LINE = 64 << 20


class LogLockedError(LabError):
    """Another process is writing this log."""


class EventLog:
    """The writer's side. Adds ``attempt``, ``seq`` and ``time`` to each event; every line is one write."""

    def __init__(self, path: Path, attempt: int) -> None:
        """Raises `LogLockedError` while another process has the log open for writing."""
        self.path, self.attempt = path, attempt
        self._file: IO[bytes] = open(_opened(path), "r+b", buffering=0)  # noqa: SIM115 - private mode, kept open
        if not host.lock(self._file):
            self._file.close()
            raise LogLockedError(f"{path.parent.name} is already running: another process writes its log.")
        last = _cut_torn_line(self._file)
        mine = last if last is not None and last.attempt == attempt else None
        self._seq = 0 if mine is None else mine.seq
        self.finished = mine if isinstance(mine, Finished) else None

    def append(self, event: Event) -> None:
        """Write the event; a line is either whole or not there, even when the disk is full."""
        stamped = event.model_copy(update={"attempt": self.attempt, "seq": self._seq + 1, "time": time.time()})
        line = dump_event(stamped) + b"\n"
        end = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)
        except OSError:
            self._file.truncate(end)
            raise
        self._seq += 1
        if isinstance(stamped, Finished):
            self.finished = stamped

    def close(self) -> None:
        """Let go of the file; the next writer may come."""
        self._file.close()

    def __enter__(self) -> "EventLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Tail:
    """The reader's side: each `read` returns what was added since, never half a line."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset

    def read(self) -> list[tuple[AnyEvent, int]]:
        """New events, each with the offset after it; at most some megabytes at once.

        Lines that are no event are passed over: the log of a crashed machine may hold some.
        """
        found: list[tuple[AnyEvent, int]] = []
        while not found and (lines := read_lines(self.path, self.offset)):
            found = [(event, offset) for line, offset in lines if (event := _parse(line)) is not None]
            self.offset = lines[-1][1]
        return found


def said_so_far(path: Path, *kinds: type[Event]) -> list[AnyEvent]:
    """All events of these kinds in the log, of every attempt."""
    tail, found = Tail(path), list[AnyEvent]()
    while batch := tail.read():
        found += [event for event, _ in batch if isinstance(event, kinds)]
    return found


def read_lines(path: Path, offset: int) -> list[tuple[bytes, int]]:
    """Whole lines from ``offset`` on, each with the offset after it; [] while the file is not there."""
    try:
        found = path.lstat()
        if found.st_size <= offset or not stat.S_ISREG(found.st_mode):
            return []
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(_CHUNK)
            if b"\n" not in data:  # one line longer than a chunk, or the unfinished last one
                data += file.readline(_LONGEST_LINE)
                if len(data) > _LONGEST_LINE and not data.endswith(b"\n"):
                    return _passed_over(file)
    except FileNotFoundError:
        return []
    lines = []
    for line in data.split(b"\n")[:-1]:
        offset += len(line) + 1
        lines.append((line, offset))
    return lines


def _passed_over(file: IO[bytes]) -> list[tuple[bytes, int]]:
    """For a line that is too long to be an event: nothing of it but where it ends."""
    while rest := file.readline(_CHUNK):
        if rest.endswith(b"\n"):
            return [(b"", file.tell())]
    return []


def end_attempt(path: Path, attempt: int, end: Finished) -> Finished | None:
    """Write the end of an attempt that died before it could, and return the end that now stands there.

    Several followers may call it at once: the log's lock lets one of them write, the others get None
    and try again.
    """
    try:
        with EventLog(path, attempt) as log:
            if log.finished is None:
                log.append(end)
            return log.finished
    except LogLockedError:
        return None


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | NO_LINK, 0o600)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise LabError(f"{path} is a link to another file, which no log of a run is. Start a new run.") from None


def _parse(line: bytes) -> AnyEvent | None:
    try:
        return load_event(line)
    except ValueError:
        return None


def _cut_torn_line(file: IO[bytes]) -> AnyEvent | None:
    """Remove what follows the last newline (no reader has seen it); the last event before it, if any."""
    size = file.seek(0, os.SEEK_END)
    block = 1 << 16
    while True:
        start = max(0, size - block)
        file.seek(start)
        data = file.read(size - start)
        whole = data[: data.rfind(b"\n") + 1]
        # The first line of a block is cut off, unless the block begins the file.
        lines = whole.split(b"\n")[0 if start == 0 else 1 : -1]
        last = next((event for line in reversed(lines) if (event := _parse(line)) is not None), None)
        if last is not None or start == 0:
            file.truncate(start + len(whole))
            return last
        block *= 4
