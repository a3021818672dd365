"""A project's backups at work: made when due, put back with the index of runs brought up to date."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rlhf_lab.core.errors import LabError
from rlhf_lab.runs import host
from rlhf_lab.store.backups import ASKED, BEFORE_RESTORE, SCHEDULED, Backup, back_up, backups, due, thin
from rlhf_lab.store.figures import figures
from rlhf_lab.store.restore import restore

_log = logging.getLogger(__name__)

DATABASE = "lab.sqlite"
WINDOW_LOCK = "window.lock"


@dataclass(frozen=True)
class Restored:
    """What came of it: where the database of before lies (None: there was none), and how many runs are in the index."""

    aside: Path | None
    runs: int


def back_up_if_due(database: Path, cancelled: Callable[[], bool] = lambda: False) -> Backup | None:
    """The copy that was made, None where none was due or nothing is in it; old scheduled ones are thinned."""
    now = time.time()
    if not due(database, now) or figures(database).nothing:
        return None
    made = back_up(database, SCHEDULED, cancelled=cancelled)
    gone = thin(database, now)
    _log.info("backup %s made (%d bytes), %d old ones deleted", made.name, made.size, len(gone))
    return made


def restore_project(folder: Path, backup: Backup) -> Restored:
    """Put a backup in the place of the project's database, then read the run folders anew: they are the truth."""
    from rlhf_lab.runs.project import Project

    aside = restore(folder / DATABASE, backup)
    with Project.open(folder) as project:
        runs = project.reindex()
    _log.warning("backup %s restored, the database of before is %s", backup.name, aside.name if aside else "none")
    return Restored(aside, runs)


def chosen_backup(folder: Path, name: str) -> Backup:
    """The backup of that name, or whose name alone begins so; raises `LabError` where there is none or several."""
    found = [backup for backup in backups(folder / DATABASE) if backup.name.startswith(name)]
    exact = [backup for backup in found if backup.name == name]
    if len(exact or found) != 1 or not name:
        says = "There is no backup" if not found else f"{len(found)} backups begin with"
        raise LabError(f"{says} {name!r} in {folder}. List them with: rlhf-lab restore")
    return (exact or found)[0]


def why_in_words(backup: Backup) -> str:
    """Why it was made."""
    if backup.why.startswith("version-"):
        return f"before the update of version {backup.why.removeprefix('version-')}"
    return {SCHEDULED: "scheduled", ASKED: "made by hand", BEFORE_RESTORE: "before a restore"}.get(
        backup.why, backup.why
    )


def window_is_open(folder: Path) -> bool:
    """Whether a window has this project open; its lock file alone says nothing: it may be of a dead one, or a copy."""
    try:
        with (folder / WINDOW_LOCK).open("rb") as file:
            return not host.lock(file)
    except FileNotFoundError:
        return False
    except PermissionError:  # Windows: whoever has it open shares it with nobody
        return True
