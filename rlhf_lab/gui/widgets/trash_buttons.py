"""The way into the trash, out of it again, and out of the project for good."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import run_title, so_many
from rlhf_lab.gui.background import Background, Work
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import plain_tip
from rlhf_lab.runs.folder import RunFolder
from rlhf_lab.runs.labels import remove, restore, trash
from rlhf_lab.runs.lineage import dependents
from rlhf_lab.store import RunRow, Store


class TrashButtons(QWidget):
    """Says `moved` when runs went in or out. Deleting for good takes two presses, and what others stand on stays."""

    moved = Signal()

    def __init__(self, lab: Lab):
        super().__init__()
        self._lab = lab
        self._rows: list[RunRow] = []
        self._removing = False
        self.trash, self.restore = QPushButton("Trash"), QPushButton("Restore")
        self.remove = QPushButton("Delete for good")
        self.trash.setAccessibleName("Move the selected runs to the trash")
        self.trash.setToolTip(plain_tip("Hide the selected runs (Delete); their files stay, and they can be restored"))
        self.restore.setToolTip(plain_tip("Take the selected runs out of the trash"))
        self.remove.setToolTip(plain_tip("Delete the files of the selected runs: curves, checkpoints, adapters"))
        self.remove.setProperty("look", "danger")
        theme().keep_icon(self.trash, "trash")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        for button in (self.trash, self.restore, self.remove):
            row.addWidget(button)
        self.trash.clicked.connect(self._trash)
        self.restore.clicked.connect(self._restore)
        self.remove.clicked.connect(self._remove)
        self.show_rows([])

    def show_rows(self, rows: Sequence[RunRow]) -> None:
        """Be about these."""
        if self._removing:
            self.remove.setText("Deleting…")
        elif [row.run for row in rows] != [row.run for row in self._rows] or not self.remove.isEnabled():
            self.remove.setText("Delete for good")
        self._rows = list(rows)
        trashed = bool(rows) and rows[0].trashed is not None
        self.trash.setVisible(not trashed)
        self.restore.setVisible(trashed)
        self.remove.setVisible(trashed)
        self.trash.setEnabled(bool(rows) and not any(self._busy(row.run) for row in rows))
        for button in (self.restore, self.remove):
            button.setEnabled(not self._removing)

    @Slot()
    def press(self) -> None:
        """As the button does it, where it can be pressed."""
        if not self.trash.isHidden() and self.trash.isEnabled():
            self._trash()

    def _busy(self, run: str) -> bool:
        return run in self._lab.live() or run in self._lab.queued()

    @Slot()
    def _trash(self) -> None:
        done = self._each(trash)
        if done:
            self._lab.message.emit(
                f"{_words(done)} in the trash now. “In the trash” above the table shows what is there."
            )
            self.moved.emit()

    @Slot()
    def _restore(self) -> None:
        if self._each(restore):
            self.moved.emit()

    @Slot()
    def _remove(self) -> None:
        if self.remove.text() == "Delete for good":
            self.remove.setText(f"Delete {len(self._rows):,} for good?")
            return
        runs = [row.run for row in self._rows]
        self._removing = True
        self.show_rows(self._rows)
        title = f"Deleting {run_title(runs[0]) if len(runs) == 1 else so_many(len(runs), 'run')} for good"
        task = self._lab.in_background(
            _remove_all(self._lab.project.runs_folder, runs), f"{title}: what is not deleted yet stays in the trash."
        )
        task.failed.connect(self._lab.message)
        task.finished.connect(self._removed)

    @Slot()
    def _removed(self) -> None:
        self._removing = False
        self.show_rows(self._rows)
        self.moved.emit()

    def _each(self, act: Callable[[Store, RunFolder], None]) -> list[str]:
        done: list[str] = []
        project = self._lab.project
        for row in self._rows:
            try:
                act(project.store, RunFolder(project.runs_folder / row.run))
            except LabError as error:
                self._lab.message.emit(str(error))
                break
            done.append(row.run)
        return done


def _remove_all(runs_folder: Path, runs: Sequence[str]) -> Work:
    """Work for `Lab.in_background`: delete these for good, or none where others stand on one.

    A run with many curves takes seconds. A cancel is heard between two runs.
    """

    def work(store: Store, task: Background) -> None:
        for run, others in dependents(store, runs).items():
            if others:
                named = ", ".join(map(run_title, others))
                raise LabError(f"{run_title(run)} was not deleted: {named} cannot go on without it.")
        for run in runs:
            if task.cancelled():
                return
            remove(store, RunFolder(runs_folder / run))

    return work


def _words(runs: Sequence[str]) -> str:
    return f"{run_title(runs[0])} is" if len(runs) == 1 else f"{len(runs):,} runs are"
