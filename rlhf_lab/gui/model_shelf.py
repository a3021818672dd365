"""The models dialog and its work beside the window: one thing at a time, which goes on when the dialog is closed."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QFile, QObject, Slot
from PySide6.QtWidgets import QWidget

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.naming import STAGE_NAMES
from rlhf_lab.gui.background import Background
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.places import STAGE_PLACES
from rlhf_lab.gui.widgets.models_dialog import ModelsDialog
from rlhf_lab.runs import model_shelf, model_work
from rlhf_lab.runs.model_shelf import Shelved
from rlhf_lab.runs.project import Project

if TYPE_CHECKING:
    from rlhf_lab.store import Store

Doing = Callable[[Project, Background], str | model_work.Offered]
"""Returns a sentence about what was done, or what a download would fetch."""


class ModelShelf(QObject):
    """Its dialog stands beside the window; ``lab.models_changed`` follows whatever changes the list."""

    def __init__(self, lab: Lab, window: QWidget):
        super().__init__(window)
        self._lab, self._window = lab, window
        self._stage = ""
        self._checked: dict[str, str] = {}
        self._states: dict[str, tuple[int, float]] = {}
        self._models: list[Shelved] = []
        self._task: Background | None = None
        self._offered: model_work.Offered | None = None
        self.dialog: ModelsDialog | None = None
        lab.runs_changed.connect(self._runs_changed)

    def show(self, stage: str = "") -> None:
        """Open it; ``stage``: whose form a model is being chosen for."""
        self._stage = stage
        if self.dialog is None:
            self.dialog = self._make()
        name = next((words for known, words in STAGE_NAMES.items() if known == stage), "")
        self.dialog.offer_use(name)
        self.dialog.show()
        self.dialog.activateWindow()
        self.refresh()

    @Slot()
    def _runs_changed(self) -> None:
        if self.dialog is not None and self.dialog.isVisible():
            self.refresh()

    @Slot()
    def refresh(self) -> None:
        """List the models anew, then check those that have changed."""
        folder = self._lab.project.folder

        def work(store: "Store", task: Background) -> list[Shelved]:
            return model_shelf.shelf(Project(folder, store))

        task = self._lab.in_background(work)
        task.done.connect(self._listed)
        task.failed.connect(self._failed)

    @Slot(object)
    def _listed(self, models: list[Shelved]) -> None:
        self._models = models
        for model in models:
            if self._states.get(model.name) != (state := (model.bytes, model.changed)):
                self._states[model.name] = state
                self._checked.pop(model.name, None)
        self._show()
        names = [m.name for m in models if m.kind != "run" and not m.quick_problem and m.name not in self._checked]
        if not names:
            return
        folder = self._lab.project.models_folder

        def work(store: "Store", task: Background) -> None:
            def found(name: str, problem: str) -> None:
                task.part.emit((name, problem))

            model_work.check_models(names, folder, found, cancelled=task.cancelled)

        task = self._lab.in_background(work)
        task.part.connect(self._found)
        task.failed.connect(self._failed)

    @Slot(object)
    def _found(self, said: tuple[str, str]) -> None:
        self._checked[said[0]] = said[1]
        self._show()

    def _show(self) -> None:
        if self.dialog is not None:
            self.dialog.show_models(self._models, self._checked)

    @Slot(object)
    def _add(self, folder: Path) -> None:
        def doing(project: Project, task: Background) -> str:
            return f"{Path(model_shelf.add_folder(project, folder)).name} is on the list of models."

        self._begin(f"Adding {folder.name}", doing)

    @Slot(object)
    def _import(self, file: Path) -> None:
        def doing(project: Project, task: Background) -> str:
            name = model_work.import_gguf(file, project.models_folder, progress=task.tell, cancelled=task.cancelled)
            return f"{file.name} is imported as {Path(name).name}."

        self._begin(f"Importing {file.name}", doing, "nothing of it is kept")

    @Slot(str)
    def _look(self, model: str) -> None:
        def doing(project: Project, task: Background) -> model_work.Offered:
            return model_work.look(model, project.models_folder, cancelled=task.cancelled)

        self._begin(f"Asking the hub for {model.strip()}", doing)

    @Slot()
    def _download(self) -> None:
        assert self._offered is not None
        model = self._offered.model

        def doing(project: Project, task: Background) -> str:
            model_work.download(model, project.models_folder, progress=task.tell, cancelled=task.cancelled)
            return f"{model} is downloaded."

        self._begin(f"Downloading {model}", doing, "what was fetched is kept, and it can go on later")

    @Slot(object)
    def _ask_removal(self, model: Shelved) -> None:
        assert self.dialog is not None
        try:
            self.dialog.ask_removal(model, model_shelf.removal(self._lab.project, model))
        except LabError as error:
            self.dialog.show_problem(str(error))
        else:
            self.dialog.show_problem("")

    @Slot(object, bool)
    def _remove(self, model: Shelved, for_good: bool) -> None:
        def doing(project: Project, task: Background) -> str:
            model_shelf.remove(project, model, None if for_good else _to_trash)
            return f"{model.title} is {'off the list' if model.kind == 'folder' else 'gone' if for_good else 'in the trash'}."

        self._begin(f"Removing {model.title}", doing)

    def _begin(self, words: str, doing: Doing, kept: str = "") -> None:
        assert self.dialog is not None
        folder = self._lab.project.folder

        def work(store: "Store", task: Background) -> str | model_work.Offered:
            return doing(Project(folder, store), task)

        self._offered = None
        self.dialog.show_busy(words)
        self._task = self._lab.in_background(work, f"{words}: {kept}." if kept else "")
        self._task.part.connect(self._tell)
        self._task.progressed.connect(self.dialog.task.show_progress)
        self._task.done.connect(self._done)
        self._task.failed.connect(self._failed_work)

    @Slot(object)
    def _tell(self, what: str) -> None:
        if self.dialog is not None:
            self.dialog.doing.setText(f"{what[:1].upper()}{what[1:]}")

    @Slot(object)
    def _done(self, found: str | model_work.Offered) -> None:
        assert self.dialog is not None
        self._task = None
        self.dialog.show_idle()
        if isinstance(found, model_work.Offered):
            self._offered = found
            self.dialog.show_offer(found.in_words)
            return
        if not self.dialog.isVisible():
            self._lab.message.emit(found)
        self._lab.models_changed.emit()
        self.refresh()

    @Slot(str)
    def _failed_work(self, words: str) -> None:
        assert self.dialog is not None
        self._task = None
        self.dialog.show_idle()
        self._failed(words)
        self.refresh()

    @Slot(str)
    def _failed(self, words: str) -> None:
        if self.dialog is not None and self.dialog.isVisible():
            self.dialog.show_problem(words)
        else:
            self._lab.message.emit(words)

    @Slot()
    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    @Slot(str)
    def _use(self, model: str) -> None:
        if (place := STAGE_PLACES.get(self._stage)) is not None:
            self._lab.pane_asked.emit(place, {"stage": self._stage, "model": model})

    def _make(self) -> ModelsDialog:
        dialog = ModelsDialog(self._window)
        self._lab.actions.help_within(dialog, "control.models")
        dialog.folder_chosen.connect(self._add)
        dialog.file_chosen.connect(self._import)
        dialog.look_asked.connect(self._look)
        dialog.download_asked.connect(self._download)
        dialog.cancel_asked.connect(self._cancel)
        dialog.removal_asked.connect(self._ask_removal)
        dialog.removal_confirmed.connect(self._remove)
        dialog.use_chosen.connect(self._use)
        return dialog


def _to_trash(place: Path) -> None:
    moved = QFile.moveToTrash(str(place))
    if not (moved[0] if isinstance(moved, tuple) else moved):
        raise LabError(f"The system's trash did not take {place}. “Delete for good” needs no trash.")
