"""A data set is scored beside the window, one at a time, with an inference child of its own."""

from PySide6.QtCore import QObject, Signal, Slot

from rlhf_lab.core.errors import LabError
from rlhf_lab.gui.asker import MakeInference
from rlhf_lab.gui.background import Background
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.rank_work import score_all
from rlhf_lab.runs.scoring import Scored


class Scoring(QObject):
    """Goes on while the person ranks something else; what is scored is kept, however it ends."""

    progressed = Signal(object, object)
    ended = Signal(str, str, object)
    """Data set, reward run, and how far it got (`Scored`)."""
    failed = Signal(str)

    def __init__(self, lab: Lab, make: MakeInference, parent: QObject):
        super().__init__(parent)
        self._lab, self._make = lab, make
        self._task: Background | None = None
        self._what = ("", "")

    def is_at(self, dataset: str, run: str) -> bool:
        """Whether this data set is being scored by this run now."""
        return self._task is not None and self._what == (dataset, run)

    def begin(self, dataset: str, run: str) -> None:
        """Score what is not scored yet; does nothing while another is under way."""
        if self._task is not None:
            return
        try:
            reward = self._lab.project.model_spec(run)
        except LabError as error:
            self.failed.emit(str(error))
            return
        self._what = (dataset, run)
        work = score_all(dataset, run, reward, self._lab.project.models_folder, self._make)
        self._task = self._lab.in_background(
            work, f"Scoring {dataset}: what is scored is kept, and it can go on later."
        )
        self._task.progressed.connect(self.progressed)
        self._task.done.connect(self._done)
        self._task.failed.connect(self._failed)

    def stop(self) -> None:
        """End early."""
        if self._task is not None:
            self._task.cancel()

    @Slot(object)
    def _done(self, scored: Scored) -> None:
        self._task = None
        self.ended.emit(*self._what, scored)

    @Slot(str)
    def _failed(self, reason: str) -> None:
        self._task = None
        self.failed.emit(reason)
