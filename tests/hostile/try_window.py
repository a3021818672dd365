"""The window with every hostile text, and on a project that holds all of them."""

import json
from collections.abc import Callable
from pathlib import Path

from rlhf_lab.core.errors import LabError
from rlhf_lab.runs.importing import Importing
from rlhf_lab.runs.project import Project
from tests.hostile import files, lab_cases
from tests.hostile.case import Case, Place, Tried
from tests.hostile.guard import Guard
from tests.hostile.try_lab import Child

FAMILY = "texts in the window"


def run(folder: Path, chosen: Callable[[Case], bool] = lambda case: True) -> list[Tried]:
    """One window process for all."""
    found = []
    with Guard(folder) as guard:
        project = _project(guard)
        child = Child("tests.hostile.window_child")
        try:
            child.ask({"text": "a harmless text"})
            seen = guard.seen()
            assert not seen, f"the window itself does what it may not: {seen}"
            texts = {**files.TEXTS, **{f"a name that is {kind}": name for kind, name in files.NAMES.items()}}
            cases = [Case(f"text: {name}", "^shown$", lambda place, text=text: text) for name, text in texts.items()]
            cases.append(
                Case("window: a project full of them", "^shown: [0-9]+ data sets, 2 runs", lambda place: project)
            )
            for case in filter(chosen, cases):
                tried = Tried(FAMILY, case.name, case.words)
                made = case.make(Place(guard.project, guard.outside))
                with guard.measured(tried, child.pid):
                    tried.said = child.ask({"project": str(made)} if isinstance(made, Path) else {"text": made})
                found.append(tried)
                if not child.lives():
                    child = Child("tests.hostile.window_child")
        finally:
            child.close()
    return found


def _project(guard: Guard) -> Path:
    """Data sets with hostile names and texts, and a run that says hostile things."""
    folder = guard.project / "window"
    Project.open(folder).close()
    with Importing(folder / "lab.sqlite") as data:
        for number, (kind, name) in enumerate(files.NAMES.items()):
            path = guard.project / f"named-{number}" / name
            path.parent.mkdir()
            texts = [*files.TEXTS.values()] if number == 0 else [kind]
            path.write_bytes(b"".join(files.text_pair(text) for text in texts))
            data.import_files([path])
    said = files.TEXTS["markup"] + files.TEXTS["bidirectional controls"] + files.TEXTS["terminal controls"]
    for number in (1, 2):
        made = lab_cases.project(folder, f"sft-{number}")
        lines = [
            {"kind": "started", "device": said, "total_steps": 3},
            {"kind": "phase", "name": said},
            {"kind": "metrics", "values": {said: 1.0, "train/loss": float("inf")}, "step": 1},
            {
                "kind": "samples",
                "name": "heldout",
                "rows": [{"prompt": said, "completion": said, "tags": {said: said}}],
            },
            {"kind": "warned", "code": said, "text": said},
            {"kind": "health", "code": said, "title": said, "seen": said, "cause": said, "advice": said},
            {"kind": "finished", "outcome": "failed", "message": said, "step": 1},
        ]
        stamped = [{"attempt": 1, "seq": place, "time": 1.0, **line} for place, line in enumerate(lines, 1)]
        (made / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in stamped))
    with Project.open(folder) as opened:
        if opened.reindex() != 2:
            raise LabError("The runs of the window's project could not be read.")
    return folder
