"""The page "What changed" of the Compare pane: models chosen, questions asked, the report read and exported."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QScrollArea, QVBoxLayout, QWidget

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.typed_path import typed_path
from rlhf_lab.gui.background import Background
from rlhf_lab.gui.behaviour_work import Made, compare_with, make_report, save_report
from rlhf_lab.gui.lab import Lab
from rlhf_lab.gui.models.behaviour import ReportWish
from rlhf_lab.gui.models.contenders import Contender
from rlhf_lab.gui.widgets.behaviour_setup import BehaviourSetup
from rlhf_lab.gui.widgets.behaviour_view import BehaviourView
from rlhf_lab.gui.widgets.disclosure import Disclosure
from rlhf_lab.gui.widgets.plain_text import PlainLabel

if TYPE_CHECKING:
    from rlhf_lab.runs.behaviour_report import BehaviourReport

_INVITATION = (
    "Every ticked model answers the same questions. A table then says what moved and what did not: knowledge, invented "
    "answers, refusals, tone, length and the distance to the base, each with its interval. RLHF shapes manner and adds no "
    "knowledge: here it can be checked."
)


class BehaviourPage(QWidget):
    """Each report is also kept in the project's folder ``reports``."""

    def __init__(self, lab: Lab):
        super().__init__()
        self._lab = lab
        self._task: Background | None = None
        self._made: Made | None = None
        self.setup, self.view = BehaviourSetup(), BehaviourView()
        self.chosen = Disclosure("Models and questions", self.setup)
        self.chosen.open()
        self.invitation = PlainLabel(_INVITATION, role="muted", wrap=True)
        self.view.hide()
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(12)
        for widget in (self.chosen, self.invitation, self.view):
            column.addWidget(widget)
        column.addStretch(1)
        self.scroll = QScrollArea()
        self.scroll.setWidget(inside)
        self.scroll.setWidgetResizable(True)
        self.scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.scroll)
        self.setup.asked.connect(self.ask)
        self.setup.cancelled.connect(self.cancel)
        self.view.compare_asked.connect(self._compare)
        self.view.save_asked.connect(self._choose_place)
        self.view.page_asked.connect(self._open_page)

    def offer(self, known: Sequence[Contender]) -> None:
        """Offer these models; not while some answer."""
        if self._task is None:
            self.setup.offer(known)

    def take_models(self, models: Sequence[Contender]) -> None:
        """Tick these; the person presses the button."""
        if self._task is None:
            self.setup.take_models(models)
            self.chosen.open()
            self.scroll.verticalScrollBar().setValue(0)

    @Slot(object)
    def ask(self, wish: ReportWish) -> None:
        """Ask all of it; what is shown stays until it is done."""
        try:
            work = make_report(self._lab.project, wish)
        except LabError as error:
            self.setup.show_problem(str(error))
            return
        self.setup.show_busy(True)
        self._task = task = self._lab.in_background(work, "Making a behaviour report: nothing of it is kept.")
        task.part.connect(self.setup.show_model)
        task.progressed.connect(self.setup.progress.show_progress)
        task.done.connect(self._answered)
        task.failed.connect(self._failed)

    @Slot()
    def cancel(self) -> None:
        """End it early; nothing is written."""
        if self._task is not None:
            self._task.cancel()
            self.setup.cancel.setEnabled(False)

    @Slot(object)
    def _answered(self, made: Made | None) -> None:
        self._ended()
        if made is None:
            self.setup.show_problem("Cancelled; nothing was written.")
            return
        self._made = made
        self._show(made.report)
        self.chosen.button.setChecked(False)
        self.scroll.verticalScrollBar().setValue(0)

    @Slot(str)
    def _failed(self, why: str) -> None:
        self._ended()
        self.setup.show_problem(why)

    def _ended(self) -> None:
        self._task = None
        self.setup.show_busy(False)
        self.setup.cancel.setEnabled(True)

    def _show(self, report: "BehaviourReport") -> None:
        self.view.show_report(report)
        self.view.show()
        self.invitation.hide()

    @Slot(str)
    def _compare(self, reference: str) -> None:
        if self._made is not None:
            task = self._lab.in_background(compare_with(self._made.report, reference))
            task.done.connect(self._compared)
            task.failed.connect(self._lab.message)

    @Slot(object)
    def _compared(self, report: "BehaviourReport") -> None:
        if self._made is not None:
            self._made = Made(report, self._made.page)
            self._show(report)

    @Slot()
    def _choose_place(self) -> None:
        dialog = QFileDialog(self, "Export the report", str(typed_path("~") / "report.html"), "Page (*.html)")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("html")
        dialog.fileSelected.connect(self.save_to)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    @Slot(str)
    def save_to(self, path: str) -> None:
        """Write the report as it is shown: the page, and beside it the numbers as JSON."""
        if self._made is None:
            return
        task = self._lab.in_background(save_report(self._made.report, Path(path)))
        task.done.connect(self._saved)
        task.failed.connect(self._lab.message)

    @Slot(object)
    def _saved(self, places: tuple[Path, Path]) -> None:
        page, numbers = places
        self._lab.message.emit(f"The report is in {page}, its numbers and answers beside it in {numbers.name}.")

    @Slot()
    def _open_page(self) -> None:
        if self._made is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._made.page)))
