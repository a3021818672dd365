"""The client of the inference child: ask, cancel, stream. Starts the child when it is first needed. No Qt."""

import contextlib
import itertools
import os
import queue
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Prompt
from rlhf_lab.runs import host
from rlhf_lab.runs.ask import REPLY, Answer, Cancel, Done, Failed, Generate, ModelSpec, Reply, Request, Score, Unload

ENTRY = (*host.PYTHON, "rlhf_lab.runs.worker")
_LOOK_S = 0.1


class Inference:
    """One persistent child. Every request ends with exactly one `Done` or `Failed`, even if the child dies.

    ``on_reply`` is called in a thread of this object: a window passes the reply on by a queued signal.
    Without it, replies wait for `wait_for`. Ask from one thread.
    """

    def __init__(
        self,
        models_folder: Path,
        on_reply: Callable[[Reply], object] | None = None,
        *,
        entry: Sequence[str] = ENTRY,
    ) -> None:
        self._models_folder = models_folder
        self._entry = tuple(entry)
        self._replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self._on_reply = on_reply or self._replies.put
        self._ids = itertools.count(1)
        self._open: set[int] = set()
        self._lock = threading.Lock()
        self._closing = False
        self._child: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def generate(self, model: ModelSpec, prompts: Sequence[Prompt], **wishes: Any) -> int:
        """Ask for an answer to each prompt; ``wishes`` are fields of `rlhf_lab.runs.ask.Generate`. Never waits."""
        return self._ask(Generate(id=next(self._ids), model=model, prompts=tuple(prompts), **wishes))

    def score(self, reward: ModelSpec, prompts: Sequence[Prompt], texts: Sequence[str]) -> int:
        """Ask for a reward model's score of each ready-made answer. Never waits."""
        return self._ask(Score(id=next(self._ids), reward=reward, prompts=tuple(prompts), texts=tuple(texts)))

    def cancel(self, request: int) -> None:
        """End a request early."""
        if request in self._open:
            self._send(Cancel(id=request))

    def unload(self) -> None:
        """Free the memory of all models, if there is a child at all; they are loaded again on demand."""
        if self._living():
            self._ask(Unload(id=next(self._ids)))

    def wait_for(
        self,
        request: int,
        on_reply: Callable[[Reply], object] = lambda reply: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[Answer]:
        """Wait for a request's answers, in the order of its prompts; raises `LabError` when it failed.

        ``on_reply`` hears its tokens and answers as they come. A cancelled request has the answers so far. ``cancelled``
        is asked now and then, also while the child says nothing, as where it loads a large model; the request is not
        waited for any longer then.
        """
        answers: list[Answer] = []
        while True:
            if cancelled():
                self.cancel(request)
                return sorted(answers, key=lambda answer: answer.index)
            try:
                reply = self._replies.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            if reply.id != request:
                continue
            on_reply(reply)
            match reply:
                case Answer():
                    answers.append(reply)
                case Failed():
                    raise LabError(reply.message)
                case Done():
                    return sorted(answers, key=lambda answer: answer.index)

    def close(self) -> None:
        """End the child; what was asked of it gets no reply any more."""
        self._closing = True
        if self._child is not None and self._child.stdin is not None:
            self._child.kill()  # it holds nothing that could be lost
            self._child.wait()
            self._child.stdin.close()
        if self._reader is not None:
            self._reader.join()
        self._child = self._reader = None
        self._closing = False

    def __enter__(self) -> "Inference":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, request: Generate | Score | Unload) -> int:
        if not self._living():
            if self._reader is not None:
                self._reader.join()  # its last words come before the next child's
            self.close()
            self._start()
        with self._lock:
            self._open.add(request.id)
        self._send(request)
        if self._reader is not None and not self._reader.is_alive():  # it ended before it knew of this request
            self._fail_open()
        return request.id

    def _send(self, request: Request) -> None:
        assert self._child is not None
        assert self._child.stdin is not None
        with contextlib.suppress(OSError):  # it has just died: that is said to everybody who waits
            self._child.stdin.write(request.model_dump_json().encode() + b"\n")
            self._child.stdin.flush()

    def _living(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def _start(self) -> None:
        log = os.open(self._models_folder / "inference.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            self._child = subprocess.Popen(
                [*self._entry, str(self._models_folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=host.child_environment(),
                **host.detached(),
            )
        finally:
            os.close(log)
        self._reader = threading.Thread(target=self._read, args=(self._child,), name="inference", daemon=True)
        self._reader.start()

    def _read(self, child: "subprocess.Popen[bytes]") -> None:
        assert child.stdout is not None
        with child.stdout as lines:
            for line in lines:
                try:
                    self._take(REPLY.validate_json(line))
                except ValidationError:
                    continue
        self._fail_open()

    def _fail_open(self) -> None:
        with self._lock:
            unanswered = [] if self._closing else sorted(self._open)
            self._open.clear()
        for request in unanswered:
            words = "The inference process ended unexpectedly, perhaps for want of memory. Ask again, or choose a smaller model."
            self._take(Failed(id=request, message=words))

    def _take(self, reply: Reply) -> None:
        if isinstance(reply, Done | Failed):
            with self._lock:
                self._open.discard(reply.id)
        self._on_reply(reply)
