"""Other projects: which were open before, opening one, making one. The window of the old one closes first, as at quit."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QFileDialog, QMenu

from rlhf_lab.core.errors import LabError
from rlhf_lab.gui.models.action_table import Offer
from rlhf_lab.gui.settings import Settings
from rlhf_lab.gui.single import SingleWindow
from rlhf_lab.gui.widgets.plain_text import one_line, plain_tip
from rlhf_lab.runs.project import Project

if TYPE_CHECKING:
    from rlhf_lab.gui.main_window import MainWindow

DATABASE = "lab.sqlite"
BUSY_MS = 50
"""How long the window waits for another process's database lock; longer would be felt."""


@dataclass(frozen=True)
class Next:
    """A project that is opened and claimed, for the window that comes."""

    project: Project
    single: SingleWindow
    new: bool = False
    """Whether it was made for this: where nothing comes of it, its folder is to be empty again."""


class Projects(QObject):
    """``next`` is what the window closes for; None while it closes for good."""

    def __init__(self, window: "MainWindow", settings: Settings, folder: Path, parent: QObject):
        super().__init__(parent)
        self._window, self._settings, self._folder = window, settings, folder
        self.next: Next | None = None
        self.menu = QMenu(window)
        self.menu.aboutToShow.connect(self._fill)
        window.rail.show_project(folder, self.menu)
        window.stayed.connect(self.drop)
        window.actions.on("project.open", self.choose)
        window.actions.on("project.new", self.choose_new)
        window.actions.offer(self._offers)

    @Slot()
    def choose(self) -> None:
        """Ask for the folder of a project."""
        folder = QFileDialog.getExistingDirectory(self._window, "Open a project", str(self._folder.parent))
        if folder:
            self.open(Path(folder))

    @Slot()
    def choose_new(self) -> None:
        """Ask where a new project is to lie."""
        folder = QFileDialog.getExistingDirectory(
            self._window, "An empty folder for the project", str(self._folder.parent)
        )
        if folder:
            self.make(Path(folder))

    def open(self, folder: Path) -> None:
        """Close this project and open another one; where that cannot be, this one stays and says why."""
        if not _is_project(folder):
            self._window.show_problem(f"{folder} holds no project. Choose another folder, or make a new project there.")
            return
        self._go_to(folder)

    def make(self, folder: Path) -> None:
        """The same with a new project, which an empty folder becomes."""
        try:
            empty = not folder.is_dir() or not any(folder.iterdir())
        except OSError as error:
            self._window.show_problem(f"{folder} cannot be read: {error.strerror or error}. Choose another folder.")
            return
        if not empty:
            self._window.show_problem(f"{folder} is not empty. Choose an empty folder for a new project.")
            return
        self._go_to(folder, new=True)

    @Slot()
    def drop(self) -> None:
        """The window stays after all."""
        if self.next is not None:
            self.next.project.close()
            self.next.single.close()
            if self.next.new:
                _unmake(self.next.project.folder)
            self.next = None

    def _go_to(self, folder: Path, *, new: bool = False) -> None:
        folder = folder.resolve()
        if folder == self._folder:
            self._window.show_note(f"{folder} is the project that is open.")
            return
        self.drop()
        single = SingleWindow(folder)
        try:
            project = Project.open(folder, busy_ms=BUSY_MS)
        except LabError as error:
            self._window.show_problem(f"{folder} cannot be opened. {error}")
            return
        if not single.claim():
            project.close()
            if single.raise_first():
                self._window.show_note(f"{folder} is open in another window, which comes to the front.")
            else:
                self._window.show_problem(f"{folder} is open in another window, which does not answer.")
            return
        self.next = Next(project, single, new)
        self._window.close()

    def _recent(self) -> list[Path]:
        known = [Path(name) for name in self._settings.projects]
        return [folder for folder in known if folder != self._folder and _is_project(folder)]

    def _offers(self) -> Iterator[Offer]:
        for folder in self._recent():
            title = one_line(f"Open project {folder.name}", 80)
            yield Offer(f"project:{folder}", title, "Projects", partial(self.open, folder), words=str(folder))

    @Slot()
    def _fill(self) -> None:
        self.menu.clear()
        self.menu.setToolTipsVisible(True)
        self.menu.addAction("Open project…", self.choose)
        self.menu.addAction("New project…", self.choose_new)
        recent = self._recent()
        if recent:
            self.menu.addSection("Open before")
        for folder in recent:
            entry = self.menu.addAction(one_line(folder.name, 60).replace("&", "&&"), partial(self.open, folder))
            entry.setToolTip(plain_tip(str(folder)))


def _is_project(folder: Path) -> bool:
    return os.path.isfile(folder / DATABASE)  # noqa: PTH113 - does not raise where the folder cannot be read


def _unmake(folder: Path) -> None:
    """Take away what opening a new project has put there, but nothing that somebody else has."""
    with suppress(OSError):
        for name in ("", "-wal", "-shm"):
            (folder / f"{DATABASE}{name}").unlink(missing_ok=True)
        for part in ("runs", "models"):
            (folder / part).rmdir()
