"""Commands that keep a project safe: copies of its database, the way back, and what a bug report needs."""

import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlhf_lab.cli_options import JsonOption, ProjectOption
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.typed_path import typed_path

if TYPE_CHECKING:
    from rlhf_lab.terminal import Terminal


def backup(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Copy the project's database now. (The lab does so by itself, too: every hour in which something changed.)"""
    from rlhf_lab.runs.project import Project
    from rlhf_lab.store.backups import ASKED, back_up
    from rlhf_lab.terminal import Terminal

    terminal = Terminal(machine=as_json)
    with Project.open(project) as opened:
        made = back_up(opened.store.path, ASKED)
    terminal.tell(f"{made.name} ({made.size / 2**20:.1f} MB) is in {made.path.parent}")
    terminal.result({"backup": made.name, "path": str(made.path), "bytes": made.size})


def restore(
    backup: Annotated[
        str, typer.Argument(metavar="[BACKUP]", help="Its name, or the beginning of it. Without one: list them.")
    ] = "",
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a backup of the database in its place; the present one is kept beside the others."""
    from rlhf_lab.runs.keeping import chosen_backup, restore_project, window_is_open
    from rlhf_lab.runs.project import default_folder
    from rlhf_lab.runs.project_log import logging_to
    from rlhf_lab.terminal import Terminal

    terminal = Terminal(machine=as_json)
    folder = typed_path(project).resolve() if project is not None else default_folder()
    if not backup:
        _list(folder, terminal)
        return
    chosen = chosen_backup(folder, backup)
    if window_is_open(folder):
        raise LabError(f"A window has the project {folder} open. Restore there (Settings, Backups), or close it first.")
    with logging_to(folder):
        restored = restore_project(folder, chosen)
    terminal.tell(f"The database is that of {_when(chosen.when)} again; {restored.runs} runs are in the index.")
    if restored.aside is not None:
        terminal.tell(f"The one of before is kept: {restored.aside}")
    aside = str(restored.aside) if restored.aside else None
    terminal.result({"restored": chosen.name, "kept": aside, "runs": restored.runs})


def diagnostics(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Print what a bug report needs: versions, devices, figures, the end of the log. No data, tokens or home paths."""
    from rlhf_lab.runs.diagnostics import checkup, diagnostics
    from rlhf_lab.runs.project import default_folder
    from rlhf_lab.terminal import Terminal

    terminal = Terminal(machine=as_json)
    folder = typed_path(project).resolve() if project is not None else default_folder()
    text = diagnostics(folder, checkup(folder))
    terminal.tell(text)
    terminal.result({"diagnostics": text})


def _list(folder: Path, terminal: "Terminal") -> None:
    from rlhf_lab.runs.keeping import DATABASE, why_in_words
    from rlhf_lab.store.backups import backups
    from rlhf_lab.store.figures import figures

    rows = []
    for found in backups(folder / DATABASE):
        row = {"name": found.name, "when": found.when, "why": found.why, "bytes": found.size}
        try:
            holds = figures(found.path).in_words()
        except LabError:
            holds = "cannot be read"
        row["holds"] = holds
        terminal.tell(f"{found.name}  {_when(found.when)}  {why_in_words(found)}: {holds}")
        rows.append(row)
    if rows:
        terminal.tell(f"Restore one with: {shlex.join(['rlhf-lab', 'restore', 'BACKUP', '--project', str(folder)])}")
    else:
        terminal.tell(f"There are no backups in {folder} yet. Make one with: rlhf-lab backup")
    terminal.result({"backups": rows})


def _when(when: float) -> str:
    return datetime.fromtimestamp(when).astimezone().strftime("%Y-%m-%d %H:%M")
