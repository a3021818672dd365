"""The trainer process: ``python -m rlhf_lab.runs.child DIR [--attempt N] [--resume]``, or ``--standby``.

Light until it knows its run: whatever imports torch is imported inside functions. It is started by
module name and imported by nothing.
"""

import argparse
import atexit
import contextlib
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import psutil

from rlhf_lab.core.control import Control, StopRequested
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Event, Finished, Metrics, Phase, Progress, Resumed, Samples, Started, Warned
from rlhf_lab.core.memory import CHECKPOINTED
from rlhf_lab.core.room import cannot_write
from rlhf_lab.runs import host
from rlhf_lab.runs.approval import approved
from rlhf_lab.runs.by_heart import by_heart
from rlhf_lab.runs.control_file import FileControl
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.log import EventLog, said_so_far
from rlhf_lab.runs.memory import lengths_in, less_memory
from rlhf_lab.runs.outcome import to_the_end
from rlhf_lab.runs.watched import watched

if TYPE_CHECKING:
    from rlhf_lab.engine.parts import Parts

Work = Callable[[RunFolder, Control, bool], Iterable[Event]]
"""What is done for a run: its folder, control, and whether to resume, to events."""


def stage_of(folder: RunFolder, control: Control, resume: bool) -> Iterator[Event]:
    """The usual work: the engine's stage that the config names, under watch."""
    warm_up()
    from rlhf_lab.engine.machine import free_memory, pick_device, use_threads
    from rlhf_lab.engine.sized import sized
    from rlhf_lab.engine.stages import TRAIN

    config = folder.config
    use_threads(config.threads or host.default_threads())

    def make(watched_control: Control) -> Iterable[Event]:
        parts = parts_of(folder, watched_control, resume)
        device = pick_device(config.device)
        fitting = sized(config, parts.model, lengths_in(folder), device, free_memory(device))
        if not config.micro_batch_size:
            yield Phase(name=f"micro-batch of {fitting.micro_batch_size}, as memory allows")
        if fitting.gradient_checkpointing == "on" != config.gradient_checkpointing:
            yield Warned(code="checkpointed", text=CHECKPOINTED)
        if not resume and (words := by_heart(config, folder.manifest.train)):
            yield Warned(code="by_heart", text=words)
        yield from TRAIN[config.stage](fitting, parts)

    earlier = said_so_far(folder.events_path, Metrics, Samples, Resumed) if resume else ()
    yield from watched(make, control, config, earlier)


def warm_up() -> None:
    """Import what takes seconds."""
    from rlhf_lab.engine import libraries

    libraries.load()
    import rlhf_lab.engine.stages
    import rlhf_lab.world.judge  # noqa: F401


def main(arguments: Sequence[str], work: Work = stage_of, prepare: Callable[[], None] = warm_up) -> int:
    """Train the run that the arguments name; with ``--standby``, prepare and wait for them on standard input."""
    host.private_files()
    host.be_nice()
    if list(arguments) == ["--standby"]:
        prepare()
        line = sys.stdin.buffer.readline()
        if not line.endswith(b"\n"):
            return 0  # the window has gone, and no run wanted us
        arguments = json.loads(line)
        redirect_output(RunFolder(Path(arguments[0])).child_log_path)
    parser = argparse.ArgumentParser(prog="rlhf_lab.runs.child")
    parser.add_argument("dir", type=Path)
    parser.add_argument("--attempt", type=int)
    parser.add_argument("--resume", action="store_true")
    asked = parser.parse_args(arguments)
    folder = RunFolder(asked.dir.resolve())
    attempt = asked.attempt if asked.attempt is not None else folder.claim_attempt()
    return train(folder, attempt, resume=asked.resume, work=work)


def train(folder: RunFolder, attempt: int, *, resume: bool, work: Work) -> int:
    """One attempt, from its first event to its `Finished`."""
    with EventLog(folder.events_path, attempt) as log:
        with contextlib.suppress(OSError):  # no room: whoever started this process has noted it already
            folder.write_process(os.getpid(), attempt)
        try:
            voice = Voice(log, folder, attempt)
        except LabError as error:
            log.append(Finished(outcome="failed", message=str(error)))
            return 0

        def end(signum: int, frame: FrameType | None) -> None:
            voice.control.stop()
            if not voice.begun:  # nothing to save, and imports and loading never tick
                raise StopRequested

        signal.signal(signal.SIGTERM, end)
        voice.say(Phase(name="loading the libraries"))
        # Before anything is loaded: what the run will have had, should it turn out to be too little.
        free = psutil.virtual_memory().available
        for event in to_the_end(lambda: work(folder, voice.control, resume), lambda: less_memory(folder, free)):
            voice.say(event)
        voice.control.close()
    return 0


class Voice:
    """Writes events into the log; while there is no room for one it waits, with the heart beating."""

    def __init__(self, log: EventLog, folder: RunFolder, attempt: int) -> None:
        self._log = log
        self.begun = False
        """Whether the stage has said that it is loaded."""
        self.control = FileControl(folder, attempt, self.say)

    def say(self, event: Event) -> None:
        """Write the event, and what is being done into the heartbeat."""
        while True:
            try:
                self._log.append(event)
                break
            except OSError as error:
                words = cannot_write(error, self._log.path.parent, 0)
                if words is None or (self.control.stop_requested and not isinstance(event, Finished)):
                    raise
                self.control.held(words)
        self.control.released()
        self.begun = self.begun or isinstance(event, Started | Resumed | Finished)
        if isinstance(event, Phase):
            self.control.beat(event.name)
        elif isinstance(event, Progress):
            self.control.beat(f"step {event.done} of {event.total}")


def parts_of(folder: RunFolder, control: Control, resume: bool) -> "Parts":
    """What the stage is given, from the run's manifest; raises `LabError` when something has gone."""
    from rlhf_lab.engine.models import resolve
    from rlhf_lab.engine.parts import Parts
    from rlhf_lab.engine.record_file import RecordFile
    from rlhf_lab.world.judge import judge

    config, manifest, runs = folder.config, folder.manifest, folder.path.parent
    models = runs.parent / "models"
    function = _reward_function(folder)

    def adapters(names: Sequence[str]) -> tuple[Path, ...]:
        return tuple(runs / name / "adapter" for name in names)

    return Parts(
        folder=folder.path,
        records=RecordFile(folder.data_path),
        model=resolve(config.model, models),
        start_adapters=adapters(manifest.start_runs),
        reward_adapter=runs / manifest.reward_run / "adapter" if manifest.reward_run else None,
        reward_model=resolve(manifest.reward_model, models) if manifest.reward_model else None,
        reward_start_adapters=adapters(manifest.reward_start_runs),
        control=control,
        judge=judge if manifest.gold else None,
        resume=resume,
        reward_function=function,
    )


def _reward_function(folder: RunFolder) -> Path | None:
    """The run's copy, if it has one; raises `LabError` unless this user approved it: the project may be a copy."""
    if not getattr(folder.config, "reward_function", None):
        return None
    if not approved(folder.reward_function):
        raise LabError(
            f"The reward function of {folder.title} is not approved by you. Read it, then approve it with: "
            f"rlhf-lab approve {shlex.quote(str(folder.reward_function))}"
        )
    return folder.reward_function


def redirect_output(path: Path) -> None:
    """From now on, what this process prints goes to the end of a file."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)


def leave(status: int) -> NoReturn:
    """End this process, but do not take the interpreter apart: with torch in it that takes a second or two.

    A person who pressed Stop would wait for it, and so would the next run in line.
    """
    atexit._run_exitfuncs()  # processes and folders of ours go now
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # no room for its last words
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
