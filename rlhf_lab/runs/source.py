"""Where a run's events come from: `RunSource`, and the child process behind it in the usual case."""

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from typing import Protocol

import psutil

from rlhf_lab.core.control import Command
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import AnyEvent, Finished
from rlhf_lab.core.room import cannot_write
from rlhf_lab.core.small_files import NO_LINK, read_bytes
from rlhf_lab.runs import host
from rlhf_lab.runs.control_file import send_command
from rlhf_lab.runs.folder import Process, RunFolder
from rlhf_lab.runs.log import Tail, end_attempt
from rlhf_lab.runs.memory import less_memory
from rlhf_lab.runs.warm import Standby

ENTRY = (*host.PYTHON, "rlhf_lab.runs.child")

_HEART_BYTES = 4096
_LEAST_FREE = 4 << 20
_children: dict[int, subprocess.Popen[bytes]] = {}
"""Children of this process, by pid: only here is their exit status had, even after a detach."""


class RunSource(Protocol):
    """One attempt of a run, seen from the follower. `send` may come from any thread, the rest from one."""

    run: str
    attempt: int

    def seek(self, offset: int) -> None:
        """Let `poll` begin at this offset of the log."""

    def poll(self) -> list[tuple[AnyEvent, int]]:
        """What was said since the last call, each with the offset after it; never waits for more."""

    def send(self, command: Callable[..., Command], **fields: object) -> None:
        """Send a command to this attempt: ``send(Pause)``, ``send(Set, field="kl_coef", value=0.1)``."""

    def alive(self) -> bool:
        """Whether more can be said."""

    def beat(self) -> float | None:
        """A number that changes while work goes on; None before the first beat."""

    def doing(self) -> str:
        """What it works on, in words; "" when unknown."""

    def ask_to_end(self) -> None:
        """The second level of a stop: SIGTERM where there is one. Notes the process tree."""

    def kill(self) -> None:
        """The third level: every process of the tree, as noted before and as found now."""

    def exit_words(self) -> str:
        """Why it is dead, as far as can be known."""

    def end(self, finished: Finished) -> Finished | None:
        """Write the end of an attempt that died without one; the end that stands, None when it has to be tried again."""

    def close(self) -> None:
        """Call once after the end: waits for the process to be gone."""


class ProcessRun:
    """A run in a child process that does not die with this one."""

    def __init__(self, folder: RunFolder, *, entry: Sequence[str] = ENTRY, standby: Standby | None = None) -> None:
        self.run = folder.run
        self.attempt = folder.attempt()
        self.folder = folder
        self._entry, self._standby = tuple(entry), standby
        self._tail = Tail(folder.events_path)
        self._process: Process | None = None
        self._tree: set[psutil.Process] = set()

    def start(self, resume: bool = False) -> None:
        """Begin a new attempt; raises `LabError` when the run lives already."""
        self._make_sure_of_room()
        try:
            self.attempt = self.folder.claim_attempt()
        except OSError as error:
            raise LabError(self._no_start(error)) from None
        arguments = [str(self.folder.path), "--attempt", str(self.attempt), *(["--resume"] if resume else [])]
        child = self._standby.adopt(arguments) if self._standby is not None else None
        if child is None:
            child = self._spawn(arguments)
        _children[child.pid] = child
        try:
            with contextlib.suppress(psutil.NoSuchProcess):  # dead already: `alive` will say so
                self.folder.write_process(child.pid, self.attempt)
        except OSError as error:  # nobody could find it again
            child.kill()
            _children.pop(child.pid).wait()
            raise LabError(self._no_start(error)) from None
        self._process = self.folder.process()

    def attach(self) -> None:
        """Follow the latest attempt, which another process may have started."""
        self.attempt = self.folder.attempt()
        self._process = self.folder.process()
        if self._process is None or self._process.attempt != self.attempt:
            raise LabError(f"{self.folder.title} has no process to follow; resume it.")

    def seek(self, offset: int) -> None:
        """See `RunSource`."""
        self._tail.offset = offset

    def poll(self) -> list[tuple[AnyEvent, int]]:
        """See `RunSource`."""
        return self._tail.read()

    def send(self, command: Callable[..., Command], **fields: object) -> None:
        """See `RunSource`."""
        send_command(self.folder, command(attempt=self.attempt, **fields))

    def alive(self) -> bool:
        """See `RunSource`."""
        if self._process is None:
            return False
        child = _children.get(self._process.pid)
        return child.poll() is None if child is not None else self._process.alive()

    def beat(self) -> float | None:
        """The heartbeat file's time; only its changes mean something."""
        try:
            return self.folder.heartbeat_path.stat().st_mtime
        except FileNotFoundError:
            return None

    def doing(self) -> str:
        """See `RunSource`."""
        try:
            return read_bytes(self.folder.heartbeat_path, _HEART_BYTES, linked=False).decode(errors="replace").strip()
        except OSError:
            return ""

    def ask_to_end(self) -> None:
        """See `RunSource`."""
        self._note_tree()
        if host.can_ask_to_end():
            for process in self._root():
                process.terminate()

    def kill(self) -> None:
        """See `RunSource`."""
        self._note_tree()
        for process in self._tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(self._tree, timeout=5)

    def exit_words(self) -> str:
        """See `RunSource`."""
        if not self.folder.path.is_dir():
            return self.folder.gone()
        child = _children.get(self._process.pid) if self._process is not None else None
        status = child.poll() if child is not None else None
        # The process is gone, so what is free now is about what it had.
        return host.end_in_words(status, less_memory(self.folder, psutil.virtual_memory().available))

    def end(self, finished: Finished) -> Finished | None:
        """See `RunSource`."""
        return end_attempt(self.folder.events_path, self.attempt, finished)

    def close(self) -> None:
        """See `RunSource`."""
        child = _children.pop(self._process.pid, None) if self._process is not None else None
        if child is None:
            return
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:  # its last word is said: what still runs is a leftover
            self.kill()
            child.wait()

    def _make_sure_of_room(self) -> None:
        """A trainer that cannot even write its heartbeat could not say that it waits for room."""
        try:
            free = shutil.disk_usage(self.folder.path).free
        except OSError as error:
            raise LabError(self._no_start(error)) from None
        if free < _LEAST_FREE:
            raise LabError(self._no_start(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))

    def _no_start(self, error: OSError) -> str:
        why = cannot_write(error, self.folder.path, _LEAST_FREE) or f"{error.strerror or error}: {self.folder.path}."
        return f"{self.folder.title} cannot be started. {why}"

    def _spawn(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        log = os.open(self.folder.child_log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | NO_LINK, 0o600)
        try:
            return subprocess.Popen(
                [*self._entry, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=host.child_environment(),
                **host.detached(),
            )
        finally:
            os.close(log)

    def _root(self) -> list[psutil.Process]:
        if self._process is None or not self._process.alive():
            return []
        return [psutil.Process(self._process.pid)]

    def _note_tree(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for root in self._root():
                self._tree |= {root, *root.children(recursive=True)}
