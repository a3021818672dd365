"""The lab's own process with every hostile config, run folder and log."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import MOST_SECONDS, Case, Place, Tried
from tests.hostile.files import GOOD, LINES, OTHER
from tests.hostile.guard import Guard
from tests.hostile.lab_cases import cases

_FORESEEN = r"(?!.*(UNFORESEEN|Something went wrong inside))"


def run(folder: Path, chosen: Callable[[Case], bool] = lambda case: True) -> list[Tried]:
    """One process for all."""
    found = []
    with Guard(folder) as guard:
        child = Child()
        try:
            child.ask({"cli": ["runs", "--project", str(guard.project / "first")]})
            child.ask({"cli": ["import", str(_folder(guard)), "--project", str(guard.project / "first"), "--json"]})
            seen = guard.seen()
            assert not seen, f"the lab itself does what it may not: {seen}"
            for number, case in enumerate(filter(chosen, cases())):
                place = Place(guard.project / f"case-{number}", guard.outside)
                place.folder.mkdir()
                config = case.name.startswith("config")
                tried = Tried(
                    "configs" if config else "run folders and logs",
                    case.name,
                    f"(?s)^{_FORESEEN}.*({case.words.lstrip('^')})",
                )
                made = str(case.make(place))
                with guard.measured(tried, child.pid):
                    if config:
                        tried.said = child.ask({"cli": ["run", made, "--project", str(place.folder / "p"), "--json"]})
                    else:
                        tried.said = child.ask({"project": made})
                found.append(tried)
                if not child.lives():
                    child = Child()
            found.append(_imported(child, guard))
        finally:
            child.close()
    return found


def _folder(guard: Guard) -> Path:
    folder = guard.project / "some"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(GOOD)
    return folder


def _imported(child: "Child", guard: Guard) -> Tried:
    """`rlhf-lab import` of a folder that holds every hostile line as a file of its own."""
    folder = guard.project / "all lines"
    folder.mkdir()
    for number, line in enumerate(LINES.values()):
        (folder / f"{number}.jsonl").write_bytes(GOOD + line + OTHER)
    tried = Tried(
        "data sets",
        f"rlhf-lab import of a folder of {len(LINES)} hostile files",
        f'(?s)^{_FORESEEN}.*"problems_total": 1',
    )
    with guard.measured(tried, child.pid):
        tried.said = child.ask({"cli": ["import", str(folder), "--project", str(guard.project / "lines"), "--json"]})[
            -3000:
        ]
    return tried


class Child:
    """The process; one that says nothing for too long is killed."""

    def __init__(self, module: str = "tests.hostile.lab_child") -> None:
        command = [sys.executable, "-m", module]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._child.pid

    def ask(self, request: dict[str, object]) -> str:
        """What it says to a request."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        limit = threading.Timer(12 * MOST_SECONDS, self._child.kill)
        limit.start()
        try:
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
            self._child.stdin.flush()
            line = self._child.stdout.readline()
        finally:
            limit.cancel()
        return str(json.loads(line)) if line else f"UNFORESEEN it ended with status {self._child.wait()}"

    def lives(self) -> bool:
        """Whether it can be asked again."""
        return self._child.poll() is None

    def close(self) -> None:
        """End it."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.kill()
        self._child.wait()
        self._child.stdout.close()
