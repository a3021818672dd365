"""Opens the window, for who asked for it with a command and for who asked for nothing else."""

import gc
from pathlib import Path

from rlhf_lab.core.errors import LabError
from rlhf_lab.system_libraries import window_problem


def open_window(project: Path | None = None) -> int:
    """Until it is closed; its exit status. Raises `LabError` where no window can open."""
    if problem := window_problem():
        raise LabError(f"No window can open: {problem}. In the terminal: rlhf-lab demo --headless")
    return show_window(project)


def show_window(project: Path | None = None, *, guided: bool = False) -> int:
    """The same for who has asked for `window_problem` already; ``guided`` begins the guided experiment."""
    gc.disable()  # until the window's own collector begins: what is imported stays, and looking through it takes 0.06 s
    from rlhf_lab.gui.app import main

    return main(project, guided=guided)
