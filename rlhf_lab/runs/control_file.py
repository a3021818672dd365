"""Control by file: commands are lines of ``control.jsonl``; the running stage polls, its heart beats."""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from rlhf_lab.core.control import COMMAND, Command, GoOn, Pause, Set, Step, Stop, StopRequested
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Event, Paused
from rlhf_lab.core.small_files import NO_LINK
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.log import read_lines

HELD = "waiting: "
"""How the heartbeat begins while the run waits for a person to do something; the reason follows."""

_LOOK_EVERY_S = 0.1
_HELD_LOOK_S = 0.5
_HEART_BYTES = 600


def send_command(folder: RunFolder, command: Command) -> None:
    """Add the command to the run's control file; from any process or thread."""
    line = command.model_dump_json().encode() + b"\n"
    file = os.open(folder.control_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | NO_LINK, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)


class FileControl:
    """The child's `Control`: beats the heart, obeys the commands of its own attempt alone."""

    def __init__(self, folder: RunFolder, attempt: int, say: Callable[[Event], None]) -> None:
        self._folder, self._attempt, self._say = folder, attempt, say
        self._offset = 0
        self._next_look = 0.0
        self._paused = False
        self._stop = False  # a plain flag: a signal handler may not take locks
        self._one_step = False
        self._changes: dict[str, float] = {}
        self._doing, self._held = "", False
        self._heart = _opened(folder.heartbeat_path)
        self.beat("starting")

    def beat(self, doing: str) -> None:
        """Say what is being done now; for whoever looks at a step that takes long."""
        self._doing, self._held = doing, False
        self._show(doing)

    def stop(self) -> None:
        """Ask for the stop from inside: a signal handler's way."""
        self._stop = True

    @property
    def stop_requested(self) -> bool:
        """Whether the next `tick` raises."""
        return self._stop

    def held(self, why: str) -> bool:
        """See `rlhf_lab.core.control.Control.held`."""
        self._held = True
        self._show(HELD + why)
        self.wait(_HELD_LOOK_S)
        return not self._stop

    def released(self) -> None:
        """It is held no longer."""
        if self._held:
            self.beat(self._doing)

    def wait(self, seconds: float) -> None:
        """Wait, a tenth of a second or so at once, while the heart goes on beating."""
        time.sleep(seconds)
        self._look()

    def close(self) -> None:
        """Let go of the heartbeat file."""
        os.close(self._heart)

    def tick(self) -> None:
        """See `rlhf_lab.core.control.Control.tick`."""
        self.released()
        if time.monotonic() >= self._next_look:
            self._look()
        if self._paused and not self._stop:
            self._wait()
        if self._stop:
            raise StopRequested

    def changes(self) -> dict[str, float]:
        """See `rlhf_lab.core.control.Control.changes`."""
        self._look()
        if self._one_step and not self._stop:  # who stops takes the changes along and does not wait
            self._one_step = False
            self._paused = True
            self.tick()
        changes, self._changes = self._changes, {}
        return changes

    def _show(self, words: str) -> None:
        # Always the same bytes of the same file: that works on a full disk, too, wherever it is not a copy on write.
        with contextlib.suppress(OSError):
            os.lseek(self._heart, 0, os.SEEK_SET)
            os.write(self._heart, words.encode()[:_HEART_BYTES].ljust(_HEART_BYTES))

    def _look(self) -> None:
        try:
            os.utime(self._folder.heartbeat_path)
        except FileNotFoundError:  # to go on would make the folder anew, without what was in it
            raise LabError(self._folder.gone()) from None
        for line, offset in read_lines(self._folder.control_path, self._offset):
            self._offset = offset
            try:
                command = COMMAND.validate_json(line)
            except ValidationError:
                continue
            if command.attempt == self._attempt:
                self._obey(command)
        self._next_look = time.monotonic() + _LOOK_EVERY_S

    def _obey(self, command: Command) -> None:
        match command:
            case Pause():
                self._paused = True
            case GoOn():
                self._paused = self._one_step = False
            case Step():  # waits again where the next step would begin
                self._paused, self._one_step = False, True
            case Stop():
                self._stop = True
            case Set():
                self._changes[command.field] = command.value

    def _wait(self) -> None:
        self._say(Paused(paused=True))
        while self._paused and not self._stop:
            self.wait(_LOOK_EVERY_S)
        self._paused = False
        self._say(Paused(paused=False))


def _opened(path: Path) -> int:
    """For reading and writing, since a pipe would wait for the other; raises `LabError` where it is no plain file."""
    try:
        heart = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINK, 0o600)
        if stat.S_ISREG(os.fstat(heart).st_mode):
            return heart
        os.close(heart)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR):
            raise
    raise LabError(f"{path} is a link, a pipe or a folder, which no heartbeat of a run is. Start a new run.")
