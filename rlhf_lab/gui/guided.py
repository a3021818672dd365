"""The guided experiment in the window: one stage after the other, with a sentence for each, to the report."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QUrl, Signal, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from rlhf_lab.core.errors import LabError
from rlhf_lab.gui.background import Background, Work
from rlhf_lab.gui.guided_quiz import TITLE, QuizAndReport
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.recipes import RecipeWalk
from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.plain_text import PlainLabel
from rlhf_lab.runs import host

if TYPE_CHECKING:
    from rlhf_lab.runs.chain import Chain
    from rlhf_lab.store import Store


class GuidedWalk(QObject):
    """Runs the guided recipe and asks the quiz; any other end of a run than "done" ends the walk.

    Where training leaves a core free, what was known before PPO is asked while PPO trains.
    """

    told = Signal(str, str)
    """Title and sentence of where it is now."""
    run_started = Signal(str)
    progressed = Signal(object, object)
    """Of the quiz after the last run: done and total."""
    report_written = Signal(str)
    ended = Signal(str)
    """It ended early; why, in words."""

    def __init__(self, lab: Lab, parent: QObject | None = None, *, seed: int = 0):
        super().__init__(parent)
        self._lab, self._seed = lab, seed
        self._walk: RecipeWalk | None = None
        self._task: Background | None = None
        self._quiz: QuizAndReport | None = None
        self._quiz_task: Background | None = None
        self._began = 0.0

    @property
    def going(self) -> bool:
        """Whether it is under way."""
        return self._walk is not None or self._task is not None or self._quiz_task is not None

    def begin(self) -> None:
        """From the first stage, once its data is there; does nothing while it is under way."""
        if not self.going:
            self._began = time.monotonic()
            self.told.emit("The guided experiment", "Its data is looked after first; that takes a moment.")
            self._task = self._lab.in_background(put_bundled(self._lab.project.folder))
            self._task.done.connect(self._data_there)
            self._task.failed.connect(self._task_failed)

    @Slot()
    def stop(self) -> None:
        """Stop and save the run that is under way, and start no other."""
        for task in (self._task, self._quiz_task):
            if task is not None:
                task.cancel()
        if self._walk is not None:
            self._walk.stop()

    @Slot()
    def _data_there(self) -> None:
        from rlhf_lab.runs.experiment import guided

        task, self._task = self._task, None
        self._lab.datasets_changed.emit()
        if task is not None and task.cancelled():
            self.ended.emit("It was stopped before its first run.")
            return
        try:
            self._walk = self._lab.recipes.begin(guided(self._seed), follows="Its quiz and its report")
        except LabError as error:
            self.ended.emit(str(error))
            return
        self._walk.begun.connect(self._stage_begun)
        self._walk.over.connect(self._runs_over)
        self._walk.go_on()

    @Slot(str, str)
    def _stage_begun(self, stage: str, run: str) -> None:
        assert self._walk is not None
        said = self._walk.chain.recipe.stages[stage]
        self.told.emit(said.title, said.about)
        self.run_started.emit(run)
        if said.stage == "ppo" and host.has_free_core():
            self._begin_quiz(self._walk.chain)

    @Slot()
    def _runs_over(self) -> None:
        assert self._walk is not None
        chain, self._walk = self._walk.chain, None
        if chain.done:
            self._ask_what_is_known(chain)
            return
        self._leave_quiz()
        name, why = next(iter(chain.messages.items()))
        title = self._lab.state(chain.runs[name]).title if name in chain.runs else chain.recipe.stages[name].title
        self.ended.emit(f"It ended with {title}: {why}")

    def _ask_what_is_known(self, chain: "Chain") -> None:
        if self._quiz_task is None:
            self._begin_quiz(chain)
        assert self._quiz is not None
        assert self._quiz_task is not None
        self.told.emit(
            "Last: what does it still know?",
            "The base, the SFT and the PPO model answer the same quiz. RLHF should change how they answer, not what "
            "they know. Then the report is written.",
        )
        self._quiz_task.title = TITLE
        self._quiz.trained.set()

    def _begin_quiz(self, chain: "Chain") -> None:
        runs = {stage.stage: chain.runs[name] for name, stage in chain.recipe.stages.items()}
        self._quiz = QuizAndReport(self._lab.project.folder, runs, self._began)
        self._quiz_task = self._lab.in_background(self._quiz)
        self._quiz_task.progressed.connect(self.progressed)
        self._quiz_task.done.connect(self._reported)
        self._quiz_task.failed.connect(self._quiz_failed)

    def _leave_quiz(self) -> None:
        if self._quiz_task is not None:
            self._quiz_task.cancel()
            self._quiz_task = None

    @Slot(object)
    def _reported(self, report: str) -> None:
        self._quiz_task = None
        self.report_written.emit(report)

    @Slot(str)
    def _quiz_failed(self, reason: str) -> None:
        if self.sender() is not self._quiz_task:
            return  # its experiment has ended, and said why
        self._quiz_task = None
        if self._walk is None:  # else it is begun once more when PPO is done
            self.ended.emit(reason)

    @Slot(str)
    def _task_failed(self, reason: str) -> None:
        self._task = None
        self.ended.emit(reason)


def put_bundled(folder: Path) -> Work:
    """Work for `Lab.in_background`: the data sets that come with the lab, unless they are there."""

    def work(store: "Store", task: Background) -> None:
        from rlhf_lab.core.freed_memory import give_back
        from rlhf_lab.runs.project import Project

        with Project.open(folder) as project:
            project.ensure_bundled()
        give_back()  # 2.3 MB of the 150 that the window may have

    return work


class GuideBanner(QFrame):
    """A slim banner above the pane while the walk is under way, and the way on at its end, until it is closed.

    It comes with the press that begins the walk, is as high all the time, and goes with another press: by itself it moves
    nothing under the mouse.
    """

    compare_asked = Signal()

    def __init__(self, walk: GuidedWalk, parent: QWidget | None = None):
        super().__init__(parent)
        self._report = ""
        self.setProperty("surface", "banner")
        self.setAccessibleName("Guided experiment")
        self.title = PlainLabel(role="strong")
        self.sentence = PlainLabel(wrap=True)
        self.sentence.setMinimumHeight(2 * self.sentence.fontMetrics().lineSpacing())
        self.sentence.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(144)
        self.bar.setAccessibleName("Progress of the quiz")
        self.report = QPushButton("Open the report")
        self.report.setProperty("look", "primary")
        self.report.setToolTip("Opens in the web browser; it is a file in the project")
        theme().keep_icon(self.report, "report")
        self.compare = QPushButton("Compare the models")
        self.stop = QPushButton("Stop the experiment")
        self.close_button = QPushButton("Close")
        for button in (self.report, self.compare, self.stop, self.close_button):
            button.setAccessibleName(button.text())
        self.report.clicked.connect(self._open_report)
        self.compare.clicked.connect(self.compare_asked)
        self.stop.clicked.connect(walk.stop)
        self.close_button.clicked.connect(self.hide)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 8, 16, 8)
        row.setSpacing(8)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self.title)
        words.addWidget(self.sentence)
        row.addLayout(words, 1)
        for widget in (self.bar, self.compare, self.report, self.stop, self.close_button):
            row.addWidget(widget)
        walk.told.connect(self._tell)
        walk.progressed.connect(self._progress)
        walk.report_written.connect(self._offer_report)
        walk.ended.connect(self._tell_end)
        self.hide()

    @Slot(str, str)
    def _tell(self, title: str, sentence: str) -> None:
        self.title.setText(title)
        self.sentence.setText(sentence)
        self._show_buttons(going=True)
        self.bar.hide()
        self.show()

    @Slot(object, object)
    def _progress(self, done: int, total: int) -> None:
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.bar.show()

    @Slot(str)
    def _offer_report(self, path: str) -> None:
        self._report = path
        self.title.setText("The experiment is done")
        self.sentence.setText(
            "The report shows what changed, with figures and answers from before and after. Here you can ask the "
            "models yourself."
        )
        self.bar.hide()
        self._show_buttons(going=False, report=True)
        self.show()

    @Slot(str)
    def _tell_end(self, why: str) -> None:
        self.title.setText("The guided experiment ended early")
        self.sentence.setText(why)
        self.bar.hide()
        self._show_buttons(going=False)

    def _show_buttons(self, *, going: bool, report: bool = False) -> None:
        self.stop.setVisible(going)
        self.close_button.setVisible(not going)
        for button in (self.report, self.compare):
            button.setVisible(report)

    @Slot()
    def _open_report(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(self._report))
