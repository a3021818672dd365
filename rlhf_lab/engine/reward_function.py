"""A person's Python function as a source of rewards: in a process of its own, with a time limit.

It was approved before the run began (see `rlhf_lab.runs.approval`). Whatever it does wrong ends the run with a
sentence that names the line of its file. What it prints goes to the run's log, up to a limit.
"""

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil
import torch
from torch import Tensor

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Prompt
from rlhf_lab.engine import chat
from rlhf_lab.engine.scoring import Episodes

LOAD_SECONDS = 60.0
"""For what the file imports."""
_CHILD = Path(__file__).with_name("reward_function_child.py")
_LOOK_S = 0.1
_GRACE_S = 5.0
"""The process ends itself at its limit and says where it was; it is killed when it has not by then."""
_MOST_PRINTED = 1 << 16
_MOST_REPLY = 1 << 26


class FunctionFailedError(Exception):
    """What the function did wrong, and in which line of its source, where that is known."""

    def __init__(self, what: str, line: int | None) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


class FunctionProcess:
    """A process that holds one function ``reward(prompts, answers, tags)``. It ends with this object at the latest."""

    def __init__(self, source: str, name: str, seconds: float) -> None:
        self._name = name
        self._seconds = seconds
        self._line: int | None = None
        self._ready = False
        place = tempfile.mkdtemp(prefix="rlhf-lab-")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-u", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=place,  # not the run's folder, where a careless write could do harm
            start_new_session=True,
        )
        self._replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        for work, stream in ((_read, self._process.stdout), (_log, self._process.stderr)):
            threading.Thread(target=work, args=(stream, self._replies), name="reward function", daemon=True).start()
        self._end = weakref.finalize(self, _end, self._process, place)
        self._send({"source": source, "name": name, "seconds": seconds, "load_seconds": LOAD_SECONDS})

    def load(self, tick: Callable[[], None]) -> None:
        """Wait until the file has been run and its function found; raises `FunctionFailedError`."""
        if self._ready:
            return
        try:
            self._line = self._reply("to load", LOAD_SECONDS, tick)["line"]
        except BaseException:
            self.close()
            raise
        self._ready = True

    def __call__(
        self,
        prompts: Sequence[str],
        answers: Sequence[str],
        tags: Sequence[dict[str, Any]],
        tick: Callable[[], None],
    ) -> list[float]:
        """A finite number for each answer; raises `FunctionFailedError`. Whatever is raised here ends the process."""
        self.load(tick)
        try:
            self._send({"prompts": list(prompts), "answers": list(answers), "tags": list(tags)})
            scores: list[float] = self._reply(f"for {len(answers)} answers", self._seconds, tick)["scores"]
        except BaseException:
            self.close()
            raise
        return scores

    def close(self) -> None:
        """End the process and every process that it started."""
        self._end()

    def _send(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended: whoever waits for its reply is told why
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def _reply(self, what_for: str, seconds: float, tick: Callable[[], None]) -> dict[str, Any]:
        line = self._next_line(seconds + _GRACE_S, tick)
        if line is None or line.startswith(b"Timeout"):
            where = self._where(tick) if line else self._line
            raise FunctionFailedError(f"it took longer than {seconds:g} s {what_for}", where)
        if line == b"":
            raise FunctionFailedError(_end_in_words(self._process), self._line)
        if not line.startswith(b"{"):
            raise FunctionFailedError(f"it crashed: {line.decode(errors='replace').strip()}", self._where(tick))
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise FunctionFailedError(found["error"], found["line"] or self._line)
        return found

    def _where(self, tick: Callable[[], None]) -> int | None:
        """The innermost line of the file in what Python's fault handler says last, else that of the function."""
        mark = f'  File "{self._name}", line '.encode("ascii", "backslashreplace")
        while line := self._next_line(_GRACE_S, tick):
            if line.startswith(mark):
                return int(line.removeprefix(mark).split(b" ")[0])
        return self._line

    def _next_line(self, seconds: float, tick: Callable[[], None]) -> bytes | None:
        """The next line of the pipe, b"" at its end, or None. Time spent in ``tick``, as while paused, does not count."""
        left = seconds
        while left > 0:
            since = time.monotonic()
            try:
                return self._replies.get(timeout=min(left, _LOOK_S))
            except queue.Empty:
                left -= time.monotonic() - since
            tick()
        return None


@dataclass(frozen=True)
class RewardFunction:
    """Scores answers by a person's function; ``path`` is where they wrote it."""

    process: FunctionProcess
    tokenizer: Any
    path: str
    source: str

    def __call__(self, episodes: Episodes, tick: Callable[[], None]) -> Tensor:
        """[B]"""
        with self._failing_in_words():
            return torch.tensor(self.process(*as_texts(self.tokenizer, episodes), tick))

    def load(self, tick: Callable[[], None]) -> None:
        """Wait until it is ready, so that a file that cannot be run ends the run before anything is sampled."""
        with self._failing_in_words():
            self.process.load(tick)

    @contextlib.contextmanager
    def _failing_in_words(self) -> Iterator[None]:
        try:
            yield
        except FunctionFailedError as failed:
            where = f", line {failed.line} ({self._code(failed.line)})" if failed.line else ""
            raise LabError(
                f"The reward function {self.path}{where}: {failed.what}. "
                "Correct the file, approve it and start a new run."
            ) from None

    def _code(self, line: int) -> str:
        lines = self.source.splitlines()
        return lines[line - 1].strip()[:100] if line <= len(lines) else "…"


def start_reward_function(copy: Path, path: str, seconds: float, tokenizer: Any) -> RewardFunction:
    """Start the process of the run's own ``copy``; errors name ``path``, the person's file."""
    try:
        source = copy.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise LabError(f"The run's copy of the reward function, {copy}, cannot be read: {error.strerror}.") from None
    return RewardFunction(FunctionProcess(source, path, seconds), tokenizer, path, source)


def as_texts(tokenizer: Any, episodes: Episodes) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """Prompts, answers and what is known of each prompt, as a function sees them."""
    prompts: Sequence[Prompt] = episodes.asked.prompts
    return (
        [prompt.text for prompt in prompts],
        [chat.decode(tokenizer, answer) for answer in episodes.answer_ids],
        [dict(prompt.tags) for prompt in prompts],
    )


def _read(stream: IO[bytes], lines: "queue.SimpleQueue[bytes]") -> None:
    with stream:
        while line := stream.readline(_MOST_REPLY):
            lines.put(line)
    lines.put(b"")


def _log(stream: IO[bytes], _: object) -> None:
    """What the function prints is read to its end, so that it never waits; the beginning is kept."""
    left = _MOST_PRINTED
    with stream:
        while block := stream.read1(_MOST_PRINTED):  # type: ignore[attr-defined] # a pipe's reader has it
            if left > 0:
                sys.stderr.write(block[:left].decode(errors="replace"))
            left -= len(block)


def _end(process: "subprocess.Popen[bytes]", place: str) -> None:
    _kill_tree(process)
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # what was not written yet is wanted by nobody
        process.stdin.close()
    shutil.rmtree(place, ignore_errors=True)


def _kill_tree(process: "subprocess.Popen[bytes]") -> None:
    """Stopped first, so that it starts nothing more while its children are looked for."""
    if process.returncode is not None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(process.pid)
        top.suspend()
        for child in top.children(recursive=True):
            child.kill()
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # those whose parent has gone are still of its group
    process.kill()
    process.wait()


def _end_in_words(process: "subprocess.Popen[bytes]") -> str:
    """Why the pipe ended; the exit status stands by then, and what is left of the process goes."""
    _kill_tree(process)
    if process.returncode < 0:
        return f"its process was ended by signal {-process.returncode}, perhaps for want of memory"
    return f"it ended its process (exit status {process.returncode})"
