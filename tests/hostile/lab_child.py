"""The lab itself in one process: the command line with a config, or a project that came from elsewhere.

One JSON line a request, {"cli": [...]} or {"project": "..."}; one JSON line a reply, what was said.
"""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

from rlhf_lab.__main__ import main as rlhf_lab
from rlhf_lab.core.errors import LabError
from rlhf_lab.runs.follow import follow
from rlhf_lab.runs.project import Project
from rlhf_lab.runs.source import ProcessRun


def typed(arguments: list[str]) -> str:
    """What the command line says."""
    sys.argv = ["rlhf-lab", *arguments]
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said), suppress(SystemExit):
        rlhf_lab()
    return said.getvalue()


def opened(folder: str) -> str:
    """What is found in a project: as at the start of the window, after `rlhf-lab reindex` and on showing its runs."""
    said = []
    with Project.open(folder) as project:
        project.recover()
        said.append(f"{project.reindex()} runs")
        for row in project.store.runs():
            curves, events = project.store.curves(row.run), project.store.events(row.run)
            said.append(f"{row.run} {row.outcome} {row.message} {len(curves)} curves {len(events)} events")
            run = project.run(row.run)
            source = ProcessRun(run)
            said.append(source.doing())
            try:
                source.attach()
                ended = follow(source, None, lambda events: None, should_leave=lambda: True)
                said.append(str(ended))
            except LabError as error:
                said.append(str(error))
    said.append(typed(["runs", "--json", "--project", folder]))
    return "; ".join(said)


def main() -> None:
    """Serve until the end of input."""
    requests, out = sys.stdin, sys.stdout
    for line in requests:
        request = json.loads(line)
        try:
            said = typed(request["cli"]) if "cli" in request else opened(request["project"])
        except LabError as error:
            said = str(error)
        except Exception as error:  # what nobody foresaw is what this is for
            said = f"UNFORESEEN {type(error).__name__}: {error}"
        out.write(json.dumps(said) + "\n")
        out.flush()


if __name__ == "__main__":
    assert Path("/proc").exists()
    main()
