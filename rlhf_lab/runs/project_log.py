"""The project's log: ``lab.log`` in its folder, for the window and every command; secrets never get into it.

Each line is one write at the end of the file, so that several processes can share it. At a megabyte it is put
aside, and the two before it are kept.
"""

import logging
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rlhf_lab.core.redact import without_secrets
from rlhf_lab.runs import host

FILE = "lab.log"
MOST_BYTES = 1 << 20
OLD_FILES = 2
CRASHES = "crashes.log"
"""Where Python's fault handler writes when a library takes the window's process with it."""

_LOGGER = logging.getLogger("rlhf_lab")
_TAIL_BYTES = 64 << 10
_SOURCES = Path(__file__).parents[2]


class ProjectLog(logging.Handler):
    """Writes the lab's log records; a disk that is full or read-only loses lines, never the work."""

    def __init__(self, folder: Path) -> None:
        super().__init__(logging.INFO)
        self.path = folder / FILE
        self.setFormatter(_Lines())

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        try:
            line = without_secrets(self.format(record)).encode(errors="replace") + b"\n"
            with suppress(FileNotFoundError):  # there is none yet, or another process has just put it aside
                self._rotate(len(line))
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(file, line)
            finally:
                os.close(file)
        except OSError:
            pass

    def _rotate(self, more: int) -> None:
        """Put a full file aside; of several processes that find it full, one does."""
        with self.path.open("rb") as file:
            full = os.fstat(file.fileno()).st_size + more > MOST_BYTES
            if not full or not host.lock(file) or not os.path.samestat(os.fstat(file.fileno()), self.path.stat()):
                return
            if not host.WINDOWS:  # there, an open file cannot be renamed
                self._put_aside()
        if host.WINDOWS:
            self._put_aside()

    def _put_aside(self) -> None:
        for number in range(OLD_FILES, 1, -1):
            with suppress(FileNotFoundError):
                self.path.with_name(f"{FILE}.{number - 1}").replace(self.path.with_name(f"{FILE}.{number}"))
        self.path.replace(self.path.with_name(f"{FILE}.1"))


class _Lines(logging.Formatter):
    """One line a record, the lines of a text or a traceback indented below it; times are UTC."""

    converter = time.gmtime  # type: ignore[assignment] # as its documentation says

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(process)d %(message)s", "%Y-%m-%dT%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        return super().format(record).replace("\n", "\n    ")

    def formatException(self, ei: Any) -> str:
        """See `logging.Formatter.formatException`."""
        return frames(ei[1])


def frames(error: BaseException) -> str:
    """Where an exception came from, short: a line a frame with the file inside its package, then what it says."""
    lines = [
        f"{_short(frame.filename)}:{frame.lineno} {frame.name}: {frame.line}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines.append("".join(traceback.format_exception_only(error)).strip())
    return "\n".join(lines if before is None else [frames(before), "which led to", *lines])


def _short(file: str) -> str:
    path = Path(file)
    if path.is_relative_to(_SOURCES):
        return path.relative_to(_SOURCES).as_posix()
    if "site-packages" in path.parts:
        return "/".join(path.parts[path.parts.index("site-packages") + 1 :])
    return path.name


@contextmanager
def logging_to(folder: Path) -> Iterator[ProjectLog]:
    """While it lasts, the lab's log records of this process go into the project's log."""
    handler = open_log(folder)
    try:
        yield handler
    finally:
        close_log(handler)


def open_log(folder: Path) -> ProjectLog:
    """Begin to log into the project's folder; end it with `close_log`."""
    handler = ProjectLog(folder)
    if _LOGGER.level == logging.NOTSET:
        _LOGGER.setLevel(logging.INFO)
    _LOGGER.addHandler(handler)
    return handler


def close_log(handler: ProjectLog) -> None:
    """Log no more."""
    _LOGGER.removeHandler(handler)
    handler.close()


def last_lines(folder: Path, most: int) -> list[str]:
    """The newest lines of the project's log, the one before included where this one is short."""
    lines: list[str] = []
    for name in (FILE, f"{FILE}.1"):
        if len(lines) < most:
            lines = tail_of(folder / name, most - len(lines)) + lines
    return lines


def tail_of(path: Path, most: int) -> list[str]:
    """The last lines of a text file; [] where it cannot be read."""
    try:
        with path.open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES)
            file.seek(start)
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[1 if start else 0 :][-most:]
