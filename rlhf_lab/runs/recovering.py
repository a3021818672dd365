"""What a newly opened project finds: runs that were unfinished when it was last seen."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import run_title, so_many
from rlhf_lab.store import RunRow

if TYPE_CHECKING:
    from rlhf_lab.runs.folder import RunFolder
    from rlhf_lab.runs.project import Project

_INTERRUPTED = "Its process ended while nobody watched. Resume goes on from its last save."
_NAMED = 3


@dataclass
class Recovered:
    """Runs that live, died meanwhile, or were never started."""

    live: list["RunFolder"] = field(default_factory=list)
    interrupted: list["RunFolder"] = field(default_factory=list)
    waiting: list["RunFolder"] = field(default_factory=list)
    undone: LabError | None = None
    """Why some could not be looked after: the database is locked or full."""
    unread: dict[str, str] = field(default_factory=dict)
    """Run by run, why its files cannot be read; trying again soon is of no use."""


def recover(project: "Project", but: Collection[str]) -> Recovered:
    """See `rlhf_lab.runs.project.Project.recover`."""
    found = Recovered()
    for row in project.store.runs():
        if row.outcome == "done" or row.run in but:
            continue
        try:
            _look_after(project, row, found)
        except LabError as error:
            found.undone = error
        except OSError as error:  # one run's files are no matter of the others
            found.unread[row.run] = f"{error.filename or row.dir} cannot be read: {error.strerror or error}."
    return found


def unread_in_words(found: Recovered) -> str:
    """What to tell of the runs whose files cannot be read; "" where there are none."""
    if not found.unread:
        return ""
    titles = [run_title(run) for run in found.unread]
    more = f" and {so_many(len(titles) - _NAMED, 'other run')}" if len(titles) > _NAMED else ""
    why = next(iter(found.unread.values()))
    return (
        f"{', '.join(titles[:_NAMED])}{more} could not be looked after. {why} Mend that, then open the project again."
    )


def _look_after(project: "Project", row: RunRow, found: Recovered) -> None:
    # Imported here: the first window of a project whose runs are done needs neither.
    from rlhf_lab.runs.folder import RunFolder
    from rlhf_lab.runs.recorder import Recorder

    folder = RunFolder(project.runs_folder / row.run)
    if not folder.path.is_dir():
        if row.outcome in ("queued", "running"):
            project.store.set_run_state(row.run, "failed", folder.gone())
        return
    process = folder.process()
    if process is not None and process.alive():
        found.live.append(folder)
        return
    Recorder(project.store).catch_up(folder)
    if project.run_row(row.run).outcome not in ("queued", "running"):
        return
    if folder.attempt() == 0:
        found.waiting.append(folder)
        return
    project.store.set_run_state(row.run, "interrupted", _INTERRUPTED)
    found.interrupted.append(folder)
