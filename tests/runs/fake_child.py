"""The real trainer child, doing work that needs no torch: the run's note says which."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

from rlhf_lab.core.control import Control, StopRequested
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Event, Finished, Metrics, Progress, Resumed, Started
from rlhf_lab.runs import child
from rlhf_lab.runs.folder import RunFolder


def work(folder: RunFolder, control: Control, resume: bool) -> Iterator[Event]:
    steps = folder.config.max_steps
    first = 3 if resume else 0
    if folder.config.note == "load for ever":
        wait_for_ever()
    device = f"attempt with note {folder.config.note}"
    yield Resumed(step=first, device=device) if resume else Started(device=device, total_steps=steps)
    for step in range(first + 1, steps + 1):
        try:
            yield from one_step(folder.config.note, step, control, resume)
        except StopRequested:
            folder.adapter.mkdir(exist_ok=True)
            (folder.adapter / "adapter_config.json").write_text("{}")
            yield Finished(step=step - 1, outcome="stopped", message=f"Saved step {step - 1}.")
            return
        yield Progress(step=step, done=step, total=steps)
        yield Metrics(step=step, values={"train/loss": 1.0 / step + resume})
    yield Finished(step=steps, outcome="done")


def one_step(behaviour: str, step: int, control: Control, resume: bool) -> Iterator[Event]:
    control.tick()
    if step < 4 or resume:
        return
    match behaviour:
        case "until stopped":
            while True:
                control.tick()
        case "talk on":
            while True:
                control.tick()
                yield Metrics(step=step, values={"train/loss": 1.0})
                threading.Event().wait(0.01)  # a step takes its time
        case "hang":
            wait_for_ever()
        case "hang and ignore signals":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
            yield Metrics(step=step, values={"train/loss": 0.0})
            wait_for_ever()
        case "raise":
            raise ZeroDivisionError("a fake division")
        case "refuse":
            raise LabError("This fake cannot do it. Choose another.")
        case "out of memory":
            raise MemoryError
        case "vanish":
            sys.exit(3)
        case "show changes":
            while not (changes := control.changes()):
                control.tick()
            yield Metrics(step=step, values=changes)


def wait_for_ever() -> None:
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(child.main(sys.argv[1:], work, prepare=lambda: None))
