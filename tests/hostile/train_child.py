"""The trainer in one process: {"run": "...", "resume": true} a line, and what the attempt said a line in reply."""

import json
import sys
from pathlib import Path

from rlhf_lab.core.events import Finished, Resumed, Warned
from rlhf_lab.runs.child import stage_of, train
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.log import said_so_far


def attempt(run: Path, *, resume: bool) -> str:
    """What a person would read of it: where it went on, its warnings, its end."""
    folder = RunFolder(run)
    number = folder.attempt() + 1
    (run / f"attempt-{number}").touch()
    train(folder, number, resume=resume, work=stage_of)
    said = []
    for event in said_so_far(folder.events_path, Resumed, Warned, Finished):
        if event.attempt == number:
            match event:
                case Resumed():
                    said.append(f"resumed at {event.step}")
                case Warned():
                    said.append(event.text)
                case Finished():
                    said.append(f"{event.outcome} at {event.step}: {event.message}")
    return "; ".join(said)


def main() -> None:
    """Serve until the end of input."""
    out = sys.stdout
    for line in sys.stdin:
        request = json.loads(line)
        try:
            said = attempt(Path(request["run"]), resume=request["resume"])
        except Exception as error:  # what nobody foresaw is what this is for
            said = f"UNFORESEEN {type(error).__name__}: {error}"
        out.write(json.dumps(said) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
