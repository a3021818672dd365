"""How a command opens the project that it works on."""

from pathlib import Path
from typing import TYPE_CHECKING

from rlhf_lab.core.errors import LabError

if TYPE_CHECKING:
    from rlhf_lab.runs.project import Project
    from rlhf_lab.terminal import Terminal


def open_project(project: Path | None, *, backing_up: "Terminal | None" = None) -> "Project":
    """The project, its log begun; before work that writes much, its database is backed up when that is due."""
    from rlhf_lab.runs.project import Project
    from rlhf_lab.runs.project_log import open_log

    opened = Project.open(project)
    open_log(opened.folder)
    if backing_up is not None:
        from rlhf_lab.runs.keeping import back_up_if_due

        try:
            back_up_if_due(opened.store.path)
        except LabError as error:
            backing_up.say(f"No backup was made. {error}")
    return opened
