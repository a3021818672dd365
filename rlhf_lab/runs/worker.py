"""The inference process: ``python -m rlhf_lab.runs.worker MODELS_FOLDER``; see `rlhf_lab.runs.ask`.

Requests are met one after the other; a thread reads ahead, so that a cancel is heard in the middle of
one. Models are loaded when they are asked for and kept while memory allows. It is started by module name
and imported by nothing. Light until it is asked: a model that has gone is said before seconds of imports.
"""

import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from rlhf_lab.core.errors import LabError
from rlhf_lab.engine.models import resolve
from rlhf_lab.runs import host
from rlhf_lab.runs.ask import REQUEST, Cancel, Done, Failed, Generate, Reply, Score, Unload
from rlhf_lab.runs.outcome import error_in_words

Wanted = Generate | Score | Unload
Meet = Callable[[Wanted, Callable[[Reply], None], Callable[[], None]], None]
"""Does what is asked; the functions are `Desk.reply` and one that raises where the request is no longer wanted."""


class Cancelled(Exception):  # noqa: N818 - a request, not an error
    """Raised inside the work when its request was cancelled."""


@dataclass
class Desk:
    """Where requests arrive and replies leave."""

    out: IO[bytes]
    waiting: "queue.SimpleQueue[Wanted]" = field(default_factory=queue.SimpleQueue)
    cancelled: set[int] = field(default_factory=set)

    def read(self, lines: IO[bytes]) -> None:
        """Runs in a thread; the end of input ends the process, whatever it is doing."""
        for line in lines:
            try:
                request = REQUEST.validate_json(line)
            except ValidationError:
                traceback.print_exc()
                continue
            if isinstance(request, Cancel):
                self.cancelled.add(request.id)
            else:
                self.waiting.put(request)
        os._exit(0)

    def reply(self, reply: Reply) -> None:
        """Send a line."""
        self.out.write(reply.model_dump_json().encode() + b"\n")
        self.out.flush()

    def tick_of(self, request: Wanted) -> Callable[[], None]:
        """Raises `Cancelled` once the request is."""

        def tick() -> None:
            if request.id in self.cancelled:
                raise Cancelled

        return tick


def serve(desk: Desk, models_folder: Path) -> None:
    """Meet requests for ever; one that fails is an error line."""
    meet: Meet | None = None
    while True:
        request = desk.waiting.get()
        tick = desk.tick_of(request)
        try:
            tick()
            if meet is None and not isinstance(request, Unload):
                begun = begin(request, models_folder)
                tick()  # that took seconds, and what it found holds for this request alone
                meet = begun
            if meet is not None:
                meet(request, desk.reply, tick)
            desk.reply(Done(id=request.id))
        except Cancelled:
            desk.reply(Done(id=request.id, cancelled=True))
        except Exception as error:
            if not isinstance(error, LabError):
                traceback.print_exc()
            desk.reply(Failed(id=request.id, message=error_in_words(error, log="The project's models/inference.log")))


def begin(request: Generate | Score, models_folder: Path) -> Meet:
    """What takes seconds, unless the model that is asked for has gone: then raises `LabError`."""
    spec = request.model if isinstance(request, Generate) else request.reward
    found = resolve(spec.model, models_folder)  # where it is there, this loads the libraries
    from rlhf_lab.engine.machine import use_threads
    from rlhf_lab.runs.answering import Models, meet

    use_threads(host.default_threads())
    return partial(meet, Models(models_folder, {spec.model: found}))


def main(models_folder: str) -> None:
    """Serve until the end of input."""
    host.private_files()
    host.be_nice()
    # Libraries print now and then; the protocol's line is ours alone.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    desk = Desk(out)
    threading.Thread(target=desk.read, args=(sys.stdin.buffer,), daemon=True).start()
    serve(desk, Path(models_folder))


if __name__ == "__main__":
    main(sys.argv[1])
